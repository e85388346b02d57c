/*
 * manifest.c: what is known of an image beside its content
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "guess.h"
#include "json.h"
#include "manifest.h"
#include "../throw.h"

#define STAGED "manifest.json"
#define MAX_RACES 16

/* Strings of VimgPluginImage that go in and out under these names. */
static const struct {
    const char *name;
    gsize offset;
} strings[] = {
    {"uuid", G_STRUCT_OFFSET(VimgPluginImage, uuid)},
    {"name", G_STRUCT_OFFSET(VimgPluginImage, name)},
    {"format", G_STRUCT_OFFSET(VimgPluginImage, format)},
    {"error", G_STRUCT_OFFSET(VimgPluginImage, reason)},
    {"parent", G_STRUCT_OFFSET(VimgPluginImage, parent)},
    {"checksumType", G_STRUCT_OFFSET(VimgPluginImage, checksum_type)},
    {"checksum", G_STRUCT_OFFSET(VimgPluginImage, checksum)},
    {"os", G_STRUCT_OFFSET(VimgPluginImage, os)},
    {"arch", G_STRUCT_OFFSET(VimgPluginImage, arch)},
    {"description", G_STRUCT_OFFSET(VimgPluginImage, description)},
    {"origin", G_STRUCT_OFFSET(VimgPluginImage, origin)}, /* these not in the first contract */
    {"copyOf", G_STRUCT_OFFSET(VimgPluginImage, copy_of)},
    {"machine", G_STRUCT_OFFSET(VimgPluginImage, machine)},
};

static char **
string_of(const VimgPluginImage *image, gsize i)
{
    return (char **)G_STRUCT_MEMBER_P(image, strings[i].offset);
}

VimgManifest *
vimg_manifest_new(const VimgPluginImage *image)
{
    VimgManifest *manifest = g_new0(VimgManifest, 1);
    gsize i;

    manifest->image.size = sizeof(manifest->image);
    for (i = 0; image && i < G_N_ELEMENTS(strings); i++) {
        if (image->size >= strings[i].offset + sizeof(char *))
            *string_of(&manifest->image, i) = g_strdup(*string_of(image, i));
    }
    if (image) {
        manifest->image.capacity = image->capacity;
        manifest->image.created = image->created;
    }
    return manifest;
}

VimgManifest *
vimg_manifest_copy(const VimgManifest *manifest)
{
    VimgManifest *copy = vimg_manifest_new(&manifest->image);

    copy->number = manifest->number;
    copy->image.allocation = manifest->image.allocation;
    return copy;
}

void
vimg_manifest_free(VimgManifest *manifest)
{
    if (!manifest)
        return;
    vimg_plugin_image_clear(&manifest->image);
    g_free(manifest->sealed_format);
    g_free(manifest->index_digest);
    g_free(manifest);
}

static gboolean
parse_sealed(VimgManifest *manifest, JsonObject *sealed)
{
    manifest->sealed = TRUE;
    manifest->sealed_format = g_strdup(vimg_json_string(sealed, "format"));
    manifest->index_digest = g_strdup(vimg_json_string(sealed, "indexDigest"));
    return manifest->sealed_format && manifest->index_digest &&
           vimg_json_number(sealed, "capacity", &manifest->sealed_capacity) &&
           vimg_json_number(sealed, "allocation", &manifest->sealed_allocation) &&
           vimg_json_number(sealed, "length", &manifest->sealed_length) &&
           vimg_json_number(sealed, "indexSize", &manifest->index_size);
}

VimgManifest *
vimg_manifest_parse(const guint8 *data, gsize size, GError **error)
{
    g_autoptr(JsonObject) root = vimg_json_parse(data, size, error);
    g_autoptr(VimgManifest) manifest = NULL;
    JsonObject *sealed;
    guint64 created;
    gsize i;

    if (!root)
        return NULL;
    manifest = vimg_manifest_new(NULL);
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        *string_of(&manifest->image, i) = g_strdup(vimg_json_string(root, strings[i].name));
    sealed = vimg_json_object(root, "sealed");
    if (!manifest->image.uuid || !manifest->image.name ||
        !vimg_json_number(root, "capacity", &manifest->image.capacity) ||
        !vimg_json_number(root, "created", &created) ||
        !vimg_json_number(root, "allocation", &manifest->image.allocation) ||
        (sealed && !parse_sealed(manifest, sealed))) {
        throw_error(error, VIMG_ERROR_DAMAGED, _("the manifest lacks a member"));
        return NULL;
    }
    manifest->image.created = (gint64)created;
    return g_steal_pointer(&manifest);
}

static JsonObject *
format_sealed(const VimgManifest *manifest)
{
    JsonObject *sealed = json_object_new();

    json_object_set_string_member(sealed, "format", manifest->sealed_format);
    json_object_set_int_member(sealed, "capacity", (gint64)manifest->sealed_capacity);
    json_object_set_int_member(sealed, "allocation", (gint64)manifest->sealed_allocation);
    json_object_set_int_member(sealed, "length", (gint64)manifest->sealed_length);
    json_object_set_int_member(sealed, "indexSize", (gint64)manifest->index_size);
    json_object_set_string_member(sealed, "indexDigest", manifest->index_digest);
    return sealed;
}

char *
vimg_manifest_format(const VimgManifest *manifest)
{
    g_autoptr(JsonObject) root = json_object_new();
    gsize i;

    json_object_set_int_member(root, "version", 1);
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        vimg_json_set_string(root, strings[i].name, *string_of(&manifest->image, i));
    json_object_set_int_member(root, "capacity", (gint64)manifest->image.capacity);
    json_object_set_int_member(root, "allocation", (gint64)manifest->image.allocation);
    json_object_set_int_member(root, "created", manifest->image.created);
    if (manifest->sealed)
        json_object_set_object_member(root, "sealed", format_sealed(manifest));
    return vimg_json_format(root);
}

gboolean
vimg_manifest_number(const char *name, const char *prefix, const char *suffix, guint64 *out)
{
    g_autofree char *digits = NULL;
    gsize length = strlen(name);
    gsize around = strlen(prefix) + strlen(suffix);

    if (length <= around || !g_str_has_prefix(name, prefix) || !g_str_has_suffix(name, suffix))
        return FALSE;
    digits = g_strndup(name + strlen(prefix), length - around);
    return g_ascii_isdigit(digits[0]) &&
           g_ascii_string_to_unsigned(digits, 10, 0, G_MAXINT64 - 1, out, NULL);
}

char *
vimg_manifest_path(const char *uuid, guint64 number)
{
    return g_strdup_printf("images/%s/manifest.%" G_GUINT64_FORMAT ".json", uuid, number);
}

static gboolean
stage(VimgLease *lease, const char *text, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *staged = vimg_lease_path(lease, STAGED);
    gsize size = strlen(text);
    int result;

    if (size > VIMG_JSON_MAX_SIZE)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("the description is too long"));
    result = vimg_transport_create_durable(transport, staged, text, size, FALSE);
    if (result == EEXIST) { /* of an attempt that failed */
        vimg_transport_unlink(transport, staged);
        result = vimg_transport_create_durable(transport, staged, text, size, FALSE);
    }
    if (result != 0)
        return vimg_lease_throw(lease, error, result, _("cannot write the manifest"));
    return TRUE;
}

static gboolean
publish(VimgManifest *manifest, VimgLease *lease, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *staged = vimg_lease_path(lease, STAGED);
    g_autofree char *dir = g_strconcat("images/", manifest->image.uuid, NULL);
    guint64 before = manifest->number;
    int result = EEXIST;
    int synced = 0;
    guint race;

    for (race = 0; result == EEXIST && race < MAX_RACES; race++) {
        g_autofree char *path = vimg_manifest_path(manifest->image.uuid, ++manifest->number);

        result = vimg_transport_publish_durable(transport, staged, path, dir, &synced);
    }
    if (result == 0)
        result = synced;
    if (result != 0)
        return vimg_lease_throw(lease, error, result, _("cannot write the manifest"));
    if (before > 1) {
        g_autofree char *old = vimg_manifest_path(manifest->image.uuid, before - 1);

        vimg_transport_unlink(transport, old);
    }
    return TRUE;
}

gboolean
vimg_manifest_stage(const VimgManifest *manifest, VimgLease *lease, char **text, GError **error)
{
    g_autofree char *formatted = vimg_manifest_format(manifest);

    if (!stage(lease, formatted, error))
        return FALSE;
    *text = g_steal_pointer(&formatted);
    return TRUE;
}

gboolean
vimg_manifest_write_staged(VimgManifest *manifest, VimgLease *lease, const char *staged,
                           GError **error)
{
    g_autofree char *text = vimg_manifest_format(manifest);

    if (g_strcmp0(text, staged) != 0 && !stage(lease, text, error))
        return FALSE;
    if (!publish(manifest, lease, error))
        return FALSE;
    vimg_guess_note(lease->store, manifest->image.uuid, manifest->image.name, manifest->number);
    return TRUE;
}

gboolean
vimg_manifest_write(VimgManifest *manifest, VimgLease *lease, GError **error)
{
    return vimg_manifest_write_staged(manifest, lease, NULL, error);
}
