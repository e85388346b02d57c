/*
 * turn.c: one change of an image at a time, whichever host it comes from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "spare.h"
#include "survey.h"
#include "../throw.h"
#include "turn.h"

#define MAX_ROUNDS 40

static int
take(VimgLease *lease, const char *uuid, guint rounds, VimgSeen *seen, char **other)
{
    int result = vimg_sign_try(lease, uuid, VIMG_SIGN_TURN, seen, other);

    while (result == EBUSY && --rounds > 0) {
        g_free(*other);
        vimg_sign_pause(lease->store);
        result = vimg_sign_try(lease, uuid, VIMG_SIGN_TURN, seen, other);
    }
    return result;
}

/* @borrowed: the lease; else it is taken over, also on failure. */
static VimgTurn *
turn_in(VimgLease *lease, gboolean borrowed, const char *uuid, guint rounds, VimgSeen *seen,
        GError **error)
{
    VimgSliceStore *store = lease->store;
    g_autofree char *other = NULL;
    g_autofree char *holder = NULL;
    int result = take(lease, uuid, rounds, seen, &other);

    if (result == 0) {
        VimgTurn *turn = g_new0(VimgTurn, 1);

        turn->lease = lease;
        turn->uuid = g_strdup(uuid);
        turn->borrowed = borrowed;
        return turn;
    }
    if (!borrowed)
        vimg_lease_free(lease);
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

static VimgTurn *
turn_new(VimgSliceStore *store, const char *uuid, guint rounds, GError **error)
{
    VimgLease *lease = vimg_lease_new(store, error);

    return lease ? turn_in(lease, FALSE, uuid, rounds, NULL, error) : NULL;
}

VimgTurn *
vimg_turn_new_in(VimgLease *lease, const char *uuid, VimgSeen *seen, GError **error)
{
    return turn_in(lease, TRUE, uuid, MAX_ROUNDS, seen, error);
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
vimg_turn_end(VimgTurn *turn, VimgOp *ops, gsize n)
{
    VimgSliceStore *store = turn->lease->store;
    g_autofree char *sign = vimg_sign_path(turn->lease, turn->uuid, VIMG_SIGN_TURN);
    g_autofree VimgOp *all = g_new(VimgOp, n + 1);

    all[0] = (VimgOp){.kind = VIMG_OP_UNLINK, .path = sign};
    if (n > 0)
        memcpy(all + 1, ops, n * sizeof(*ops));
    vimg_transport_run(store->transport, all, n + 1);
    if (n > 0)
        memcpy(ops, all + 1, n * sizeof(*ops));
    if (!turn->borrowed)
        vimg_lease_free(turn->lease);
    g_free(turn->uuid);
    g_free(turn);
}

void
vimg_turn_free(VimgTurn *turn)
{
    if (turn)
        vimg_turn_end(turn, NULL, 0);
}
