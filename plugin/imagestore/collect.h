/*
 * collect.h: giving back the space of what nobody needs
 *
 * Any number of hosts may call these at any time; one of them works, the others are told so.
 * Writers and readers never stop for it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_COLLECT_H
#define VIMG_IMAGESTORE_COLLECT_H

#include "store.h"

/* How long a collection waits for leases before it leaves the rest to later ones. */
#define VIMG_COLLECT_PATIENCE (30 * G_USEC_PER_SEC)

/*
 * Removes expired and abandoned images and frees the slices that no index names.  @dry_run: only
 * counts.  @patience: microseconds.  Returns: (transfer full) the report, JSON as the contract has
 * it; NULL with VIMG_ERROR_BUSY naming another collector, VIMG_ERROR_DAMAGED naming an index that
 * cannot be read, VIMG_ERROR_ABORTED.
 */
char *vimg_collect(VimgSliceStore *store, gboolean dry_run, gint64 patience, VimgPluginJob *job,
                   GError **error);

/*
 * Ends what earlier collections condemned, if there is any and the leases they wait for have ended;
 * takes over from a dead collector.  What goes wrong is logged.  For a timer.
 */
void vimg_collect_rest(VimgSliceStore *store);

#endif
