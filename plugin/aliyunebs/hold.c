/*
 * hold.c: an image that this host alone changes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "hold.h"
#include "throw.h"

#define END_SECONDS 5

static void
take_note(VimgEbsHold *hold, const GError *error)
{
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY))
        __atomic_store_n(&hold->lost, 1, __ATOMIC_RELAXED);
}

/* A timer: others see that the work goes on. */
static void
beat(gpointer data)
{
    VimgEbsHold *hold = data;
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_autoptr(GError) error = NULL;

    if (!vimg_ebs_live_beat(hold->store, hold->site, hold->uuid, &patience, &error))
        take_note(hold, error);
}

gboolean
vimg_ebs_hold(VimgEbsHold *hold, VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
              const VimgPatience *patience, GError **error)
{
    if (!vimg_ebs_enter(store, uuid, error))
        return FALSE;
    if (!vimg_ebs_live_beat(store, site, uuid, patience, error)) {
        vimg_ebs_leave(store, uuid);
        return FALSE;
    }
    hold->store = store;
    hold->site = vimg_ebs_site_ref(site);
    hold->uuid = g_strdup(uuid);
    if (vimg_ebs_services && vimg_ebs_services->timer_add)
        hold->timer = vimg_ebs_services->timer_add(VIMG_EBS_BEAT_SECONDS, beat, hold);
    return TRUE;
}

gboolean
vimg_ebs_hold_check(const VimgEbsHold *hold, GError **error)
{
    return !__atomic_load_n(&hold->lost, __ATOMIC_RELAXED) ||
           throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image"));
}

gboolean
vimg_ebs_hold_confirm(VimgEbsHold *hold, const VimgPatience *patience, GError **error)
{
    GError *local = NULL;

    if (!vimg_ebs_hold_check(hold, error))
        return FALSE;
    if (vimg_ebs_live_beat(hold->store, hold->site, hold->uuid, patience, &local))
        return TRUE;
    take_note(hold, local);
    g_propagate_error(error, local);
    return FALSE;
}

void
vimg_ebs_hold_clear(VimgEbsHold *hold)
{
    VimgPatience patience = vimg_ebs_patience_for(END_SECONDS);

    if (!hold->store)
        return;
    if (hold->timer)
        vimg_ebs_services->timer_remove(hold->timer);
    vimg_ebs_live_end(hold->store, hold->site, hold->uuid, &patience);
    vimg_ebs_leave(hold->store, hold->uuid);
    vimg_ebs_site_unref(hold->site);
    g_free(hold->uuid);
    memset(hold, 0, sizeof(*hold));
}
