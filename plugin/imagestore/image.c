/*
 * image.c: images of a store as they lie on it
 *
 * Whether an image is active, saving or in the trash is told by which files are in its directory,
 * never by what a file says.  Listing reads the manifests and no index.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "adopt.h"
#include "claim.h"
#include "damage.h"
#include "image.h"
#include "json.h"
#include "parent.h"
#include "slice.h"
#include "throw.h"
#include "turn.h"
#include "writing.h"

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

static char *
image_dir(const char *uuid)
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
 * Sorts what the directory holds into @out; @damaged: it is marked so, may be NULL.  Returns:
 * (transfer full) manifest numbers, falling.
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
        else if (strcmp(name, VIMG_IMAGE_DAMAGED) == 0 && damaged)
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
    g_autofree char *dir = image_dir(uuid);
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
    gboolean damaged;
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

        vimg_transport_stat(store->transport, index, &info);
        out->index_size = info.size;
        out->stored = info.mtime;
    }
    return result;
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

gboolean
vimg_image_list(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error)
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

/* ---- changing --------------------------------------------------------------------------- */

static int
empty_dir(VimgSliceStore *store, const char *uuid, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, dir, &names);
    guint i;

    for (i = 0; result == 0 && i < names->len; i++) {
        g_autofree char *path = vimg_image_path(uuid, g_ptr_array_index(names, i));

        result = vimg_transport_unlink(store->transport, path);
        if (result == ENOENT)
            result = 0;
    }
    return result == 0 ? vimg_transport_rmdir(store->transport, dir) : result;
}

/* By way of the lease, which tells whoever was fenced; at once without one. */
static int
remove_index(VimgSliceStore *store, const VimgLease *lease, const char *uuid)
{
    g_autofree char *index = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autofree char *taken = lease ? vimg_lease_path(lease, "gone") : NULL;
    int result = taken ? vimg_transport_rename(store->transport, index, taken)
                       : vimg_transport_unlink(store->transport, index);

    if (result == 0 && taken)
        vimg_transport_unlink(store->transport, taken);
    if (result == ENOENT && lease && !vimg_lease_check(lease, NULL))
        return ESTALE;
    return result;
}

/* The index goes first, and durably: no slice it names is freed while a crash could bring it back.
 */
int
vimg_image_remove_files(VimgSliceStore *store, const VimgLease *lease, const char *uuid)
{
    g_autofree char *dir = image_dir(uuid);
    int result = remove_index(store, lease, uuid);
    guint i;

    if (result == 0)
        result = vimg_transport_sync(store->transport, dir);
    if (result != 0 && result != ENOENT)
        return result;
    result = ENOTEMPTY;
    /* somebody may ask for the turn just now */
    for (i = 0; i < 3 && (result == ENOTEMPTY || result == EEXIST); i++)
        result = empty_dir(store, uuid, dir);
    if (result == 0)
        result = vimg_transport_sync(store->transport, "images");
    return result == ENOENT ? 0 : result;
}

gboolean
vimg_image_make(VimgManifest *manifest, VimgLease *lease, GError **error)
{
    VimgSliceStore *store = lease->store;
    const char *uuid = manifest->image.uuid;
    g_autofree char *dir = image_dir(uuid);
    int result = vimg_transport_mkdir(store->transport, dir);

    if (result == EEXIST)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("image %s exists already"), uuid);
    if (result == 0)
        result = vimg_transport_sync(store->transport, "images");
    if (result != 0) {
        vimg_transport_rmdir(store->transport, dir);
        return throw_result(error, result, _("cannot make the directory of the image"));
    }
    /* without its claim the image does not exist for anybody */
    if (vimg_manifest_write(manifest, lease, error) &&
        vimg_claim_take(store, manifest->image.name, uuid, error)) {
        /* without a lease it may have been taken for rubbish before it had its name */
        if (vimg_lease_check(lease, error))
            return TRUE;
        vimg_claim_release(store, manifest->image.name, uuid, NULL);
    }
    vimg_image_remove_files(store, lease, uuid);
    return FALSE;
}

gboolean
vimg_image_create(VimgSliceStore *store, const VimgPluginImage *image, VimgPluginImage *out,
                  GError **error)
{
    g_autoptr(VimgLease) lease = vimg_lease_new(store, error);
    g_autoptr(VimgManifest) manifest = NULL;

    if (!lease)
        return FALSE;
    manifest = vimg_manifest_new(image);
    if (manifest->image.created == 0)
        manifest->image.created = g_get_real_time() / G_USEC_PER_SEC;
    if (!vimg_image_make(manifest, lease, error))
        return FALSE;
    /* with the name in hand: whoever had it from the same file left word of that before */
    if (manifest->image.origin && vimg_adopted_before(store, manifest->image.origin)) {
        vimg_image_remove(store, image->uuid, NULL);
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", image->name);
    }
    return vimg_image_stat(store, image->uuid, out, error);
}

static gboolean
to_trash(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autofree char *dir = image_dir(uuid);
    g_autofree char *mark = vimg_image_path(uuid, VIMG_IMAGE_DELETED);
    int result = vimg_transport_create(store->transport, mark, "", 0, FALSE);

    if (result == ENOENT)
        return throw_gone(error, uuid);
    if (result == EEXIST)
        result = 0;
    if (result == 0)
        result = vimg_transport_sync(store->transport, dir);
    /* from here on a collector that keeps nothing may be faster */
    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot move the image to the trash"));
    return TRUE;
}

static gboolean
release_name(VimgSliceStore *store, const VimgTurn *turn, const VimgStoredImage *image,
             GError **error)
{
    const VimgPluginImage *known = &image->manifest->image;

    return turn ? vimg_claim_withdraw(turn->lease, known->name, known->uuid, error)
                : vimg_claim_release(store, known->name, known->uuid, error);
}

/* @turn: NULL only if none can be had; @unfinished: no other */
static gboolean
remove_image(VimgSliceStore *store, const VimgTurn *turn, const char *uuid, gboolean unfinished,
             GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autofree char *fault = NULL;
    int result;

    if (!vimg_image_load(store, uuid, &image, error))
        return FALSE;
    fault = vimg_image_find_fault(&image);
    if (unfinished && image.published)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the content of an active image never changes"));
    if (image.published && image.manifest->image.origin &&
        !vimg_adopted_note(store, image.manifest->image.origin, error))
        return FALSE;
    /* one that lacks slices may get them back */
    if (image.published && !fault)
        return to_trash(store, uuid, error) && release_name(store, turn, &image, error);
    if (!vimg_writing_check(store, uuid, error) || !release_name(store, turn, &image, error))
        return FALSE;
    result = vimg_image_remove_files(store, turn ? turn->lease : NULL, uuid);
    /* it is gone for every client; what is left of it is for the collector */
    if (result != 0)
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot remove all files of image %s: %s", uuid,
                             g_strerror(result));
    return TRUE;
}

static gboolean
take_and_remove(VimgSliceStore *store, const char *uuid, gboolean unfinished, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgTurn) turn = vimg_turn_new(store, uuid, &local);

    /* a full disk is no reason to keep an image */
    if (turn || g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SPACE))
        return remove_image(store, turn, uuid, unfinished, error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_image_remove(VimgSliceStore *store, const char *uuid, GError **error)
{
    return take_and_remove(store, uuid, FALSE, error);
}

gboolean
vimg_image_discard(VimgSliceStore *store, const char *uuid, GError **error)
{
    return take_and_remove(store, uuid, TRUE, error);
}

/* Loads an image to be changed, with the turn to change it in. */
static VimgTurn *
begin_change(VimgSliceStore *store, const char *uuid, VimgStoredImage *image, GError **error)
{
    g_autoptr(VimgTurn) turn = vimg_turn_new(store, uuid, error);

    if (!turn || !vimg_image_load(store, uuid, image, error))
        return NULL;
    return g_steal_pointer(&turn);
}

gboolean
vimg_image_resize(VimgSliceStore *store, const char *uuid, guint64 capacity, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgTurn) turn = begin_change(store, uuid, &image, error);

    if (!turn)
        return FALSE;
    if (image.published)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the content of an active image never changes"));
    if (capacity < image.durable)
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("%1$llu bytes are stored already, more than %2$llu"),
                           ULL(image.durable), ULL(capacity));
    image.manifest->image.capacity = capacity;
    return vimg_manifest_write(image.manifest, turn->lease, error);
}

/*
 * Removes index and partial indexes, the longest partial first: each state between is consistent.
 * What was said of the old content must not be said of the next.
 */
static int
drop_content(VimgSliceStore *store, const char *uuid)
{
    g_autofree char *dir = image_dir(uuid);
    g_autofree char *index = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autofree char *damaged = vimg_image_path(uuid, VIMG_IMAGE_DAMAGED);
    int result = vimg_transport_unlink(store->transport, damaged);

    if (result == 0)
        result = vimg_transport_sync(store->transport, dir);
    if (result == 0 || result == ENOENT)
        result = vimg_transport_unlink(store->transport, index);
    if (result == ENOENT)
        result = 0;
    while (result == 0) {
        g_autoptr(GPtrArray) names = NULL;
        g_autoptr(GArray) numbers = NULL;
        g_autofree char *partial = NULL;
        VimgStoredImage found = {0};

        result = vimg_transport_list(store->transport, dir, &names);
        if (result != 0)
            break;
        numbers = sort_names(names, &found, NULL);
        if (found.durable == 0)
            break;
        partial = vimg_image_partial_path(uuid, found.durable);
        result = vimg_transport_unlink(store->transport, partial);
    }
    return result == 0 ? vimg_transport_sync(store->transport, dir) : result;
}

gboolean
vimg_image_wipe(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgTurn) turn = begin_change(store, uuid, &image, error);
    g_autofree char *fault = NULL;
    int result;

    if (!turn)
        return FALSE;
    fault = vimg_image_find_fault(&image);
    if (image.published && !fault && !image.damage)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("an active image cannot be wiped; delete and purge it"));
    if (!vimg_writing_check(store, uuid, error))
        return FALSE;
    result = drop_content(store, uuid);
    if (result != 0)
        return throw_result(error, result, _("cannot drop the content of the image"));
    g_clear_pointer(&image.manifest->image.reason, g_free);
    image.manifest->image.allocation = 0;
    image.manifest->sealed = FALSE;
    return vimg_manifest_write(image.manifest, turn->lease, error);
}

gboolean
vimg_image_set_error(VimgSliceStore *store, const char *uuid, const char *reason, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgTurn) turn = begin_change(store, uuid, &image, error);

    if (!turn)
        return FALSE;
    g_free(image.manifest->image.reason);
    image.manifest->image.reason = g_strdup(reason);
    return vimg_manifest_write(image.manifest, turn->lease, error);
}

static void
replace(char **field, const char *value)
{
    if (!value)
        return;
    g_free(*field);
    *field = g_strdup(value);
}

gboolean
vimg_image_set_metadata(VimgSliceStore *store, const VimgPluginImage *change, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgTurn) turn = begin_change(store, change->uuid, &image, error);

    if (!turn)
        return FALSE;
    replace(&image.manifest->image.os, change->os);
    replace(&image.manifest->image.arch, change->arch);
    replace(&image.manifest->image.description, change->description);
    return vimg_manifest_write(image.manifest, turn->lease, error);
}
