/*
 * tree.c: documents of libvirt's, read as trees
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libxml/parser.h>

#include "cli/tree.h"
#include "util/error.h"
#include "util/i18n.h"

#define BYTES_MAX (16 * 1024 * 1024)

xmlDoc *
vimg_tree_read(const char *xml, const char *root, GError **error)
{
    gsize size = strlen(xml);
    g_autoptr(xmlDoc) doc = NULL;

    if (size <= BYTES_MAX)
        doc = xmlReadMemory(xml, (int)size, NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (doc && vimg_tree_is(xmlDocGetRootElement(doc), root))
        return g_steal_pointer(&doc);
    vimg_throw(error, VIMG_ERROR_XML, _("what should be a <%s> document is none"), root);
    return NULL;
}

char *
vimg_tree_write(xmlDoc *doc)
{
    xmlChar *text = NULL;
    char *copy;
    int size;

    xmlDocDumpMemory(doc, &text, &size);
    copy = g_strdup((char *)text);
    xmlFree(text);
    return copy;
}

gboolean
vimg_tree_is(const xmlNode *node, const char *name)
{
    return node && node->type == XML_ELEMENT_NODE && !node->ns &&
           strcmp((const char *)node->name, name) == 0;
}

xmlNode *
vimg_tree_element(const xmlNode *node, const char *name)
{
    xmlNode *child = node ? node->children : NULL;

    while (child && !vimg_tree_is(child, name))
        child = child->next;
    return child;
}

static char *
take(xmlChar *text)
{
    char *copy = g_strdup((char *)text);

    xmlFree(text);
    return copy;
}

char *
vimg_tree_attribute(xmlNode *node, const char *name)
{
    xmlChar *text = node ? xmlGetNoNsProp(node, (const xmlChar *)name) : NULL;

    return text ? take(text) : NULL;
}

char *
vimg_tree_text(xmlNode *node)
{
    xmlChar *text = node ? xmlNodeGetContent(node) : NULL;

    return text ? take(text) : NULL;
}

void
vimg_tree_set(xmlNode *node, const char *name, const char *value)
{
    xmlSetProp(node, (const xmlChar *)name, (const xmlChar *)value);
}

void
vimg_tree_drop(xmlNode *node)
{
    if (!node)
        return;
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}
