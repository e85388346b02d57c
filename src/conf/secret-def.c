/*
 * secret-def.c: <secret> documents in and out
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/libvirt.h>

#include "conf/secret-def.h"
#include "conf/xml.h"
#include "util/i18n.h"

/* libvirt's own usage types, the element that holds the id, and its words when that is missing. */
static const struct {
    const char *name;
    const char *element;
    const char *missing;
} usages[] = {
    [VIR_SECRET_USAGE_TYPE_NONE] = {"none", NULL, NULL},
    [VIR_SECRET_USAGE_TYPE_VOLUME] = {"volume", "volume",
                                      N_("volume usage specified, but volume path is missing")},
    [VIR_SECRET_USAGE_TYPE_CEPH] = {"ceph", "name",
                                    N_("Ceph usage specified, but name is missing")},
    [VIR_SECRET_USAGE_TYPE_ISCSI] = {"iscsi", "target",
                                     N_("iSCSI usage specified, but target is missing")},
    [VIR_SECRET_USAGE_TYPE_TLS] = {"tls", "name", N_("TLS usage specified, but name is missing")},
    [VIR_SECRET_USAGE_TYPE_VTPM] = {"vtpm", "name",
                                    N_("vTPM usage specified, but name is missing")},
};

void
vimg_secret_def_free(VimgSecretDef *def)
{
    if (!def)
        return;
    g_free(def->description);
    g_free(def->usage_id);
    g_free(def);
}

VimgSecretDef *
vimg_secret_def_copy(const VimgSecretDef *def)
{
    VimgSecretDef *copy = g_new(VimgSecretDef, 1);

    *copy = *def;
    copy->description = g_strdup(def->description);
    copy->usage_id = g_strdup(def->usage_id);
    return copy;
}

static gboolean
take_flag(const xmlNode *root, const char *name, gboolean *out, GError **error)
{
    g_autofree char *text = vimg_xml_attribute(root, name);

    if (!text)
        return TRUE;
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
        return vimg_throw(error, VIMG_ERROR_XML, _("invalid value of '%s'"), name);
    *out = *text == 'y';
    return TRUE;
}

static gboolean
parse_uuid(VimgSecretDef *def, const xmlNode *root, GError **error)
{
    g_autofree char *text = NULL;
    xmlNode *node;

    if (!vimg_xml_child(root, NULL, "uuid", &node, error) || !vimg_xml_line(node, &text, error))
        return FALSE;
    def->has_uuid = text != NULL;
    if (!text)
        vimg_uuid_random(def->uuid);
    else if (!vimg_uuid_parse(text, def->uuid))
        return vimg_throw(error, VIMG_ERROR_XML, _("malformed uuid element"));
    return TRUE;
}

static gboolean
parse_description(VimgSecretDef *def, const xmlNode *root, GError **error)
{
    xmlNode *node;

    if (!vimg_xml_child(root, NULL, "description", &node, error))
        return FALSE;
    def->description = node ? vimg_xml_text(node) : NULL;
    if (def->description && !*def->description)
        g_clear_pointer(&def->description, g_free);
    return TRUE;
}

static gboolean
parse_usage(VimgSecretDef *def, const xmlNode *root, GError **error)
{
    g_autofree char *type = NULL;
    xmlNode *usage;
    xmlNode *id;
    guint i;

    def->usage_type = VIR_SECRET_USAGE_TYPE_NONE;
    if (!vimg_xml_child(root, NULL, "usage", &usage, error))
        return FALSE;
    if (usage) {
        if (!(type = vimg_xml_attribute(usage, "type")))
            return vimg_throw(error, VIMG_ERROR_XML, _("unknown secret usage type"));
        for (i = 0; i < G_N_ELEMENTS(usages) && strcmp(usages[i].name, type) != 0; i++)
            ;
        if (i == G_N_ELEMENTS(usages))
            return vimg_throw(error, VIMG_ERROR_XML, _("unknown secret usage type %s"), type);
        def->usage_type = (int)i;
        if (usages[i].element) {
            if (!vimg_xml_child(usage, NULL, usages[i].element, &id, error) ||
                !vimg_xml_line(id, &def->usage_id, error))
                return FALSE;
            if (!def->usage_id)
                return vimg_throw(error, VIMG_ERROR_XML, "%s", _(usages[i].missing));
        }
    }
    if (!def->usage_id)
        def->usage_id = g_strdup("");
    return TRUE;
}

VimgSecretDef *
vimg_secret_def_parse(const char *xml, gboolean validate, GError **error)
{
    g_autoptr(VimgSecretDef) def = g_new0(VimgSecretDef, 1);
    g_autoptr(xmlDoc) doc =
        vimg_xml_parse(xml, "(definition_of_secret)", "secret", validate ? "secret" : NULL, error);
    const xmlNode *root;

    if (!doc)
        return NULL;
    root = xmlDocGetRootElement(doc);
    if (!take_flag(root, "ephemeral", &def->ephemeral, error) ||
        !take_flag(root, "private", &def->private_, error) || !parse_uuid(def, root, error) ||
        !parse_description(def, root, error) || !parse_usage(def, root, error))
        return NULL;
    return g_steal_pointer(&def);
}

char *
vimg_secret_def_format(const VimgSecretDef *def)
{
    GString *out = g_string_new(NULL);
    char uuid[VIMG_UUID_TEXT_SIZE];

    vimg_uuid_format(def->uuid, uuid);
    g_string_append_printf(out, "<secret ephemeral='%s' private='%s'>\n",
                           def->ephemeral ? "yes" : "no", def->private_ ? "yes" : "no");
    vimg_xml_add_element(out, 1, "uuid", uuid);
    vimg_xml_add_element(out, 1, "description", def->description);
    if (usages[def->usage_type].element) {
        g_string_append_printf(out, "  <usage type='%s'>\n", usages[def->usage_type].name);
        vimg_xml_add_element(out, 2, usages[def->usage_type].element, def->usage_id);
        g_string_append(out, "  </usage>\n");
    }
    g_string_append(out, "</secret>\n");
    return g_string_free(out, FALSE);
}
