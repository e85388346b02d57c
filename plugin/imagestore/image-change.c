/*
 * image-change.c: making, changing and removing the images of a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "adopt.h"
#include "aside.h"
#include "claim.h"
#include "damage.h"
#include "image.h"
#include "ready.h"
#include "slice.h"
#include "../throw.h"
#include "turn.h"
#include "writing.h"

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
    g_autofree char *dir = vimg_image_dir(uuid);
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

/* What goes on beside the making of an image. */
typedef struct {
    const VimgManifest *manifest;
    VimgLease *lease;
    char *text; /* of the manifest, staged */
    GError *error;
    int result; /* of making its directory durable */
} Making;

static void
stage_manifest(gpointer data)
{
    Making *making = data;

    vimg_manifest_stage(making->manifest, making->lease, &making->text, &making->error);
}

static void
sync_images(gpointer data)
{
    Making *making = data;

    making->result = vimg_transport_sync(making->lease->store->transport, "images");
}

static gboolean
make_dir(Making *making, const char *dir, GError **error)
{
    VimgTransport *transport = making->lease->store->transport;
    VimgAside aside;
    int result;

    vimg_aside_begin(&aside, transport, stage_manifest, making);
    result = vimg_transport_mkdir(transport, dir);
    if (result == 0 || aside.started)
        vimg_aside_end(&aside);
    if (result == EEXIST)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("image %s exists already"),
                           making->manifest->image.uuid);
    /* it may have been made all the same, if the answer was lost */
    if (result != 0)
        vimg_transport_rmdir(transport, dir);
    return result == 0 || throw_result(error, result, _("cannot make the directory of the image"));
}

/* The manifest into the directory that is there, both durable. */
static gboolean
fill_dir(Making *making, VimgManifest *manifest, GError **error)
{
    VimgLease *lease = making->lease;
    VimgAside aside;
    gboolean good;

    if (making->error) {
        g_propagate_error(error, g_steal_pointer(&making->error));
        return FALSE;
    }
    vimg_aside_begin(&aside, lease->store->transport, sync_images, making);
    good = vimg_manifest_write_staged(manifest, lease, making->text, error);
    vimg_aside_end(&aside);
    if (good && making->result != 0)
        return throw_result(error, making->result, _("cannot make the directory of the image"));
    return good;
}

gboolean
vimg_image_make(VimgManifest *manifest, VimgLease *lease, GError **error)
{
    VimgSliceStore *store = lease->store;
    const char *uuid = manifest->image.uuid;
    g_autofree char *dir = vimg_image_dir(uuid);
    Making making = {.manifest = manifest, .lease = lease};
    gboolean made = make_dir(&making, dir, error);
    gboolean good = made && fill_dir(&making, manifest, error);

    g_free(making.text);
    g_clear_error(&making.error);
    if (!made)
        return FALSE;
    /* without its claim the image does not exist for anybody */
    if (good && vimg_claim_take(store, manifest->image.name, uuid, error)) {
        /* without a lease it may have been taken for rubbish before it had its name */
        if (vimg_lease_check(lease, error))
            return TRUE;
        vimg_claim_release(store, manifest->image.name, uuid, NULL);
    }
    vimg_image_remove_files(store, lease, uuid);
    return FALSE;
}

/* Whoever had its name from the same file left word of that before. */
static gboolean
check_origin(VimgSliceStore *store, const VimgManifest *manifest, GError **error)
{
    const VimgPluginImage *image = &manifest->image;
    gboolean before = FALSE;
    gboolean known;

    if (!image->origin)
        return TRUE;
    known = vimg_adopted_before(store, image->origin, &before, error);
    if (known && !before)
        return TRUE;
    vimg_image_remove(store, image->uuid, NULL);
    return known && throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", image->name);
}

gboolean
vimg_image_create(VimgSliceStore *store, const VimgPluginImage *image, VimgPluginImage *out,
                  GError **error)
{
    g_autoptr(VimgLease) lease = vimg_lease_new(store, error);
    g_auto(VimgStoredImage) made = {.present = TRUE, .claimed = TRUE};

    if (!lease)
        return FALSE;
    made.manifest = vimg_manifest_new(image);
    if (made.manifest->image.created == 0)
        made.manifest->image.created = g_get_real_time() / G_USEC_PER_SEC;
    /* the origin only with the name in hand */
    if (!vimg_image_make(made.manifest, lease, error) || !check_origin(store, made.manifest, error))
        return FALSE;
    vimg_image_describe(store, &made, out);
    vimg_ready_keep(g_steal_pointer(&lease), made.manifest);
    return TRUE;
}

static gboolean
to_trash(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autofree char *dir = vimg_image_dir(uuid);
    g_autofree char *mark = vimg_image_path(uuid, VIMG_IMAGE_DELETED);
    int result = vimg_transport_create(store->transport, mark, "", 0, FALSE);

    if (result == ENOENT)
        return throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
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
note_origin(VimgSliceStore *store, const VimgStoredImage *image, GError **error)
{
    const char *origin = image->manifest->image.origin;

    return !image->published || !origin || vimg_adopted_note(store, origin, error);
}

/* @unfinished: no other */
static gboolean
remove_image(const VimgTurn *turn, const char *uuid, gboolean unfinished, GError **error)
{
    VimgSliceStore *store = turn->lease->store;
    g_auto(VimgStoredImage) image = {0};
    g_autofree char *fault = NULL;
    const char *name;
    int result;

    if (!vimg_image_load(store, uuid, &image, error))
        return FALSE;
    fault = vimg_image_find_fault(&image);
    name = image.manifest->image.name;
    if (unfinished && image.published)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the content of an active image never changes"));
    if (!note_origin(store, &image, error))
        return FALSE;
    /* one that lacks slices may get them back */
    if (image.published && !fault)
        return to_trash(store, uuid, error) && vimg_claim_withdraw(turn->lease, name, uuid, error);
    if (!vimg_writing_check(store, uuid, error) ||
        !vimg_claim_withdraw(turn->lease, name, uuid, error))
        return FALSE;
    result = vimg_image_remove_files(store, turn->lease, uuid);
    /* it is gone for every client; what is left of it is for the collector */
    if (result != 0)
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot remove all files of image %s: %s", uuid,
                             g_strerror(result));
    return TRUE;
}

/* Without a turn, for want of space, nobody must be upset: the mark does that. */
static gboolean
remove_crowded(VimgSliceStore *store, const char *uuid, GError *why, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(GError) full = why;
    g_autofree char *fault = NULL;

    if (!vimg_image_load(store, uuid, &image, error))
        return FALSE;
    fault = vimg_image_find_fault(&image);
    if (!image.published || fault) {
        g_propagate_error(error, g_steal_pointer(&full));
        return FALSE;
    }
    return note_origin(store, &image, error) && to_trash(store, uuid, error) &&
           vimg_claim_release(store, image.manifest->image.name, uuid, error);
}

gboolean
vimg_image_remove(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgTurn) turn = vimg_turn_new_to_remove(store, uuid, &local);

    vimg_ready_drop(store, uuid);
    if (turn)
        return remove_image(turn, uuid, FALSE, error);
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SPACE))
        return remove_crowded(store, uuid, g_steal_pointer(&local), error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_image_discard(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgTurn) turn = vimg_turn_new_to_remove(store, uuid, error);

    return turn && remove_image(turn, uuid, TRUE, error);
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
    g_autofree char *dir = vimg_image_dir(uuid);
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
        g_auto(VimgStoredImage) found = {0};
        g_autofree char *partial = NULL;

        result = vimg_image_look(store, uuid, &found);
        if (result != 0 || found.durable == 0)
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
    vimg_plugin_image_wipe(&image.manifest->image);
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
    /* whoever says so was fenced, and another host completed it */
    if (image.published)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the content of an active image never changes"));
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
