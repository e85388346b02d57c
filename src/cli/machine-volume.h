/*
 * machine-volume.h: a new disk for a machine, beside the one that it is like
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_VOLUME_H
#define VIMG_CLI_MACHINE_VOLUME_H

#include "cli/image.h"
#include "cli/machine.h"

typedef struct {
    char *pool, *name; /* of the host's storage; NULL: it is but a file */
    char *path;
    char *format;
    gboolean block;
    char *network; /* the document of its pool: no path leads there, and it is not made yet */
    char *via[2];  /* pool and name of the image that the daemon makes it of, then */
    guint64 capacity;
} VimgMachineVolume;

/*
 * The host's pool for one like @like: that of --primary, or that which @like is in.  *@pool:
 * (transfer full), NULL: there is none.  Returns: FALSE with @error
 */
gboolean vimg_machine_volume_pool(VimgMachine *machine, const VimgMachineDisk *like,
                                  virStoragePoolPtr *pool, GError **error);
/*
 * One of @capacity bytes for the machine @owner, in the pool that --primary names, or in that of
 * @like; where that is in no pool, a file beside it.  It is on the list of @machine's undo.
 */
VimgMachineVolume *vimg_machine_volume_new(VimgMachine *machine, const VimgMachineDisk *like,
                                           const char *owner, guint64 capacity, GError **error);
/* Of one that no path leads to: the daemon makes it, with the content of @image. */
gboolean vimg_machine_volume_make(VimgMachine *machine, VimgMachineVolume *volume,
                                  const VimgImage *image, GError **error);
/* It stays. */
void vimg_machine_volume_keep(VimgMachine *machine, const VimgMachineVolume *volume);
void vimg_machine_volume_free(VimgMachineVolume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgMachineVolume, vimg_machine_volume_free)

#endif
