/*
 * machine-extents.h: what is where on a disk that is served over NBD
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_EXTENTS_H
#define VIMG_CLI_MACHINE_EXTENTS_H

#include <libnbd.h>

#include "cli/machine-nbd.h"

#define VIMG_EXTENTS_MAX (G_GUINT64_CONSTANT(1) << 30) /* bytes that are asked about at once */

typedef struct _VimgExtents VimgExtents;

/*
 * Of @handle, which is connected and borrowed; @bitmap: the context of what was changed, or NULL.
 * A server that cannot say what is a hole has none, but a bitmap must be there.
 */
VimgExtents *vimg_extents_new(struct nbd_handle *handle, guint64 size, const char *bitmap,
                              GError **error);
void vimg_extents_free(VimgExtents *extents);

/* What is at @at, which never goes back, and how far it goes. */
gboolean vimg_extents_next(VimgExtents *extents, guint64 at, VimgNbdKind *kind, guint64 *length,
                           GError **error);

/* Why the last call of the library with @handle, which was connected, failed.  Returns: FALSE. */
gboolean vimg_extents_throw(struct nbd_handle *handle, GError **error);

#endif
