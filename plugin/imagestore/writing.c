/*
 * writing.c: one upload of a saving image at a time, whichever host it comes from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "survey.h"
#include "../throw.h"
#include "writing.h"

#define MAX_ROUNDS 8

static gboolean
throw_busy(VimgSliceStore *store, const char *lease, GError **error)
{
    g_autofree char *holder = vimg_survey_holder(store, lease);

    return throw_error(error, VIMG_ERROR_BUSY, _("the image is being written by %s"), holder);
}

gboolean
vimg_writing_check(VimgSliceStore *store, const char *uuid, GError **error)
{
    g_autofree char *lease = NULL;
    int result = vimg_sign_find(store, uuid, VIMG_SIGN_WRITING, NULL, &lease);

    if (result != 0)
        return throw_result(error, result, _("cannot read image %s"), uuid);
    return !lease || throw_busy(store, lease, error);
}

static gboolean
throw_gone(GError **error)
{
    return throw_error(error, VIMG_ERROR_NO_VOL, _("the image was deleted meanwhile"));
}

gboolean
vimg_writing_begin(VimgLease *lease, const char *uuid, const char *name, VimgSeen *seen,
                   GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *other = NULL;
    guint round;
    int result;

    result = vimg_sign_try(lease, uuid, VIMG_SIGN_WRITING, seen, &other);
    /* of two that come at once both may see the other */
    for (round = 1; result == EBUSY && round < MAX_ROUNDS; round++) {
        g_free(other);
        vimg_sign_pause(lease->store);
        result = vimg_sign_try(lease, uuid, VIMG_SIGN_WRITING, seen, &other);
    }
    if (result == EBUSY)
        return throw_busy(lease->store, other, error);
    if (result == ENOENT)
        return vimg_lease_check(lease, error) && throw_gone(error);
    if (result != 0)
        return vimg_lease_throw(lease, error, result, _("cannot write to the image"));
    if (!name || vimg_claim_holds(lease->store, name, uuid, &local))
        return TRUE;
    vimg_writing_end(lease, uuid);
    if (!local)
        return throw_gone(error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

void
vimg_writing_end(VimgLease *lease, const char *uuid)
{
    vimg_sign_end(lease, uuid, VIMG_SIGN_WRITING);
}
