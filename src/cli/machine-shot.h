/*
 * machine-shot.h: disks of a machine become images, all as they are at one moment
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_SHOT_H
#define VIMG_CLI_MACHINE_SHOT_H

#include "cli/image.h"
#include "cli/machine.h"

/* One disk, and the image that it becomes. */
typedef struct {
    const VimgMachineDisk *disk; /* borrowed of the machine */
    char *name;                  /* of the image */
    VimgImage *image;            /* once there is one */
    guint64 capacity;
    guint64 read; /* bytes of the disk that were read */
} VimgShotDisk;

typedef struct {
    VimgMachine *machine; /* borrowed */
    const char *pool;
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

#endif
