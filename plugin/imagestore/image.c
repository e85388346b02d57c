/*
 * image.c: images of a store as they lie on it
 *
 * Whether an image is active, saving or in the trash is told by which files are in its directory,
 * never by what a file says.  Listing reads the manifests and no index.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "damage.h"
#include "image.h"
#include "json.h"
#include "parent.h"
#include "slice.h"
#include "throw.h"

#define LOOKS 3

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

static gint
compare_numbers(gconstpointer a, gconstpointer b)
{
    guint64 x = *(const guint64 *)a;
    guint64 y = *(const guint64 *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/*
 * Sorts what the directory holds into @out; @damaged: it is marked so.  Returns: (transfer full)
 * manifest numbers, falling.
 */
static GArray *
sort_names(const GPtrArray *names, VimgStoredImage *out, gboolean *damaged)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint64));
    guint64 n;
    guint i;

    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (strcmp(name, VIMG_IMAGE_INDEX) == 0)
            out->published = TRUE;
        else if (strcmp(name, VIMG_IMAGE_DELETED) == 0)
            out->deleted = TRUE;
        else if (strcmp(name, VIMG_IMAGE_DAMAGED) == 0)
            *damaged = TRUE;
        else if (vimg_manifest_number(name, VIMG_IMAGE_PARTIAL, "", &n))
            out->durable = MAX(out->durable, n);
        else if (vimg_manifest_number(name, "manifest.", ".json", &n))
            g_array_append_val(numbers, n);
    }
    g_array_sort(numbers, compare_numbers);
    return numbers;
}

/*
 * The manifest with the highest number that is whole; none is no error.  @passed: one of @numbers
 * is gone, as where a newer one has just taken its place.
 */
static int
load_manifest(VimgSliceStore *store, const char *uuid, const GArray *numbers, VimgStoredImage *out,
              gboolean *passed)
{
    guint i;

    for (i = 0; i < numbers->len && !out->manifest; i++) {
        guint64 n = g_array_index(numbers, guint64, i);
        g_autofree char *path =
            g_strdup_printf("images/%s/manifest.%" G_GUINT64_FORMAT ".json", uuid, n);
        g_autoptr(VimgBuffer) content = NULL;
        int result = vimg_transport_read(store->transport, path, VIMG_JSON_MAX_SIZE, &content);

        if (result != 0 && result != ENOENT && result != EFBIG)
            return result;
        if (result == ENOENT)
            *passed = TRUE;
        if (result == 0)
            out->manifest = vimg_manifest_parse(content->data, content->size, NULL);
        if (out->manifest && strcmp(out->manifest->image.uuid, uuid) != 0)
            g_clear_pointer(&out->manifest, vimg_manifest_free);
        if (out->manifest)
            out->manifest->number = g_array_index(numbers, guint64, 0);
    }
    return 0;
}

/* 0: there is something at @path; ENOENT: surely not. */
static int
find(VimgSliceStore *store, const char *path)
{
    VimgFileInfo info;
    int result = vimg_transport_stat(store->transport, path, &info);

    return result == ENOTDIR ? ENOENT : result;
}

/*
 * Whether it has its name, or else the mark of the trash.  An image always has one of them, but
 * deleted or restored between two looks it may seem to have neither.
 */
static int
look_at_name(VimgSliceStore *store, const char *uuid, VimgStoredImage *out)
{
    g_autofree char *claim = vimg_claim_path(out->manifest->image.name, uuid);
    g_autofree char *mark = vimg_image_path(uuid, VIMG_IMAGE_DELETED);
    int result = find(store, claim);
    guint round;

    for (round = 0; result == ENOENT && !out->deleted && round < LOOKS; round++) {
        result = find(store, mark);
        out->deleted = result == 0;
        if (result == ENOENT)
            result = find(store, claim);
        else if (result == 0)
            result = ENOENT;
    }
    out->claimed = result == 0;
    return result == ENOENT ? 0 : result;
}

/* One look into its directory and at its manifest.  @passed: as load_manifest(). */
static int
look_inside(VimgSliceStore *store, const char *uuid, VimgStoredImage *out, gboolean *damaged,
            gboolean *passed)
{
    g_autofree char *dir = vimg_image_dir(uuid);
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GArray) numbers = NULL;
    int result = vimg_transport_list(store->transport, dir, &names);

    if (result == ENOENT || result == ENOTDIR)
        return 0;
    if (result != 0)
        return result;
    out->present = TRUE;
    numbers = sort_names(names, out, damaged);
    result = load_manifest(store, uuid, numbers, out, passed);
    out->illegible = numbers->len > 0 && !out->manifest;
    return result;
}

int
vimg_image_look(VimgSliceStore *store, const char *uuid, VimgStoredImage *out)
{
    g_autofree char *index = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    gboolean damaged = FALSE;
    gboolean passed = TRUE;
    guint round;
    int result = 0;

    for (round = 0; passed && round < LOOKS && result == 0 && !out->manifest; round++) {
        vimg_stored_image_clear(out);
        damaged = passed = FALSE;
        result = look_inside(store, uuid, out, &damaged, &passed);
    }
    if (result != 0 || !out->manifest)
        return result;
    if (out->published && damaged)
        out->damage = vimg_damage_look(store, uuid);
    result = look_at_name(store, uuid, out);
    if (result == 0 && out->published) {
        VimgFileInfo info = {0};

        result = vimg_transport_stat(store->transport, index, &info);
        out->index_size = info.size;
        out->stored = info.mtime;
    }
    /* one that is being removed lacks it, which is no reason to say nothing of it */
    return result == ENOENT ? 0 : result;
}

/* An image is there for clients if it has a manifest and its name and is not in the trash. */
static gboolean
is_present(const VimgStoredImage *image)
{
    return image->manifest && image->claimed && !image->deleted;
}

static gboolean
throw_gone(GError **error, const char *uuid)
{
    return throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
}

gboolean
vimg_image_load(VimgSliceStore *store, const char *uuid, VimgStoredImage *out, GError **error)
{
    int result = vimg_image_look(store, uuid, out);

    if (result == 0 && is_present(out))
        return TRUE;
    vimg_stored_image_clear(out);
    if (result != 0)
        return throw_result(error, result, _("cannot read image %s"), uuid);
    return throw_gone(error, uuid);
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
vimg_image_index(VimgSliceStore *store, const VimgStoredImage *image, GError **error)
{
    g_autofree char *path = vimg_image_path(image->manifest->image.uuid, VIMG_IMAGE_INDEX);
    g_autofree char *digest = NULL;
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(VimgIndex) index = NULL;
    int result = vimg_transport_read(store->transport, path, VIMG_INDEX_MAX_SIZE, &content);

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

/* @whole: what cannot be read is an error, else it is left out. */
static gboolean
list(VimgSliceStore *store, gboolean whole, VimgImageSink sink, gpointer data, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, "images", &names);
    guint i;

    if (result != 0)
        return throw_result(error, result, _("cannot list the images"));
    for (i = 0; i < names->len; i++) {
        const char *uuid = g_ptr_array_index(names, i);
        g_auto(VimgStoredImage) image = {0};
        g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

        if (!vimg_image_is_uuid(uuid))
            continue;
        result = vimg_image_look(store, uuid, &image);
        if (whole && (result != 0 || image.illegible))
            return throw_result(error, result ? result : EBADMSG, _("cannot read image %s"), uuid);
        if (result != 0)
            vimg_slice_store_log(VIMG_LOG_WARNING, "image %s is left out: %s", uuid,
                                 g_strerror(result));
        if (result != 0 || !is_present(&image))
            continue;
        vimg_image_describe(store, &image, &out);
        if (out.state == VIMG_IMAGE_ACTIVE)
            vimg_parent_note(store, uuid, image.stored);
        if (!sink(&out, data))
            break;
    }
    return TRUE;
}

gboolean
vimg_image_list(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    return list(store, FALSE, sink, data, error);
}

gboolean
vimg_image_list_whole(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    return list(store, TRUE, sink, data, error);
}
