/*
 * export-link.h: the daemon's side of what it and an export server say to each other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_EXPORT_LINK_H
#define VIMG_DAEMON_EXPORT_LINK_H

#include "pool/model.h"
#include "util/thread.h"

typedef struct _VimgExportLink VimgExportLink;

/*
 * Questions that come on @fd, which it takes, are answered by @workers.  Both it and the model
 * outlive what they still do for it after it was closed.  @only: all of them are of the export of
 * this hash, which is copied; NULL: each of the one that it says.
 */
VimgExportLink *vimg_export_link_new(int fd, VimgModel *model, VimgWorkers *workers,
                                     const guint8 *only, GError **error);
/* Soon: nobody is waited for.  Accepts NULL. */
/* Nothing more is answered: it ended, or asked what it must not, and whoever it is ought to end. */
gboolean vimg_export_link_is_broken(VimgExportLink *link);
void vimg_export_link_close(VimgExportLink *link);

#endif
