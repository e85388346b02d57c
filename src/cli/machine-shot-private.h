/*
 * machine-shot-private.h: what the files of machine-shot.h share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_SHOT_PRIVATE_H
#define VIMG_CLI_MACHINE_SHOT_PRIVATE_H

#include "cli/machine-backup.h"
#include "cli/machine-point.h"
#include "cli/machine-shot.h"
#include "cli/machine-watch.h"
#include "cli/progress.h"

/* What goes on while they are made. */
typedef struct {
    GPtrArray *points; /* of VimgPoint: those of the machine, if it is incremental */
    VimgBackupDisk *since;
    const VimgImage **bases; /* by disk; NULL: it is read whole */
    char *point;             /* the name of the new one */
    VimgShot *shot;
    VimgCtlPool pool;
    GPtrArray *history; /* of VimgImage: what the pool has of the machine */
    VimgBackup backup;
    VimgWatch *watch; /* of a machine that is shut off and has disks that nothing locks; NULL */
    GPtrArray *open;  /* of VimgNbd, by disk: of a machine that is shut off */
    VimgProgress *progress;
    const char *phase;
    guint64 done, total;
    gint64 looked;   /* when, at the room */
    gboolean let_go; /* the machine was, as nobody wants the images any more */
    GError *stopped;
} VimgTaking;

/* Whether it makes sense to let the machine wait while the daemon tries; asks the daemon. */
gboolean vimg_shot_may_share(VimgTaking *taking, const VimgMachineSource *source);
/* An empty one, which says of which machine it is. */
gboolean vimg_shot_image_create(VimgTaking *taking, VimgShotDisk *disk, GError **error);
/*
 * The VimgBackupHeld of @taking, a VimgTaking: what the host has in pools shares its content with
 * images, where that can be, and is left out of the job.
 */
gboolean vimg_shot_share_sources(gpointer taking, GError **error);
/* What the source of @disk, whose image is empty yet, holds now is kept: .held; else why not is in
 * .whole, and it is to be read some other way. */
gboolean vimg_shot_hold_source(VimgTaking *taking, VimgShotDisk *disk, GError **error);
/* The image gets it, by what was changed since the one before. */
gboolean vimg_shot_fill_held(VimgTaking *taking, VimgShotDisk *disk, GError **error);
/* The daemon reads the disk of a machine that is shut off, and is so to this moment. */
gboolean vimg_shot_copy_source(VimgTaking *taking, VimgShotDisk *disk, GError **error);

#endif
