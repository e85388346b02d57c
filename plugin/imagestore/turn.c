/*
 * turn.c: one change of an image at a time, whichever host it comes from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "sign.h"
#include "spare.h"
#include "survey.h"
#include "throw.h"
#include "turn.h"

#define MAX_ROUNDS 40

/* @out: (transfer full); also if it could not be had, for its lease to be ended */
static int
take(VimgLease *owned, const char *uuid, guint rounds, VimgTurn **out, char **other)
{
    int result;

    *out = g_new0(VimgTurn, 1);
    (*out)->lease = owned;
    (*out)->uuid = g_strdup(uuid);
    result = vimg_sign_try(owned, uuid, VIMG_SIGN_TURN, other);
    while (result == EBUSY && --rounds > 0) {
        g_free(*other);
        vimg_sign_pause(owned->store);
        result = vimg_sign_try(owned, uuid, VIMG_SIGN_TURN, other);
    }
    return result;
}

static VimgTurn *
turn_new(VimgSliceStore *store, const char *uuid, guint rounds, GError **error)
{
    g_autoptr(VimgTurn) turn = NULL;
    g_autofree char *other = NULL;
    g_autofree char *holder = NULL;
    VimgLease *lease = vimg_lease_new(store, error);
    int result;

    if (!lease)
        return NULL;
    result = take(lease, uuid, rounds, &turn, &other);
    if (result == 0)
        return g_steal_pointer(&turn);
    if (result == ENOENT || result == ENOTDIR) {
        throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
    } else if (result == EBUSY) {
        holder = vimg_survey_holder(store, other);
        throw_error(
            error, VIMG_ERROR_BUSY,
            _("image %1$s is being changed by %2$s; if that is gone, try again once it was not seen alive for 15 minutes"),
            uuid, holder);
    } else {
        throw_result(error, result, _("cannot change image %s"), uuid);
    }
    return NULL;
}

VimgTurn *
vimg_turn_try(VimgSliceStore *store, const char *uuid, GError **error)
{
    return turn_new(store, uuid, 1, error);
}

VimgTurn *
vimg_turn_new(VimgSliceStore *store, const char *uuid, GError **error)
{
    return turn_new(store, uuid, MAX_ROUNDS, error);
}

VimgTurn *
vimg_turn_new_to_remove(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autoptr(GError) local = NULL;
    VimgTurn *turn = vimg_turn_new(store, uuid, &local);

    if (!turn && g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SPACE) &&
        vimg_spare_use(store->transport, ENOSPC))
        return vimg_turn_new(store, uuid, error);
    if (!turn)
        g_propagate_error(error, g_steal_pointer(&local));
    return turn;
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
