/*
 * xml.c: reading documents that strangers wrote, and writing ours
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libxml/relaxng.h>
#include <libxml/xmlschemastypes.h>

#include "conf/pool-def.h"
#include "conf/schema.h"
#include "conf/xml.h"
#include "util/i18n.h"
#include "util/thread.h"

/* Bytes of the offending line that a message quotes on each side of the place. */
#define EXCERPT 60

typedef struct {
    const char *what;
    gboolean has_dtd;
    GError *error; /* of the first fault */
} Parse;

static VimgMutex xml_lock = VIMG_MUTEX_INIT;
static gboolean xml_ready; /* under the lock */

/* The line @at points into, cut to what a message can hold, with a pointer below it. */
static char *
excerpt(const xmlChar *base, const xmlChar *at)
{
    const char *cursor = (const char *)at;
    const char *first = cursor;
    const char *last;
    g_autofree char *valid = NULL;
    g_autofree char *clean = NULL;
    g_autofree char *dashes = NULL;
    gsize column;

    while (first > (const char *)base && (*first == '\n' || *first == '\r' || !*first))
        first--;
    while (first > (const char *)base && first[-1] != '\n' && first[-1] != '\r' &&
           cursor - first < EXCERPT)
        first--;
    column = (gsize)(cursor - first);
    for (last = first; *last && *last != '\n' && *last != '\r' && last - cursor < EXCERPT; last++)
        ;
    valid = g_strndup(first, (gsize)(last - first));
    clean = g_utf8_make_valid(valid, -1);
    dashes = g_strnfill(column, '-');
    return g_strdup_printf("%s\n%s^", clean, dashes);
}

static void
take_error(void *data, const char *format G_GNUC_UNUSED, ...)
{
    xmlParserCtxt *ctxt = data;
    Parse *parse = ctxt->_private;
    const char *message = ctxt->lastError.message;
    g_autofree char *place = NULL;

    /* an undeclared prefix would hide our own elements from us, so it counts as fatal */
    if (parse->error || parse->has_dtd || !message ||
        (ctxt->lastError.level < XML_ERR_FATAL && ctxt->lastError.domain != XML_FROM_NAMESPACE))
        return;
    if (ctxt->input && ctxt->input->cur)
        place = excerpt(ctxt->input->base, ctxt->input->cur);
    vimg_throw(&parse->error, VIMG_ERROR_XML_DETAIL, "%s:%d: %s%s", parse->what,
               ctxt->lastError.line, message, place ? place : "");
}

/* Called before the declaration's own content is read, so none of it is. */
static void
refuse_dtd(void *data, const xmlChar *name G_GNUC_UNUSED, const xmlChar *public_id G_GNUC_UNUSED,
           const xmlChar *system_id G_GNUC_UNUSED)
{
    xmlParserCtxt *ctxt = data;
    Parse *parse = ctxt->_private;

    parse->has_dtd = TRUE;
    xmlStopParser(ctxt);
}

/* libxml2 fills these tables on first use, without a lock. */
void
vimg_xml_init(void)
{
    VIMG_LOCK_GUARD(&xml_lock);

    if (xml_ready)
        return;
    xmlInitParser();
    xmlSchemaInitTypes();
    xmlRelaxNGInitTypes();
    xml_ready = TRUE;
}

static xmlDoc *
read_document(const char *xml, gsize size, Parse *parse, GError **error)
{
    g_autoptr(xmlParserCtxt) ctxt = xmlNewParserCtxt();
    g_autoptr(xmlDoc) doc = NULL;

    if (!ctxt || !ctxt->sax)
        g_error("out of memory");
    ctxt->_private = parse;
    ctxt->sax->error = take_error;
    ctxt->sax->internalSubset = refuse_dtd;
    doc = xmlCtxtReadMemory(ctxt, xml, (int)size, NULL, "UTF-8",
                            XML_PARSE_NONET | XML_PARSE_NOWARNING);
    if (parse->has_dtd) {
        g_clear_error(&parse->error);
        vimg_throw(error, VIMG_ERROR_XML, _("a document type declaration is not allowed"));
        return NULL;
    }
    if (parse->error) {
        g_propagate_error(error, g_steal_pointer(&parse->error));
        return NULL;
    }
    if (!doc || !ctxt->wellFormed || !xmlDocGetRootElement(doc)) {
        vimg_throw(error, VIMG_ERROR_XML_DETAIL, _("%s: document is not well-formed"), parse->what);
        return NULL;
    }
    return g_steal_pointer(&doc);
}

xmlDoc *
vimg_xml_parse(const char *xml, const char *what, const char *root, const char *schema,
               GError **error)
{
    Parse parse = {.what = what};
    gsize size = strnlen(xml, VIMG_XML_MAX + 1);
    g_autoptr(xmlDoc) doc = NULL;
    gboolean many;
    gsize good;
    const char *name;

    vimg_xml_init();
    if (size > VIMG_XML_MAX) {
        vimg_throw(error, VIMG_ERROR_XML_DETAIL, _("%1$s: document is larger than %2$d bytes"),
                   what, VIMG_XML_MAX);
        return NULL;
    }
    if (!g_utf8_validate(xml, (gssize)size, NULL)) {
        vimg_throw(error, VIMG_ERROR_XML_DETAIL, _("%s: document is not valid UTF-8"), what);
        return NULL;
    }
    good = vimg_xml_scan(xml, &many);
    if (many) {
        vimg_throw(error, VIMG_ERROR_XML_DETAIL,
                   _("%1$s: an element has more than %2$d attributes"), what,
                   VIMG_XML_ATTRIBUTES_MAX);
        return NULL;
    }
    if (!(doc = read_document(xml, good, &parse, error)))
        return NULL;
    name = vimg_xml_name(xmlDocGetRootElement(doc));
    if (strcmp(name, root) != 0) {
        vimg_throw(error, VIMG_ERROR_XML, _("expecting root element of '%1$s', not '%2$s'"), root,
                   name);
        return NULL;
    }
    if (schema && !vimg_schema_validate(schema, doc, error))
        return NULL;
    return g_steal_pointer(&doc);
}

static xmlNode *
element_from(xmlNode *node)
{
    while (node && node->type != XML_ELEMENT_NODE)
        node = node->next;
    return node;
}

gboolean
vimg_xml_is_character(gunichar c)
{
    return c >= ' ' ? c != 0xfffe && c != 0xffff : c == '\t' || c == '\n' || c == '\r';
}

xmlNode *
vimg_xml_first(const xmlNode *parent)
{
    return parent ? element_from(parent->children) : NULL;
}

xmlNode *
vimg_xml_next(const xmlNode *node)
{
    return element_from(node->next);
}

const char *
vimg_xml_name(const xmlNode *node)
{
    return (const char *)node->name;
}

gboolean
vimg_xml_in(const xmlNode *node, const char *space)
{
    const char *own = node->ns ? (const char *)node->ns->href : NULL;

    return g_strcmp0(own, space) == 0;
}

gboolean
vimg_xml_is(const xmlNode *node, const char *space, const char *name)
{
    return strcmp(vimg_xml_name(node), name) == 0 && vimg_xml_in(node, space);
}

gboolean
vimg_xml_child(const xmlNode *parent, const char *space, const char *name, xmlNode **out,
               GError **error)
{
    xmlNode *node;

    *out = NULL;
    for (node = vimg_xml_first(parent); node; node = vimg_xml_next(node)) {
        if (!vimg_xml_is(node, space, name))
            continue;
        if (*out)
            return vimg_throw(error, VIMG_ERROR_XML,
                              _("element '%1$s' may be given only once in element '%2$s'"), name,
                              vimg_xml_name(parent));
        *out = node;
    }
    return TRUE;
}

gboolean
vimg_xml_check_children(const xmlNode *parent, const char *space, const char *const *known,
                        GError **error)
{
    xmlNode *node;

    for (node = vimg_xml_first(parent); node; node = vimg_xml_next(node)) {
        if (vimg_xml_in(node, space) && !g_strv_contains(known, vimg_xml_name(node)))
            return vimg_throw(error, VIMG_ERROR_XML, _("unknown element '%1$s' in element '%2$s'"),
                              vimg_xml_name(node), vimg_xml_name(parent));
    }
    return TRUE;
}

gboolean
vimg_xml_check_attributes(const xmlNode *node, const char *const *known, GError **error)
{
    const xmlAttr *attr;

    for (attr = node->properties; attr; attr = attr->next) {
        if (attr->ns || !g_strv_contains(known, (const char *)attr->name))
            return vimg_throw(error, VIMG_ERROR_XML,
                              _("unknown attribute '%1$s' in element '%2$s'"),
                              (const char *)attr->name, vimg_xml_name(node));
    }
    return TRUE;
}

char *
vimg_xml_text(const xmlNode *node)
{
    GString *text = g_string_new(NULL);
    const xmlNode *child;

    for (child = node->children; child; child = child->next) {
        if ((child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) &&
            child->content)
            g_string_append(text, (const char *)child->content);
    }
    return g_string_free(text, FALSE);
}

char *
vimg_xml_attribute(const xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetNoNsProp(node, (const xmlChar *)name);
    char *copy = g_strdup((const char *)value);

    xmlFree(value);
    return copy;
}

static gboolean
has_control(const char *text)
{
    for (; *text; text = g_utf8_next_char(text)) {
        if (g_unichar_iscntrl(g_utf8_get_char(text)))
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_xml_line(const xmlNode *node, char **out, GError **error)
{
    g_autofree char *text = node ? vimg_xml_text(node) : NULL;

    if (text && has_control(text))
        return vimg_throw(error, VIMG_ERROR_XML, _("element '%s' contains a control character"),
                          vimg_xml_name(node));
    g_free(*out);
    *out = text && *text ? g_steal_pointer(&text) : NULL;
    return TRUE;
}

gboolean
vimg_xml_line_attribute(const xmlNode *node, const char *name, char **out, GError **error)
{
    g_autofree char *text = node ? vimg_xml_attribute(node, name) : NULL;

    if (text && has_control(text))
        return vimg_throw(error, VIMG_ERROR_XML,
                          _("attribute '%1$s' in element '%2$s' contains a control character"),
                          name, vimg_xml_name(node));
    g_free(*out);
    *out = text && *text ? g_steal_pointer(&text) : NULL;
    return TRUE;
}

/* In libvirt's words. */
static gboolean
bad_value(const xmlNode *node, const char *name, const char *value, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_XML,
                      _("Invalid value for attribute '%1$s' in element '%2$s': '%3$s'."), name,
                      vimg_xml_name(node), value);
}

gboolean
vimg_xml_uint_attribute(const xmlNode *node, const char *name, guint64 min, guint64 max,
                        guint64 *out, GError **error)
{
    g_autofree char *text = vimg_xml_attribute(node, name);

    if (!text || g_ascii_string_to_unsigned(text, 10, min, max, out, NULL))
        return TRUE;
    return bad_value(node, name, text, error);
}

gboolean
vimg_xml_bool_attribute(const xmlNode *node, const char *name, gboolean *out, GError **error)
{
    g_autofree char *text = vimg_xml_attribute(node, name);

    if (!text)
        return TRUE;
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
        return bad_value(node, name, text, error);
    *out = *text == 'y';
    return TRUE;
}

/* @attribute: a parser would turn line ends and tabs there into spaces. */
static void
escape(GString *out, const char *given, gboolean attribute)
{
    g_autofree char *valid = g_utf8_make_valid(given, -1);
    const char *text;

    for (text = valid; *text; text = g_utf8_next_char(text)) {
        switch (*text) {
        case '&':
            g_string_append(out, "&amp;");
            break;
        case '<':
            g_string_append(out, "&lt;");
            break;
        case '>':
            g_string_append(out, "&gt;");
            break;
        case '\'':
            g_string_append(out, "&apos;");
            break;
        case '"':
            g_string_append(out, "&quot;");
            break;
        case '\r':
            g_string_append(out, "&#13;");
            break;
        case '\n':
        case '\t':
            if (attribute)
                g_string_append_printf(out, "&#%d;", *text);
            else
                g_string_append_c(out, *text);
            break;
        default:
            g_string_append_unichar(
                out, vimg_xml_is_character(g_utf8_get_char(text)) ? g_utf8_get_char(text) : '?');
        }
    }
}

void
vimg_xml_add_attribute(GString *out, const char *name, const char *value)
{
    if (!value)
        return;
    g_string_append_printf(out, " %s='", name);
    escape(out, value, TRUE);
    g_string_append_c(out, '\'');
}

void
vimg_xml_add_text(GString *out, const char *text)
{
    escape(out, text, FALSE);
}

void
vimg_xml_indent(GString *out, guint depth)
{
    g_string_append_printf(out, "%*s", (int)(2 * depth), "");
}

void
vimg_xml_add_element(GString *out, guint depth, const char *name, const char *text)
{
    if (!text)
        return;
    vimg_xml_indent(out, depth);
    g_string_append_printf(out, "<%s>", name);
    vimg_xml_add_text(out, text);
    g_string_append_printf(out, "</%s>\n", name);
}

void
vimg_xml_add_bytes(GString *out, guint depth, const char *name, guint64 bytes)
{
    vimg_xml_indent(out, depth);
    g_string_append_printf(out, "<%s unit='bytes'>%" G_GUINT64_FORMAT "</%s>\n", name, bytes, name);
}
