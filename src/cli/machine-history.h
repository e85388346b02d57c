/*
 * machine-history.h: the images that pools have of a machine
 *
 * An image says of which machine it is, by uuid, of which of its disks, and the name of the
 * snapshot that it is part of, if it is part of one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_HISTORY_H
#define VIMG_CLI_MACHINE_HISTORY_H

#include "cli/image.h"

/*
 * Complete images of @pool that are of the machine @uuid, the oldest first.  Returns: (transfer
 * full) of VimgImage; NULL with @error.
 */
GPtrArray *vimg_history_of_pool(VimgCtl *ctl, const VimgCtlPool *pool, const char *uuid,
                                GError **error);
/* The same of every pool that is connected; what is of one snapshot is together. */
GPtrArray *vimg_history_of_all(VimgCtl *ctl, const char *uuid, GError **error);

/* Names of the pools that are connected; those that take images, if @enabled.  Returns: (transfer
 * full), NULL with @error. */
GPtrArray *vimg_history_pools(VimgCtl *ctl, gboolean enabled, GError **error);

/* The last image of @disk that is of @capacity bytes; NULL: there is none. */
const VimgImage *vimg_history_last(GPtrArray *history, const char *disk, guint64 capacity);

/* The oldest first.  For tests; the above are sorted. */
void vimg_history_sort(GPtrArray *history);
void vimg_history_sort_moments(GPtrArray *history);

#endif
