/*
 * xml.h: reading documents that strangers wrote, and writing ours
 *
 * A document is UTF-8 whatever it declares, and bounded (VIMG_XML_MAX).  It has no document type
 * declaration, hence no entities of its own, and is never looked up on a network or in a file.
 * libxml2's limits of depth and size stay on.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_XML_H
#define VIMG_CONF_XML_H

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "util/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

/* libxml2's own tables; the functions below do it themselves. */
void vimg_xml_init(void);

/* Attributes of one element. */
#define VIMG_XML_ATTRIBUTES_MAX 256

/* Whether XML 1.0 can hold @c at all, even as a reference; not 0. */
gboolean vimg_xml_is_character(gunichar c);

/*
 * How many bytes of @xml, valid UTF-8, may be given to a parser: all, or those up to and with the
 * first fault.  @many: there are more than VIMG_XML_ATTRIBUTES_MAX in one element.
 */
gsize vimg_xml_scan(const char *xml, gboolean *many);

/*
 * @what stands in messages where a file name would, as "(storage_pool_definition)"; @root is the
 * name the root element must have.  @schema, if not NULL, is validated against.
 * Returns: (transfer full); NULL with VIMG_ERROR_XML_DETAIL (not well-formed, too large), _XML
 * (another root, a document type) or _XML_SCHEMA.
 */
xmlDoc *vimg_xml_parse(const char *xml, const char *what, const char *root, const char *schema,
                       GError **error);

/* Iteration over element children, comments and text left out. */
xmlNode *vimg_xml_first(const xmlNode *parent);
xmlNode *vimg_xml_next(const xmlNode *node);

/* @space NULL: no namespace. */
gboolean vimg_xml_is(const xmlNode *node, const char *space, const char *name);
gboolean vimg_xml_in(const xmlNode *node, const char *space);
const char *vimg_xml_name(const xmlNode *node);

/*
 * The child @name of @parent, which may be NULL.  @out is NULL if there is none; two of them are
 * VIMG_ERROR_XML.
 */
gboolean vimg_xml_child(const xmlNode *parent, const char *space, const char *name, xmlNode **out,
                        GError **error);

/*
 * Refuses children of @parent (NULL: none) that are in @space but not named in @known (NULL at the
 * end), with VIMG_ERROR_XML.
 */
gboolean vimg_xml_check_children(const xmlNode *parent, const char *space, const char *const *known,
                                 GError **error);
/* The same for attributes, of any namespace. */
gboolean vimg_xml_check_attributes(const xmlNode *node, const char *const *known, GError **error);

/* Returns: (transfer full) the element's own text as it stands, "" if none. */
char *vimg_xml_text(const xmlNode *node);
/* Returns: (transfer full) an attribute of no namespace; NULL if absent. */
char *vimg_xml_attribute(const xmlNode *node, const char *name);

/*
 * One line of text: as above, but NULL for an empty one too, and control characters are refused.
 * @node NULL is an absent element.
 */
gboolean vimg_xml_line(const xmlNode *node, char **out, GError **error);
gboolean vimg_xml_line_attribute(const xmlNode *node, const char *name, char **out, GError **error);

/* Decimal, @min to @max; an absent attribute leaves @out alone. */
gboolean vimg_xml_uint_attribute(const xmlNode *node, const char *name, guint64 min, guint64 max,
                                 guint64 *out, GError **error);
/* "yes" or "no"; an absent attribute leaves @out alone. */
gboolean vimg_xml_bool_attribute(const xmlNode *node, const char *name, gboolean *out,
                                 GError **error);

/* Writing.  @depth counts levels of two spaces; a NULL value writes nothing. */
void vimg_xml_add_attribute(GString *out, const char *name, const char *value);
void vimg_xml_add_text(GString *out, const char *text);
void vimg_xml_add_element(GString *out, guint depth, const char *name, const char *text);
/* <NAME unit='bytes'>BYTES</NAME> */
void vimg_xml_add_bytes(GString *out, guint depth, const char *name, guint64 bytes);
void vimg_xml_indent(GString *out, guint depth);

#endif
