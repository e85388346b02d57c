/*
 * primary-volume.c: documents of the host's pools and volumes, as far as clones need them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "conf/xml.h"
#include "host/primary-private.h"
#include "util/i18n.h"

/* Whose volumes libvirt fills itself.  Of the other types a backend of ours is asked for. */
static const struct {
    const char *type;
    VimgHostKind kind;
} kinds[] = {
    {"dir", VIMG_HOST_FILES},      {"fs", VIMG_HOST_FILES},    {"netfs", VIMG_HOST_FILES},
    {"logical", VIMG_HOST_BLOCKS}, {"disk", VIMG_HOST_BLOCKS},
};

static VimgHostKind
kind_of(const char *type)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].type, type) == 0)
            return kinds[i].kind;
    }
    return VIMG_HOST_OTHERS;
}

/* ---- pools ------------------------------------------------------------------------------ */

char *
vimg_host_pool_type(const char *xml)
{
    g_autoptr(xmlDoc) doc = vimg_xml_parse(xml, "(storage_pool_definition)", "pool", NULL, NULL);

    return doc ? vimg_xml_attribute(xmlDocGetRootElement(doc), "type") : NULL;
}

gboolean
vimg_host_pool_find(virConnectPtr connect, const VimgPoolId *id, VimgHostPool *out, GError **error)
{
    static const guint8 none[VIMG_UUID_SIZE];
    char *xml;

    out->pool = memcmp(id->uuid, none, sizeof(none)) != 0
                    ? virStoragePoolLookupByUUID(connect, id->uuid)
                    : virStoragePoolLookupByName(connect, id->name);
    if (!out->pool)
        return vimg_host_throw(error);
    xml = virStoragePoolGetXMLDesc(out->pool, 0);
    if (!xml || virStoragePoolGetUUIDString(out->pool, out->uuid) < 0) {
        free(xml);
        return vimg_host_throw(error);
    }
    out->xml = g_strdup(xml);
    free(xml);
    out->type = vimg_host_pool_type(out->xml);
    if (!out->type)
        return vimg_throw(error, VIMG_ERROR_INTERNAL,
                          _("the host's libvirt daemon describes pool '%s' without a type"),
                          virStoragePoolGetName(out->pool));
    out->kind = kind_of(out->type);
    return TRUE;
}

void
vimg_host_pool_clear(VimgHostPool *pool)
{
    g_clear_pointer(&pool->foreign, vimg_foreign_close);
    g_clear_pointer(&pool->pool, virStoragePoolFree);
    g_clear_pointer(&pool->xml, g_free);
    g_clear_pointer(&pool->type, g_free);
}

/* ---- volumes ---------------------------------------------------------------------------- */

static void
drop(xmlNode *node)
{
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}

/* Those elements of @parent, and @ours: all of our own. */
static void
drop_children(xmlNode *parent, const char *const *names, gboolean ours)
{
    xmlNode *node = vimg_xml_first(parent);

    while (node) {
        xmlNode *next = vimg_xml_next(node);

        if ((ours && vimg_xml_in(node, VIMG_VOLUME_NAMESPACE)) ||
            g_strv_contains(names, vimg_xml_name(node)))
            drop(node);
        node = next;
    }
}

static void
add_bytes(xmlNode *parent, const char *name, guint64 bytes)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    xmlNode *node = xmlNewTextChild(parent, NULL, (const xmlChar *)name, (const xmlChar *)text);

    xmlNewProp(node, (const xmlChar *)"unit", (const xmlChar *)"bytes");
}

static void
add_format(xmlNode *parent, const char *format)
{
    xmlNode *node = xmlNewChild(parent, NULL, (const xmlChar *)"format", NULL);

    xmlNewProp(node, (const xmlChar *)"type", (const xmlChar *)format);
}

static gboolean
check_target(const xmlNode *target, GError **error)
{
    xmlNode *node;

    if (!vimg_xml_child(target, NULL, "encryption", &node, error))
        return FALSE;
    return !node || vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "%s",
                               _("an image cannot be cloned into an encrypted volume"));
}

static gboolean
rewrite(xmlNode *root, const VimgHostVolume *volume, gboolean foreign, GError **error)
{
    static const char *const told[] = {"key",      "capacity",     "allocation",
                                       "physical", "backingStore", NULL};
    static const char *const known[] = {"path", "format", "timestamps", NULL};
    xmlNode *target;

    if (!vimg_xml_child(root, NULL, "target", &target, error) || !check_target(target, error))
        return FALSE;
    xmlUnsetProp(root, (const xmlChar *)"type");
    drop_children(root, told, foreign);
    if (target)
        drop_children(target, known, foreign);
    else
        target = xmlNewChild(root, NULL, (const xmlChar *)"target", NULL);
    add_bytes(root, "capacity", volume->capacity);
    if (volume->sparse)
        add_bytes(root, "allocation", 0);
    if (volume->format)
        add_format(target, volume->format);
    if (volume->backing) {
        xmlNode *backing = xmlNewChild(root, NULL, (const xmlChar *)"backingStore", NULL);

        xmlNewTextChild(backing, NULL, (const xmlChar *)"path", (const xmlChar *)volume->backing);
        add_format(backing, volume->backing_format);
    }
    return TRUE;
}

static char *
make_document(const char *xml, const VimgHostVolume *volume, gboolean foreign, GError **error)
{
    g_autoptr(xmlDoc) doc =
        vimg_xml_parse(xml, "(storage_volume_definition)", "volume", NULL, error);
    xmlChar *text = NULL;
    char *copy;
    int size = 0;

    if (!doc || !rewrite(xmlDocGetRootElement(doc), volume, foreign, error))
        return NULL;
    xmlDocDumpMemoryEnc(doc, &text, &size, "UTF-8");
    copy = g_strdup((const char *)text);
    xmlFree(text);
    return copy;
}

char *
vimg_host_volume_xml(const char *xml, const VimgHostVolume *volume, GError **error)
{
    return make_document(xml, volume, TRUE, error);
}

char *
vimg_host_image_xml(const char *xml, const VimgHostVolume *volume, GError **error)
{
    return make_document(xml, volume, FALSE, error);
}

static char *
format_of(const char *xml)
{
    g_autoptr(xmlDoc) doc =
        vimg_xml_parse(xml, "(storage_volume_definition)", "volume", NULL, NULL);
    xmlNode *target = NULL;
    xmlNode *format = NULL;
    char *type = NULL;

    if (doc && vimg_xml_child(xmlDocGetRootElement(doc), NULL, "target", &target, NULL) &&
        vimg_xml_child(target, NULL, "format", &format, NULL) && format)
        type = vimg_xml_attribute(format, "type");
    return type ? type : g_strdup("raw");
}

char *
vimg_host_volume_mtime(virStorageVolPtr vol)
{
    char *xml = virStorageVolGetXMLDesc(vol, 0);
    g_autoptr(xmlDoc) doc =
        xml ? vimg_xml_parse(xml, "(storage_volume_definition)", "volume", NULL, NULL) : NULL;
    xmlNode *node = NULL;
    static const char *const way[] = {"target", "timestamps", "mtime"};

    free(xml);
    if (doc)
        node = xmlDocGetRootElement(doc);
    for (gsize i = 0; node && i < G_N_ELEMENTS(way); i++) {
        if (!vimg_xml_child(node, NULL, way[i], &node, NULL))
            return NULL;
    }
    return node ? vimg_xml_text(node) : NULL;
}

gboolean
vimg_host_volume_look(virStorageVolPtr vol, char **format, guint64 *capacity, guint64 *allocation,
                      GError **error)
{
    virStorageVolInfo info;
    char *xml = virStorageVolGetXMLDesc(vol, 0);

    if (!xml || virStorageVolGetInfo(vol, &info) < 0) {
        free(xml);
        return vimg_host_throw(error);
    }
    *format = format_of(xml);
    free(xml);
    *capacity = info.capacity;
    *allocation = info.allocation;
    return TRUE;
}
