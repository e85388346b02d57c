/*
 * machine-shot.h: disks of a machine become images, all as they are at one moment
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_SHOT_H
#define VIMG_CLI_MACHINE_SHOT_H

#include "cli/image.h"
#include "cli/machine.h"
#include "cli/machine-source.h"

/* One disk, and the image that it becomes. */
typedef struct {
    const VimgMachineDisk *disk; /* borrowed of the machine */
    char *name;                  /* of the image */
    VimgImage *image;            /* once there is one */
    guint64 capacity;
    VimgMachineSource *source; /* where the host has it, if no path leads there */
    gboolean apart;            /* with which an image in the pool can share nothing */
    gboolean made;             /* by the daemon, of the source; nothing is left to be read */
    gboolean shared;           /* and nothing was moved */
    gboolean held;             /* the daemon keeps what the source held at that moment */
    guint64 read;              /* bytes of the disk that were read */
    char *base;                /* the image that all else was taken from; NULL: it was read whole */
    const char *whole;         /* why, where it was not to be; translated */
    char *not_shared;          /* the same, as the daemon says it */
} VimgShotDisk;

typedef struct {
    VimgMachine *machine; /* borrowed */
    const char *pool;
    const char *snapshot; /* that the images are of together; NULL: of none */
    gboolean incremental; /* only what was changed is to be read */
    gboolean passing; /* they are but the way to something else, and say nothing of the machine */
    GPtrArray *disks; /* of VimgShotDisk */
    gboolean frozen;  /* file systems of the guest were */
    char *not_frozen; /* why not; NULL: there was no need, or they were */
    gint64 began;
} VimgShot;

/* @disks: of VimgMachineDisk; their images are called @name, of several NAME-TARGET. */
void vimg_shot_init(VimgShot *shot, VimgMachine *machine, const char *pool, const char *name,
                    GPtrArray *disks);
void vimg_shot_clear(VimgShot *shot);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgShot, vimg_shot_clear)

/*
 * Makes all of the images.  Whatever was made is on the list of the machine's undo, but no job is:
 * it is the caller's to keep it.
 */
gboolean vimg_shot_take(VimgShot *shot, GError **error);

/* Returns: (transfer full) what --json prints of it. */
JsonObject *vimg_shot_report(const VimgShot *shot);
/* Shows people the same; or just whether file systems were frozen, of any report that says so. */
void vimg_shot_say_frozen(VimgCtl *ctl, JsonObject *report);
void vimg_shot_show(VimgCtl *ctl, JsonObject *report);

#endif
