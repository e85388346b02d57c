/*
 * machine-moment.c: images of what the host's volumes held at a moment, by what was changed since
 *
 * The daemon keeps what a volume holds and reads it in its own time, while the machine goes on.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "cli/machine-shot-private.h"
#include "cli/text.h"
#include "cli/watch.h"
#include "util/error.h"
#include "util/i18n.h"

static vimg_control_moment_args
args_of(const VimgShotDisk *disk)
{
    vimg_remote_vol source = {.pool = disk->source->pool, .name = disk->source->volume, .key = ""};

    return (vimg_control_moment_args){vimg_image_id(disk->image), source};
}

/* Whether the disk is read some other way: nobody knows what was changed there, or the emulator
 * reads what the daemon may not. */
static gboolean
is_read_instead(const VimgTaking *taking, const GError *why)
{
    static const int unknown[] = {VIR_ERR_ARGUMENT_UNSUPPORTED, VIR_ERR_NO_SUPPORT, VIR_ERR_RPC};

    for (gsize i = 0; i < G_N_ELEMENTS(unknown); i++)
        if (g_error_matches(why, VIMG_DAEMON_ERROR, unknown[i]))
            return TRUE;
    return taking->shot->machine->active && why->domain == VIMG_DAEMON_ERROR && why->code > 0;
}

gboolean
vimg_shot_hold_source(VimgTaking *taking, VimgShotDisk *disk, GError **error)
{
    vimg_control_moment_args args = args_of(disk);
    g_autoptr(GError) local = NULL;

    disk->held = vimg_ctl_call(taking->shot->machine->ctl, VIMG_CONTROL_VOLUME_HOLD,
                               (xdrproc_t)xdr_vimg_control_moment_args, &args, NULL, NULL, &local);
    if (disk->held) {
        disk->whole = NULL;
        return TRUE;
    }
    if (!is_read_instead(taking, local)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    g_free(disk->not_shared);
    disk->not_shared = vimg_text_safe(local->message);
    disk->whole = disk->not_shared;
    return TRUE;
}

gboolean
vimg_shot_fill_held(VimgTaking *taking, VimgShotDisk *disk, GError **error)
{
    VimgCtl *ctl = taking->shot->machine->ctl;
    vimg_control_moment_args args = args_of(disk);
    const VimgWatched watched = {"upload", disk->name, TRUE, _("no image was made")};
    g_autoptr(JsonObject) report = NULL;

    g_clear_pointer(&taking->progress, vimg_progress_end);
    report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_VOLUME_FILL,
                               (xdrproc_t)xdr_vimg_control_moment_args, &args, error);
    taking->progress = vimg_progress_begin(ctl, taking->shot->machine->name, TRUE);
    if (!report)
        return FALSE;
    disk->read = (guint64)vimg_report_number(report, "read", 0);
    disk->base = g_strdup(vimg_report_string(report, "base"));
    if (!disk->base)
        disk->whole =
            _("there is no image before from whose moment on it is known what was changed");
    taking->done += disk->capacity;
    return TRUE;
}
