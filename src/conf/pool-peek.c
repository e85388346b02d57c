/*
 * pool-peek.c: whom a <pool> document is about, of whatever type the pool is
 *
 * Types of libvirt's own have elements that ours refuse, so nothing but the name and the uuid is
 * looked at, by libvirt's rules.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/pool-def.h"
#include "conf/xml.h"
#include "util/i18n.h"

void
vimg_pool_peek_clear(VimgPoolPeek *peek)
{
    g_clear_pointer(&peek->type, g_free);
    g_clear_pointer(&peek->name, g_free);
}

/* Returns: (transfer full) the text of the first child @name of @parent (NULL: none), or NULL. */
static char *
child_text(const xmlNode *parent, const char *name)
{
    for (xmlNode *node = vimg_xml_first(parent); node; node = vimg_xml_next(node)) {
        g_autofree char *text = NULL;

        if (!vimg_xml_is(node, NULL, name))
            continue;
        text = vimg_xml_text(node);
        return *text ? g_steal_pointer(&text) : NULL;
    }
    return NULL;
}

static const xmlNode *
child_element(const xmlNode *parent, const char *name)
{
    xmlNode *node = vimg_xml_first(parent);

    while (node && !vimg_xml_is(node, NULL, name))
        node = vimg_xml_next(node);
    return node;
}

gboolean
vimg_pool_peek(const char *xml, VimgPoolPeek *out, GError **error)
{
    g_autoptr(xmlDoc) doc = vimg_xml_parse(xml, "(storage_pool_definition)", "pool", NULL, error);
    const xmlNode *root;
    g_autofree char *uuid = NULL;

    if (!doc)
        return FALSE;
    root = xmlDocGetRootElement(doc);
    uuid = child_text(root, "uuid");
    if (uuid && !vimg_uuid_parse(uuid, out->uuid))
        return vimg_throw(error, VIMG_ERROR_XML, _("malformed uuid element"));
    out->has_uuid = uuid != NULL;
    out->type = vimg_xml_attribute(root, "type");
    out->name = child_text(root, "name");
    if (!out->name)
        out->name = child_text(child_element(root, "source"), "name");
    return TRUE;
}
