/*
 * machine-point.h: checkpoints of a machine, from which on libvirt knows what its disks changed
 *
 * Each of ours is of the moment of images, and says of which: a disk's next image needs no more
 * than what was changed since, and one of those images.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_POINT_H
#define VIMG_CLI_MACHINE_POINT_H

#include "cli/image.h"
#include "cli/machine.h"

/* A checkpoint of ours. */
typedef struct {
    char *name;
    GHashTable *images; /* disk to the uuid of its image */
} VimgPoint;

/* Those of the machine, the oldest first; none where libvirt has no such thing.  Returns: (transfer
 * full) of VimgPoint. */
GPtrArray *vimg_points_list(VimgMachine *machine);

/*
 * The newest of @points whose image of @disk is still in @history; *@image is that one, borrowed.
 * NULL: there is none.
 */
const VimgPoint *vimg_points_choose(GPtrArray *points, GPtrArray *history, const char *disk,
                                    guint64 capacity, const VimgImage **image);

/* Whether libvirt can note what is changed of @disk. */
gboolean vimg_point_serves(const VimgMachineDisk *disk);
/* Whether @name, which may be NULL, is such a one's. */
gboolean vimg_point_is_ours(const char *name);
/* Returns: (transfer full) the name of the one that is made with the image @uuid. */
char *vimg_point_name(const char *uuid);
/* Returns: (transfer full) the document of one called @name; @disks is of texts "DISK=UUID". */
char *vimg_point_format(VimgMachine *machine, const char *name, GPtrArray *disks);

/* Removes those of @points that have an image in @history: a newer one serves for them.  @lost:
 * what was changed since is known no more, so libvirt just forgets those that it cannot remove. */
void vimg_points_retire(VimgMachine *machine, GPtrArray *points, GPtrArray *history, gboolean lost);

#endif
