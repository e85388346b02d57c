/*
 * tree.h: documents of libvirt's, read as trees
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_TREE_H
#define VIMG_CLI_TREE_H

#include <libxml/tree.h>
#include <glib.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/* Returns: (transfer full) the document, whose root is @root; NULL with VIMG_ERROR_XML. */
xmlDoc *vimg_tree_read(const char *xml, const char *root, GError **error);
/* Returns: (transfer full) its text. */
char *vimg_tree_write(xmlDoc *doc);

gboolean vimg_tree_is(const xmlNode *node, const char *name);
/* The first element @name in @node, which may be NULL; or NULL. */
xmlNode *vimg_tree_element(const xmlNode *node, const char *name);
/* Returns: (transfer full) of @node, which may be NULL; NULL: it has none. */
char *vimg_tree_attribute(xmlNode *node, const char *name);
/* Returns: (transfer full) the text in @node, which may be NULL; or NULL. */
char *vimg_tree_text(xmlNode *node);
void vimg_tree_set(xmlNode *node, const char *name, const char *value);
/* Takes @node out of its document; it may be NULL. */
void vimg_tree_drop(xmlNode *node);

#endif
