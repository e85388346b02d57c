/*
 * trash.c: deleted images
 *
 * What decides is who moves the mark images/<uuid>/deleted into his lease: a restore, a purge, or a
 * collector.  All have the turn of the image besides, so that each of them finds the claims and
 * manifests as the one before it left them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "clock.h"
#include "image.h"
#include "promise.h"
#include "publish.h"
#include "../throw.h"
#include "trash.h"
#include "turn.h"

#define MARKS 16384 /* looked for at once */

static gboolean
throw_gone(GError **error, const char *uuid)
{
    return throw_error(error, VIMG_ERROR_NO_VOL,
                       _("image %s is not in the trash; it was restored or removed"), uuid);
}

/* ---- listing ---------------------------------------------------------------------------- */

static void
describe(VimgSliceStore *store, const char *uuid, const VimgStoredImage *image,
         VimgPluginImage *out)
{
    if (image->manifest) {
        vimg_image_describe(store, image, out);
        return;
    }
    /* so that it can be purged */
    out->uuid = g_strdup(uuid);
    out->name = g_strdup(uuid);
    out->state = VIMG_IMAGE_ERROR;
    out->reason = g_strdup(_("the manifest cannot be read"));
}

/* Those of @uuids that have the mark, borrowed.  Returns: (transfer full); NULL with @error. */
static GPtrArray *
find_marked(VimgSliceStore *store, const GPtrArray *uuids, GError **error)
{
    g_autoptr(GPtrArray) marked = g_ptr_array_new();
    g_autofree VimgOp *ops = g_new0(VimgOp, uuids->len);
    int result = 0;
    guint i;

    for (i = 0; i < uuids->len; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT,
                          .path = vimg_image_path(uuids->pdata[i], VIMG_IMAGE_DELETED)};
    for (i = 0; i < uuids->len; i += MARKS)
        vimg_transport_run(store->transport, ops + i, MIN(MARKS, uuids->len - i));
    for (i = 0; i < uuids->len; i++) {
        if (ops[i].result == 0)
            g_ptr_array_add(marked, uuids->pdata[i]);
        else if (ops[i].result != ENOENT && ops[i].result != ENOTDIR)
            result = ops[i].result;
    }
    vimg_transport_clear_ops(ops, uuids->len, TRUE);
    if (result != 0) {
        throw_result(error, result, _("cannot list the images"));
        return NULL;
    }
    return g_steal_pointer(&marked);
}

/* FALSE without @error: the sink takes no more. */
static gboolean
show(VimgSliceStore *store, const VimgImageLook *look, VimgImageSink sink, gpointer data,
     GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    /* not of this image: of the storage, or of whoever asks */
    if (look->result == ENOTCONN || look->result == ECANCELED)
        return throw_result(error, look->result, _("cannot list the images"));
    if (look->result != 0)
        vimg_slice_store_log(VIMG_LOG_WARNING, "image %s is left out of the trash: %s", look->uuid,
                             g_strerror(look->result));
    if (look->result != 0 || !look->stored.deleted)
        return TRUE;
    describe(store, look->uuid, &look->stored, &out);
    out.deleted = MAX(1, vimg_clock_seconds(look->stored.removed));
    return sink(&out, data);
}

gboolean
vimg_trash_list(VimgSliceStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    g_autoptr(GPtrArray) uuids = vimg_image_uuids(store, error);
    g_autoptr(GPtrArray) marked = NULL;
    g_autoptr(GError) local = NULL;
    guint i;
    guint k;

    if (!uuids)
        return FALSE;
    marked = find_marked(store, uuids, error);
    if (!marked)
        return FALSE;
    for (i = 0; i < marked->len; i += VIMG_IMAGE_LOOKS) {
        g_autoptr(GArray) looks = vimg_image_look_some(store, marked, i, VIMG_IMAGE_LOOKS);

        for (k = 0; k < looks->len; k++) {
            if (show(store, &g_array_index(looks, VimgImageLook, k), sink, data, &local))
                continue;
            if (!local)
                return TRUE;
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- the mark --------------------------------------------------------------------------- */

/* The turn of an image in the trash. */
static VimgTurn *
begin(VimgSliceStore *store, const char *uuid, gboolean purge, VimgStoredImage *image,
      GError **error)
{
    g_autoptr(VimgTurn) turn =
        purge ? vimg_turn_new_to_remove(store, uuid, error) : vimg_turn_new(store, uuid, error);
    int result;

    if (!turn)
        return NULL;
    result = vimg_image_look(store, uuid, image);
    if (result != 0) {
        throw_result(error, result, _("cannot read image %s"), uuid);
        return NULL;
    }
    if (!image->deleted) {
        throw_gone(error, uuid);
        return NULL;
    }
    return g_steal_pointer(&turn);
}

static gboolean
take_mark(const VimgTurn *turn, const char *uuid, GError **error)
{
    VimgTransport *transport = turn->lease->store->transport;
    g_autofree char *mark = vimg_image_path(uuid, VIMG_IMAGE_DELETED);
    g_autofree char *taken = vimg_lease_path(turn->lease, VIMG_IMAGE_DELETED);
    int result = vimg_transport_rename(transport, mark, taken);
    VimgFileInfo info;

    if (result == ENOENT && vimg_transport_stat(transport, turn->lease->dir, &info) == ENOENT)
        return vimg_lease_throw_fenced(error);
    if (result == ENOENT)
        return throw_gone(error, uuid);
    if (result != 0)
        return throw_result(error, result, _("cannot take the image out of the trash"));
    return TRUE;
}

/* Says instead of @error, which came of it, that the mark or the lease is gone.  Returns: FALSE. */
static gboolean
blame(const VimgTurn *turn, const char *uuid, GError **error)
{
    g_autofree char *mark = vimg_image_path(uuid, VIMG_IMAGE_DELETED);
    VimgFileInfo info;

    if (vimg_transport_stat(turn->lease->store->transport, mark, &info) == ENOENT) {
        g_clear_error(error);
        throw_gone(error, uuid);
    }
    return vimg_lease_blame(turn->lease, error);
}

static gboolean
sync_mark(const VimgTurn *turn, const char *uuid, GError **error)
{
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    int result = vimg_transport_sync(turn->lease->store->transport, dir);

    if (result != 0)
        return throw_result(error, result, _("cannot take the image out of the trash"));
    return TRUE;
}

static gboolean
give_back_mark(const VimgTurn *turn, const char *uuid)
{
    g_autofree char *mark = vimg_image_path(uuid, VIMG_IMAGE_DELETED);
    g_autofree char *taken = vimg_lease_path(turn->lease, VIMG_IMAGE_DELETED);

    return vimg_transport_rename(turn->lease->store->transport, taken, mark) == 0;
}

/* ---- restoring -------------------------------------------------------------------------- */

/* What a publisher looks at before it publishes; what it moved back is durable then. */
static gboolean
check_content(VimgSliceStore *store, const VimgStoredImage *image, GError **error)
{
    g_autoptr(VimgIndex) index = NULL;
    guint64 allocation;

    if (!image->manifest)
        return throw_error(error, VIMG_ERROR_DAMAGED, _("the manifest cannot be read"));
    index = vimg_image_index(store, image, error);
    return index && vimg_publish_check(store, index, NULL, &allocation, error) &&
           vimg_publish_sync(store, index, error);
}

/*
 * The claim of a restore that failed.  Whoever was fenced asks for the turn anew: another one may
 * have restored the image under that very name meanwhile.
 */
static void
withdraw(VimgTurn **turn, const char *uuid, const char *name)
{
    VimgSliceStore *store = (*turn)->lease->store;

    if (vimg_claim_withdraw((*turn)->lease, name, uuid, NULL))
        return;
    g_clear_pointer(turn, vimg_turn_free);
    vimg_claim_drop(store, name, uuid);
}

static gboolean
write_name(const VimgTurn *turn, VimgManifest *manifest, const char *name, GError **error)
{
    if (strcmp(manifest->image.name, name) == 0)
        return TRUE;
    g_free(manifest->image.name);
    manifest->image.name = g_strdup(name);
    return vimg_manifest_write(manifest, turn->lease, error);
}

/* The mark is ours: what must be true before anybody is told so. */
static gboolean
settle(const VimgTurn *turn, const char *uuid, const char *name, GError **error)
{
    VimgSliceStore *store = turn->lease->store;

    /* a collector may have taken our claim for that of an earlier restore that crashed */
    return (vimg_claim_holds(store, name, uuid, NULL) ||
            vimg_claim_take(store, name, uuid, error)) &&
           sync_mark(turn, uuid, error);
}

/*
 * The claim is ours and durable: the image gets its new name, then it is taken out of the trash. In
 * this order, because an image that is neither in the trash nor has the name its manifest says is
 * rubbish: a crash in between leaves it in the trash, at worst by its new name, with a claim that
 * the next restore, or whoever else wants the name, finds to be of no use.
 */
static gboolean
bring_back(VimgTurn **turn, VimgManifest *manifest, const char *name, GError **error)
{
    const char *uuid = manifest->image.uuid;
    gboolean taken = write_name(*turn, manifest, name, error) && take_mark(*turn, uuid, error);

    if (taken && settle(*turn, uuid, name, error))
        return TRUE;
    if (!taken)
        blame(*turn, uuid, error);
    /* what cannot be given back is restored, though we could not make it durable */
    if (!taken || give_back_mark(*turn, uuid))
        withdraw(turn, uuid, name);
    return FALSE;
}

gboolean
vimg_trash_restore(VimgSliceStore *store, const char *uuid, const char *name, VimgPluginImage *out,
                   GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgTurn) turn = begin(store, uuid, FALSE, &image, error);

    if (!turn)
        return FALSE;
    if (!check_content(store, &image, error))
        return blame(turn, uuid, error);
    /* what an interrupted delete or restore left is not found by way of the new manifest */
    if (strcmp(image.manifest->image.name, name) != 0 &&
        !vimg_claim_withdraw(turn->lease, image.manifest->image.name, uuid, error))
        return FALSE;
    if (!vimg_claim_take(store, name, uuid, error))
        return blame(turn, uuid, error);
    return bring_back(&turn, image.manifest, name, error) &&
           vimg_image_stat(store, uuid, out, error);
}

/* ---- purging ---------------------------------------------------------------------------- */

gboolean
vimg_trash_remove(const VimgTurn *turn, const VimgStoredImage *image, GError **error)
{
    VimgSliceStore *store = turn->lease->store;
    int result;

    /* with its name, but without the mark, it would be back */
    if ((image->manifest &&
         !vimg_claim_withdraw(turn->lease, image->manifest->image.name, turn->uuid, error)) ||
        !take_mark(turn, turn->uuid, error))
        return FALSE;
    if (!sync_mark(turn, turn->uuid, error)) {
        give_back_mark(turn, turn->uuid);
        return vimg_lease_blame(turn->lease, error);
    }
    result = vimg_image_remove_files(store, turn->lease, turn->uuid);
    /* nobody can see it any more; what is left of it is for the collector */
    if (result != 0)
        vimg_slice_store_log(VIMG_LOG_WARNING, "cannot remove all files of image %s: %s",
                             turn->uuid, g_strerror(result));
    return TRUE;
}

gboolean
vimg_trash_purge(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgTurn) turn = begin(store, uuid, TRUE, &image, error);

    if (turn && vimg_promise_holds(image.kept))
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("a host exports it: revoke that there, or wait until it expires"));
    return turn && vimg_trash_remove(turn, &image, error);
}
