/*
 * image.c: images of a store as they lie on it
 *
 * Whether an image is active, saving or in the trash is told by which files are in its directory,
 * never by what a file says.  Listing reads the manifests and no index.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image.h"
#include "slice.h"
#include "../throw.h"

char *
vimg_image_path(const char *uuid, const char *name)
{
    return g_strconcat("images/", uuid, "/", name, NULL);
}

char *
vimg_image_partial_path(const char *uuid, guint64 durable)
{
    return g_strdup_printf("images/%s/" VIMG_IMAGE_PARTIAL "%" G_GUINT64_FORMAT, uuid, durable);
}

char *
vimg_image_dir(const char *uuid)
{
    return g_strconcat("images/", uuid, NULL);
}

void
vimg_stored_image_clear(VimgStoredImage *image)
{
    vimg_manifest_free(image->manifest);
    g_free(image->damage);
    memset(image, 0, sizeof(*image));
}

/* ---- reading ---------------------------------------------------------------------------- */

gboolean
vimg_image_is_present(const VimgStoredImage *image)
{
    return image->manifest && image->claimed && !image->deleted;
}

static gboolean
is_readable(VimgSliceStore *store, const char *uuid, const VimgStoredImage *image)
{
    return vimg_image_is_present(image) ||
           (image->manifest && image->deleted && vimg_slice_store_keeps(store, uuid));
}

gboolean
vimg_image_is_doubtful(const VimgStoredImage *image)
{
    return image->illegible || (image->published && !image->manifest);
}

static gboolean
throw_gone(GError **error, const char *uuid)
{
    return throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
}

/* What vimg_image_look() found, if it @may be taken. */
static gboolean
settle_look(VimgStoredImage *image, int result, gboolean may, const char *uuid, GError **error)
{
    if (result == 0 && may)
        return TRUE;
    vimg_stored_image_clear(image);
    if (result != 0)
        return throw_result(error, result, _("cannot read image %s"), uuid);
    return throw_gone(error, uuid);
}

gboolean
vimg_image_load(VimgSliceStore *store, const char *uuid, VimgStoredImage *out, GError **error)
{
    int result = vimg_image_look(store, uuid, out);

    return settle_look(out, result, vimg_image_is_present(out), uuid, error);
}

gboolean
vimg_image_load_kept(VimgSliceStore *store, const char *uuid, VimgStoredImage *out, GError **error)
{
    int result = vimg_image_look(store, uuid, out);

    return settle_look(out, result, is_readable(store, uuid, out), uuid, error);
}

char *
vimg_image_find_fault(const VimgStoredImage *image)
{
    const VimgManifest *manifest = image->manifest;

    if (manifest->image.reason)
        return g_strdup(manifest->image.reason);
    if (image->published && !manifest->sealed)
        return g_strdup(_("the manifest lacks a member"));
    if (image->published && image->index_size != manifest->index_size)
        return g_strdup(_("index is truncated"));
    return NULL;
}

VimgIndex *
vimg_image_check_index(const VimgStoredImage *image, int result, const VimgBuffer *content,
                       GError **error)
{
    g_autofree char *digest = NULL;
    g_autoptr(VimgIndex) index = NULL;

    if (result != 0) {
        throw_result(error, result, _("cannot read the index"));
        return NULL;
    }
    index = vimg_index_decode(content->data, content->size, error);
    if (!index)
        return NULL;
    digest = vimg_sha256_hex(content->data, content->size);
    if (g_strcmp0(digest, image->manifest->index_digest) != 0) {
        throw_error(error, VIMG_ERROR_DAMAGED, _("the digest of the index is wrong"));
        return NULL;
    }
    return g_steal_pointer(&index);
}

VimgIndex *
vimg_image_index(VimgSliceStore *store, const VimgStoredImage *image, GError **error)
{
    g_autofree char *path = vimg_image_path(image->manifest->image.uuid, VIMG_IMAGE_INDEX);
    g_autoptr(VimgBuffer) content = NULL;
    int result = vimg_transport_read(store->transport, path, VIMG_INDEX_MAX_SIZE, &content);

    return vimg_image_check_index(image, result, content, error);
}

guint64
vimg_image_position(const VimgSliceStore *store, guint64 durable)
{
    if (durable <= store->slice_size)
        return 0;
    return (durable - store->slice_size) & ~(store->slice_size - 1);
}

void
vimg_image_describe(VimgSliceStore *store, const VimgStoredImage *image, VimgPluginImage *out)
{
    const VimgManifest *manifest = image->manifest;
    const VimgPluginImage *from = &manifest->image;
    g_autofree char *fault = vimg_image_find_fault(image);
    gboolean sealed = image->published && manifest->sealed;

    if (!fault)
        fault = g_strdup(image->damage);
    out->uuid = g_strdup(from->uuid);
    out->name = g_strdup(from->name);
    out->format = g_strdup(sealed ? manifest->sealed_format : from->format);
    out->capacity = sealed ? manifest->sealed_capacity : from->capacity;
    out->allocation = sealed ? manifest->sealed_allocation : from->allocation;
    out->physical = sealed ? manifest->sealed_length : image->durable;
    out->position = image->published ? 0 : vimg_image_position(store, image->durable);
    out->created = from->created;
    out->parent = g_strdup(from->parent);
    out->checksum_type = g_strdup(from->checksum_type);
    out->checksum = g_strdup(from->checksum);
    out->os = g_strdup(from->os);
    out->arch = g_strdup(from->arch);
    out->description = g_strdup(from->description);
    out->state = fault              ? VIMG_IMAGE_ERROR
                 : image->published ? VIMG_IMAGE_ACTIVE
                                    : VIMG_IMAGE_SAVING;
    out->reason = g_steal_pointer(&fault);
    if (VIMG_PLUGIN_IMAGE_HAS(out, origin))
        out->origin = g_strdup(from->origin);
    if (VIMG_PLUGIN_IMAGE_HAS(out, copy_of))
        out->copy_of = g_strdup(from->copy_of);
    if (VIMG_PLUGIN_IMAGE_HAS(out, machine))
        out->machine = g_strdup(from->machine);
    /* slices have their names by what they hold, and the index names all of them */
    vimg_plugin_image_set_generation(out, sealed ? manifest->index_digest : NULL);
}

gboolean
vimg_image_stat(VimgSliceStore *store, const char *uuid, VimgPluginImage *out, GError **error)
{
    g_auto(VimgStoredImage) image = {0};

    if (!vimg_image_load(store, uuid, &image, error))
        return FALSE;
    vimg_image_describe(store, &image, out);
    return TRUE;
}

gboolean
vimg_image_is_uuid(const char *name)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);

    return g_uuid_string_is_valid(name) && strcmp(name, lower) == 0;
}

GPtrArray *
vimg_image_uuids(VimgSliceStore *store, GError **error)
{
    GPtrArray *names = NULL;
    int result = vimg_transport_list(store->transport, "images", &names);
    guint i = 0;

    if (result != 0) {
        throw_result(error, result, _("cannot list the images"));
        return NULL;
    }
    while (i < names->len) {
        if (vimg_image_is_uuid(names->pdata[i]))
            i++;
        else
            g_ptr_array_remove_index_fast(names, i);
    }
    return names;
}
