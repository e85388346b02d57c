/*
 * turn.c: one change of an image at a time, whichever host it comes from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "sign.h"
#include "throw.h"
#include "turn.h"

#define MAX_ROUNDS 40

/* @out: (transfer full); also if it could not be had, for its lease to be ended */
static int
take(VimgLease *owned, const char *uuid, guint rounds, VimgTurn **out)
{
    g_autofree char *other = NULL;
    int result;

    *out = g_new0(VimgTurn, 1);
    (*out)->lease = owned;
    (*out)->uuid = g_strdup(uuid);
    result = vimg_sign_try(owned, uuid, VIMG_SIGN_TURN, &other);
    while (result == EBUSY && --rounds > 0) {
        g_free(other);
        vimg_sign_pause(owned->store);
        result = vimg_sign_try(owned, uuid, VIMG_SIGN_TURN, &other);
    }
    return result;
}

VimgTurn *
vimg_turn_try(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(VimgTurn) turn = NULL;
    VimgLease *lease = vimg_lease_new(store, NULL);

    if (!lease || take(lease, uuid, 1, &turn) != 0)
        return NULL;
    return g_steal_pointer(&turn);
}

VimgTurn *
vimg_turn_new(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgTurn) turn = NULL;
    VimgLease *lease = vimg_lease_new(store, error);
    int result;

    if (!lease)
        return NULL;
    result = take(lease, uuid, MAX_ROUNDS, &turn);
    if (result == 0)
        return g_steal_pointer(&turn);
    if (result == ENOENT || result == ENOTDIR)
        throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
    else if (result == EBUSY)
        throw_error(error, VIMG_ERROR_BUSY, _("image %s is being changed by somebody else"), uuid);
    else
        throw_result(error, result, _("cannot change image %s"), uuid);
    return NULL;
}

void
vimg_turn_free(VimgTurn *turn)
{
    if (!turn)
        return;
    vimg_sign_end(turn->lease, turn->uuid, VIMG_SIGN_TURN);
    vimg_lease_free(turn->lease);
    g_free(turn->uuid);
    g_free(turn);
}
