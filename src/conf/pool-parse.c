/*
 * pool-parse.c: a <pool> document into a definition
 *
 * Elements of no namespace are libvirt's, and those it has but we have no use for are ignored as in
 * libvirt; in our own namespace nothing is ignored.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/pool-private.h"
#include "util/i18n.h"

#define TYPE_MAX 64 /* bytes */

static gboolean
parse_type(VimgPoolDef *def, const xmlNode *root, GError **error)
{
    g_autofree char *type = vimg_xml_attribute(root, "type");

    if (!type)
        return vimg_throw(error, VIMG_ERROR_XML,
                          _("Missing required attribute '%1$s' in element '%2$s'"), "type", "pool");
    /* becomes part of a file name when its backend is looked for */
    if (!g_ascii_isalnum(*type) || strlen(type) > TYPE_MAX ||
        strspn(type, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-") != strlen(type))
        return vimg_throw(error, VIMG_ERROR_XML,
                          _("Invalid value for attribute '%1$s' in element '%2$s': '%3$s'."),
                          "type", "pool", type);
    def->type = g_steal_pointer(&type);
    return TRUE;
}

/* An attribute of an element that may be there once. */
static gboolean
take_attribute(const xmlNode *parent, const char *element, const char *attribute, char **out,
               GError **error)
{
    xmlNode *node;

    return vimg_xml_child(parent, NULL, element, &node, error) &&
           vimg_xml_line_attribute(node, attribute, out, error);
}

static gboolean
take_text(const xmlNode *parent, const char *element, char **out, GError **error)
{
    xmlNode *node;

    return vimg_xml_child(parent, NULL, element, &node, error) && vimg_xml_line(node, out, error);
}

/* As libvirt cleans paths: no doubled and no trailing slashes, since sources are compared. */
static gboolean
clean_path(char **path, GError **error)
{
    char *to;
    const char *from;

    if (!*path)
        return TRUE;
    if (**path != '/')
        return vimg_throw(error, VIMG_ERROR_XML, _("mount path '%s' is not absolute"), *path);
    for (from = to = *path; *from; from++) {
        if (*from != '/' || to == *path || to[-1] != '/')
            *to++ = *from;
    }
    if (to > *path + 1 && to[-1] == '/')
        to--;
    *to = '\0';
    return TRUE;
}

static gboolean
parse_secret(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    g_autofree char *uuid = NULL;
    guint8 binary[VIMG_UUID_SIZE];
    char text[VIMG_UUID_TEXT_SIZE];

    if (!node) /* a backend may do with the user's name alone */
        return TRUE;
    if (!vimg_xml_line_attribute(node, "usage", &def->secret_usage, error) ||
        !vimg_xml_line_attribute(node, "uuid", &uuid, error))
        return FALSE;
    if (!def->secret_usage && !uuid)
        return vimg_throw(error, VIMG_ERROR_XML, _("missing secret uuid or usage attribute"));
    if (def->secret_usage && uuid)
        return vimg_throw(error, VIMG_ERROR_XML, _("either secret uuid or usage expected"));
    if (!uuid)
        return TRUE;
    if (!vimg_uuid_parse(uuid, binary))
        return vimg_throw(error, VIMG_ERROR_XML, _("invalid secret uuid '%s'"), uuid);
    vimg_uuid_format(binary, text);
    def->secret_uuid = g_strdup(text);
    return TRUE;
}

static gboolean
parse_auth(VimgPoolDef *def, const xmlNode *source, GError **error)
{
    xmlNode *node;
    xmlNode *secret;

    if (!vimg_xml_child(source, NULL, "auth", &node, error))
        return FALSE;
    if (!node)
        return TRUE;
    if (!vimg_xml_line_attribute(node, "type", &def->auth_type, error) ||
        !vimg_xml_line_attribute(node, "username", &def->auth_user, error))
        return FALSE;
    if (!def->auth_user)
        return vimg_throw(error, VIMG_ERROR_XML, _("missing username for auth"));
    if (!def->auth_type)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                          _("storage pool missing auth type"));
    return vimg_xml_child(node, NULL, "secret", &secret, error) && parse_secret(def, secret, error);
}

static gboolean
parse_source(VimgPoolDef *def, const xmlNode *source, GError **error)
{
    static const char *const own[] = {"store", NULL}; /* what a search tells beside the place */
    xmlNode *node;

    if (!vimg_xml_check_children(source, VIMG_POOL_NAMESPACE, own, error))
        return FALSE;
    for (node = vimg_xml_first(source); node; node = vimg_xml_next(node)) {
        if (vimg_xml_is(node, NULL, "host") && !vimg_pool_parse_host(def, node, error))
            return FALSE;
    }
    return take_attribute(source, "dir", "path", &def->source_dir, error) &&
           clean_path(&def->source_dir, error) &&
           take_attribute(source, "device", "path", &def->device, error) &&
           take_text(source, "name", &def->source_name, error) && parse_auth(def, source, error);
}

static gboolean
parse_target(VimgPoolDef *def, const xmlNode *target, GError **error)
{
    static const char *const none[] = {NULL};

    return vimg_xml_check_children(target, VIMG_POOL_NAMESPACE, none, error) &&
           take_text(target, "path", &def->target_path, error) &&
           clean_path(&def->target_path, error);
}

/* As in libvirt a pool without a name of its own has that of its source. */
static gboolean
parse_name(VimgPoolDef *def, const xmlNode *root, GError **error)
{
    if (!take_text(root, "name", &def->name, error))
        return FALSE;
    if (!def->name)
        def->name = g_strdup(def->source_name);
    if (!def->name)
        return vimg_throw(error, VIMG_ERROR_XML, _("missing pool source name element"));
    return vimg_name_check("pool", def->name, error);
}

static gboolean
parse_uuid(VimgPoolDef *def, const xmlNode *root, GError **error)
{
    g_autofree char *text = NULL;

    if (!take_text(root, "uuid", &text, error))
        return FALSE;
    def->has_uuid = text != NULL;
    if (!text)
        vimg_uuid_random(def->uuid);
    else if (!vimg_uuid_parse(text, def->uuid))
        return vimg_throw(error, VIMG_ERROR_XML, _("malformed uuid element"));
    return TRUE;
}

VimgPoolDef *
vimg_pool_def_parse(const char *xml, gboolean validate, GError **error)
{
    static const char *const own[] = {"options", NULL};
    g_autoptr(VimgPoolDef) def = vimg_pool_def_new();
    g_autoptr(xmlDoc) doc =
        vimg_xml_parse(xml, "(storage_pool_definition)", "pool", validate ? "pool" : NULL, error);
    const xmlNode *root;
    xmlNode *source;
    xmlNode *target;
    xmlNode *options;

    if (!doc)
        return NULL;
    root = xmlDocGetRootElement(doc);
    if (!parse_type(def, root, error) ||
        !vimg_xml_check_children(root, VIMG_POOL_NAMESPACE, own, error) ||
        !vimg_xml_child(root, NULL, "source", &source, error) ||
        !vimg_xml_child(root, NULL, "target", &target, error) ||
        !vimg_xml_child(root, VIMG_POOL_NAMESPACE, "options", &options, error) ||
        !parse_source(def, source, error) || !parse_name(def, root, error) ||
        !parse_uuid(def, root, error) || !parse_target(def, target, error) ||
        !vimg_pool_parse_options(def, options, error))
        return NULL;
    return g_steal_pointer(&def);
}
