/*
 * claim.c: who has a name
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "image.h"
#include "sign.h"
#include "../throw.h"
#include "turn.h"

#define MAX_ROUNDS 8

static char *
name_dir(const char *name)
{
    return g_strconcat("names/", name, NULL);
}

char *
vimg_claim_path(const char *name, const char *uuid)
{
    return g_strconcat("names/", name, "/", uuid, NULL);
}

/*
 * Whether the claim is of no use: its image is gone, in the trash or has another name.  Unless who
 * asks has the turn of that image, a delete or a restore may be under way just now.
 */
static gboolean
is_left_over(VimgSliceStore *store, const char *name, const char *uuid, gboolean *gone)
{
    g_auto(VimgStoredImage) image = {0};

    *gone = FALSE;
    if (vimg_image_look(store, uuid, &image) != 0)
        return FALSE;
    *gone = !image.present;
    return *gone || image.deleted ||
           (image.claimed && strcmp(image.manifest->image.name, name) != 0);
}

/* Removes @path by way of the lease, so that whoever was fenced cannot. */
static int
take_away(VimgLease *lease, const char *path)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *taken = vimg_lease_path(lease, "claim");
    int result;

    vimg_transport_unlink(transport, taken); /* the one before */
    result = vimg_transport_rename(transport, path, taken);
    if (result == 0)
        vimg_transport_unlink(transport, taken);
    return result;
}

gboolean
vimg_claim_drop(VimgSliceStore *store, const char *name, const char *uuid)
{
    g_autoptr(VimgTurn) turn = NULL;
    gboolean gone;

    if (!is_left_over(store, name, uuid, &gone))
        return FALSE;
    /* an image that is gone never comes back, and has no turn */
    if (gone)
        return vimg_claim_release(store, name, uuid, NULL);
    turn = vimg_turn_try(store, uuid, NULL);
    return turn && is_left_over(store, name, uuid, &gone) &&
           vimg_claim_withdraw(turn->lease, name, uuid, NULL);
}

/* Whether somebody but @uuid has the name; claims left over are removed. */
static int
find_other(VimgSliceStore *store, const char *name, const char *uuid, gboolean *out)
{
    g_autofree char *dir = name_dir(name);
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, dir, &names);
    guint i;

    *out = FALSE;
    if (result == ENOENT)
        return 0;
    for (i = 0; result == 0 && i < names->len; i++) {
        const char *other = g_ptr_array_index(names, i);

        if (strcmp(other, uuid) != 0 && !vimg_claim_drop(store, name, other))
            *out = TRUE;
    }
    return result;
}

static void
withdraw(VimgSliceStore *store, const char *name, const char *uuid)
{
    g_autofree char *dir = name_dir(name);
    g_autofree char *path = vimg_claim_path(name, uuid);

    vimg_transport_unlink(store->transport, path);
    vimg_transport_rmdir(store->transport, dir);
}

/*
 * One attempt.  @out: whether the name is ours; a directory that vanished under us because another
 * one withdrew counts as not yet.
 */
static int
try_take(VimgSliceStore *store, const char *name, const char *uuid, gboolean *out)
{
    g_autofree char *dir = name_dir(name);
    g_autofree char *path = vimg_claim_path(name, uuid);
    gboolean other = FALSE;
    int result = vimg_transport_mkdir(store->transport, dir);

    *out = FALSE;
    if (result != 0 && result != EEXIST)
        return result;
    result = vimg_transport_create(store->transport, path, "", 0, FALSE);
    if (result == ENOENT)
        return 0;
    if (result == EEXIST)
        result = 0;
    if (result == 0)
        result = find_other(store, name, uuid, &other);
    if (result == 0 && !other) {
        VimgOp syncs[] = {{.kind = VIMG_OP_SYNC, .path = dir},
                          {.kind = VIMG_OP_SYNC, .path = "names"}};

        *out = TRUE;
        vimg_transport_run(store->transport, syncs, G_N_ELEMENTS(syncs));
        result = syncs[0].result ? syncs[0].result : syncs[1].result;
    }
    if (result != 0 || other)
        withdraw(store, name, uuid);
    return result;
}

gboolean
vimg_claim_take(VimgSliceStore *store, const char *name, const char *uuid, GError **error)
{
    guint round;

    for (round = 0; round < MAX_ROUNDS; round++) {
        gboolean other = FALSE;
        gboolean taken = FALSE;
        int result = find_other(store, name, uuid, &other);

        /* a lasting claim is there before ours; one made at the same moment may be withdrawn */
        if (result == 0 && other && round == 0)
            break;
        if (result == 0 && !other)
            result = try_take(store, name, uuid, &taken);
        if (result != 0)
            return throw_result(error, result, _("cannot claim the name '%s'"), name);
        if (taken)
            return TRUE;
        vimg_sign_pause(store);
    }
    return throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
}

/* The claim itself is gone, as @result says; so shall be the directory, if nobody else wants it. */
static gboolean
end_release(VimgSliceStore *store, const char *name, int result, GError **error)
{
    g_autofree char *dir = name_dir(name);

    if (result == 0) {
        result = vimg_transport_rmdir(store->transport, dir);
        /* somebody claimed the name at once */
        if (result == ENOTEMPTY || result == EEXIST)
            result = vimg_transport_sync(store->transport, dir);
        if (result == 0 || result == ENOENT)
            result = vimg_transport_sync(store->transport, "names");
    }
    if (result != 0)
        return throw_result(error, result, _("cannot release the name '%s'"), name);
    return TRUE;
}

gboolean
vimg_claim_release(VimgSliceStore *store, const char *name, const char *uuid, GError **error)
{
    g_autofree char *path = vimg_claim_path(name, uuid);
    int result = vimg_transport_unlink(store->transport, path);

    return result == ENOENT || end_release(store, name, result, error);
}

gboolean
vimg_claim_withdraw(VimgLease *lease, const char *name, const char *uuid, GError **error)
{
    VimgTransport *transport = lease->store->transport;
    g_autofree char *path = vimg_claim_path(name, uuid);
    int result = take_away(lease, path);
    VimgFileInfo info;

    if (result == ENOENT && vimg_transport_stat(transport, path, &info) == ENOENT)
        return TRUE;
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    return end_release(lease->store, name, result, error);
}

gboolean
vimg_claim_holds(VimgSliceStore *store, const char *name, const char *uuid, GError **error)
{
    g_autofree char *path = vimg_claim_path(name, uuid);
    VimgFileInfo info;
    int result = vimg_transport_stat(store->transport, path, &info);

    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot look up the name '%s'"), name);
    return result == 0;
}
