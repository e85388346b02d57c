/*
 * volume-def.c: what a client says of a new image
 *
 * A document dumped from another volume, of ours or of a stock pool, must do for a new one, so what
 * only describes an existing image is skipped.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/pool-def.h"
#include "conf/volume-def.h"
#include "conf/xml.h"
#include "util/i18n.h"
#include "util/uuid.h"

#define DESCRIPTION_MAX 65536 /* bytes */
#define WORD_MAX 255          /* bytes */

static const char *const types[] = {"file", "block", "dir", "network", "netdir", "ploop", NULL};
static const char *const formats[] = {"raw", "iso", "qcow2", "vmdk", "vpc", "vdi", "vhdx", NULL};

static const struct {
    const char *name;
    gsize digits; /* of hex */
} checksums[] = {
    {"sha256", 64},
    {"sha512", 128},
};

void
vimg_volume_def_free(VimgVolumeDef *def)
{
    if (!def)
        return;
    g_free(def->name);
    g_free(def->format);
    g_free(def->backing_path);
    g_free(def->parent);
    g_free(def->checksum_type);
    g_free(def->checksum);
    g_free(def->os);
    g_free(def->arch);
    g_free(def->description);
    g_free(def->machine);
    g_free(def);
}

static gboolean
take_text(const xmlNode *parent, const char *space, const char *name, char **out, GError **error)
{
    xmlNode *node;

    return vimg_xml_child(parent, space, name, &node, error) && vimg_xml_line(node, out, error);
}

static gboolean
take_size(const xmlNode *root, const char *name, guint64 *bytes, gboolean *has, GError **error)
{
    xmlNode *node;
    g_autofree char *text = NULL;
    g_autofree char *unit = NULL;

    if (!vimg_xml_child(root, NULL, name, &node, error))
        return FALSE;
    text = node ? vimg_xml_text(node) : NULL;
    if (!text || !*text)
        return TRUE;
    *has = TRUE;
    return vimg_xml_line_attribute(node, "unit", &unit, error) &&
           vimg_size_parse(text, unit, bytes, error);
}

static gboolean
parse_type(const xmlNode *root, GError **error)
{
    g_autofree char *type = vimg_xml_attribute(root, "type");

    if (type && !g_strv_contains(types, type))
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("unknown volume type '%s'"),
                          type);
    return TRUE;
}

static gboolean
parse_name(VimgVolumeDef *def, const xmlNode *root, GError **error)
{
    if (!take_text(root, NULL, "name", &def->name, error))
        return FALSE;
    if (!def->name)
        return vimg_throw(error, VIMG_ERROR_XML, _("missing volume name element"));
    return vimg_name_check("volume", def->name, error);
}

static gboolean
parse_target(VimgVolumeDef *def, const xmlNode *root, GError **error)
{
    static const char *const none[] = {NULL};
    xmlNode *target;
    xmlNode *format;
    xmlNode *encryption;

    if (!vimg_xml_child(root, NULL, "target", &target, error) ||
        !vimg_xml_check_children(target, VIMG_VOLUME_NAMESPACE, none, error) ||
        !vimg_xml_child(target, NULL, "format", &format, error) ||
        !vimg_xml_line_attribute(format, "type", &def->format, error) ||
        !vimg_xml_child(target, NULL, "encryption", &encryption, error))
        return FALSE;
    /* who asks for this must not be left to believe in it */
    if (encryption)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                          _("storage pool does not support encrypted volumes"));
    if (def->format && !g_strv_contains(formats, def->format))
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("unknown volume format type %s"),
                          def->format);
    return TRUE;
}

static gboolean
parse_backing(VimgVolumeDef *def, const xmlNode *root, GError **error)
{
    xmlNode *node;

    return vimg_xml_child(root, NULL, "backingStore", &node, error) &&
           take_text(node, NULL, "path", &def->backing_path, error);
}

static gboolean
parse_parent(VimgVolumeDef *def, const xmlNode *info, GError **error)
{
    g_autofree char *text = NULL;
    guint8 uuid[VIMG_UUID_SIZE];
    char canonical[VIMG_UUID_TEXT_SIZE];

    if (!take_text(info, VIMG_VOLUME_NAMESPACE, "parent", &text, error))
        return FALSE;
    if (!text)
        return TRUE;
    if (!vimg_uuid_parse(text, uuid))
        return vimg_throw(error, VIMG_ERROR_XML, _("malformed parent element"));
    vimg_uuid_format(uuid, canonical);
    def->parent = g_strdup(canonical);
    return TRUE;
}

static gboolean
parse_checksum(VimgVolumeDef *def, const xmlNode *info, GError **error)
{
    static const char *const attributes[] = {"type", NULL};
    g_autofree char *type = NULL;
    g_autofree char *hex = NULL;
    xmlNode *node;
    guint i;

    if (!vimg_xml_child(info, VIMG_VOLUME_NAMESPACE, "checksum", &node, error))
        return FALSE;
    if (!node)
        return TRUE;
    if (!vimg_xml_check_attributes(node, attributes, error) ||
        !vimg_xml_line_attribute(node, "type", &type, error))
        return FALSE;
    for (i = 0; i < G_N_ELEMENTS(checksums) && g_strcmp0(checksums[i].name, type) != 0; i++)
        ;
    if (i == G_N_ELEMENTS(checksums))
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("unknown checksum type '%s'"),
                          type ? type : "");
    hex = g_strstrip(vimg_xml_text(node));
    if (strlen(hex) != checksums[i].digits || strspn(hex, "0123456789abcdefABCDEF") != strlen(hex))
        return vimg_throw(error, VIMG_ERROR_XML, _("malformed checksum element"));
    def->checksum_type = g_steal_pointer(&type);
    def->checksum = g_ascii_strdown(hex, -1);
    return TRUE;
}

static gboolean
take_word(const xmlNode *info, const char *name, char **out, GError **error)
{
    if (!take_text(info, VIMG_VOLUME_NAMESPACE, name, out, error))
        return FALSE;
    if (*out && strlen(*out) > WORD_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("element '%1$s' is longer than %2$d bytes"),
                          name, WORD_MAX);
    return TRUE;
}

static gboolean
parse_description(VimgVolumeDef *def, const xmlNode *info, GError **error)
{
    g_autofree char *text = NULL;
    xmlNode *node;

    if (!vimg_xml_child(info, VIMG_VOLUME_NAMESPACE, "description", &node, error))
        return FALSE;
    text = node ? g_strstrip(vimg_xml_text(node)) : NULL;
    if (!text || !*text)
        return TRUE;
    if (strlen(text) > DESCRIPTION_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("description is longer than %d bytes"),
                          DESCRIPTION_MAX);
    def->description = g_steal_pointer(&text);
    return TRUE;
}

/* A part of what is kept as one text, whose parts a slash separates; absent: empty. */
static gboolean
take_part(const xmlNode *node, const char *name, char **out, GError **error)
{
    if (!vimg_xml_line_attribute(node, name, out, error))
        return FALSE;
    if (!*out)
        *out = g_strdup("");
    return (strlen(*out) <= WORD_MAX && !strchr(*out, '/')) ||
           vimg_throw(error, VIMG_ERROR_XML, _("malformed machine element"));
}

static gboolean
parse_machine(VimgVolumeDef *def, const xmlNode *info, GError **error)
{
    static const char *const attributes[] = {"uuid", "disk", "snapshot", "name", NULL};
    g_auto(GStrv) parts = g_new0(char *, G_N_ELEMENTS(attributes));
    guint8 uuid[VIMG_UUID_SIZE];
    xmlNode *node;

    if (!vimg_xml_child(info, VIMG_VOLUME_NAMESPACE, "machine", &node, error))
        return FALSE;
    if (!node)
        return TRUE;
    if (!vimg_xml_check_attributes(node, attributes, error))
        return FALSE;
    for (gsize i = 0; attributes[i]; i++)
        if (!take_part(node, attributes[i], &parts[i], error))
            return FALSE;
    if (!vimg_uuid_parse(parts[0], uuid) || !*parts[1])
        return vimg_throw(error, VIMG_ERROR_XML, _("malformed machine element"));
    def->machine = g_strjoinv("/", parts);
    return TRUE;
}

static gboolean
parse_truth(const xmlNode *info, const char *name, gboolean *out, GError **error)
{
    g_autofree char *text = NULL;

    if (!take_text(info, VIMG_VOLUME_NAMESPACE, name, &text, error))
        return FALSE;
    *out = g_strcmp0(text, "yes") == 0;
    return !text || *out || strcmp(text, "no") == 0 ||
           vimg_throw(error, VIMG_ERROR_XML, _("malformed %s element"), name);
}

static gboolean
parse_info(VimgVolumeDef *def, const xmlNode *root, GError **error)
{
    static const char *const own[] = {"info", NULL};
    static const char *const known[] = {
        "state",       "position", "uuid",     "generation", "created", "parent",
        "unique",      "shared",   "uploaded", "checksum",   "os",      "arch",
        "description", "flatten",  "machine",  "passing",    NULL};
    xmlNode *info;

    if (!vimg_xml_check_children(root, VIMG_VOLUME_NAMESPACE, own, error) ||
        !vimg_xml_child(root, VIMG_VOLUME_NAMESPACE, "info", &info, error))
        return FALSE;
    return vimg_xml_check_children(info, VIMG_VOLUME_NAMESPACE, known, error) &&
           parse_parent(def, info, error) && parse_checksum(def, info, error) &&
           take_word(info, "os", &def->os, error) && take_word(info, "arch", &def->arch, error) &&
           parse_description(def, info, error) && parse_machine(def, info, error) &&
           parse_truth(info, "flatten", &def->flatten, error) &&
           parse_truth(info, "passing", &def->passing, error);
}

VimgVolumeDef *
vimg_volume_def_parse(const char *xml, gboolean validate, GError **error)
{
    g_autoptr(VimgVolumeDef) def = g_new0(VimgVolumeDef, 1);
    g_autoptr(xmlDoc) doc = vimg_xml_parse(xml, "(storage_volume_definition)", "volume",
                                           validate ? "volume" : NULL, error);
    const xmlNode *root;

    if (!doc)
        return NULL;
    root = xmlDocGetRootElement(doc);
    if (!parse_type(root, error) || !parse_name(def, root, error) ||
        !parse_backing(def, root, error) ||
        !take_size(root, "capacity", &def->capacity, &def->has_capacity, error) ||
        !take_size(root, "allocation", &def->allocation, &def->has_allocation, error) ||
        !parse_target(def, root, error) || !parse_info(def, root, error))
        return NULL;
    return g_steal_pointer(&def);
}
