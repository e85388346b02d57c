/*
 * crew.h: the threads that hash, compress and read for all uploads and downloads
 *
 * One crew of as many threads as there are processors serves the whole process.  Each upload and
 * download has a lane; lanes are served in turn, so a large one never starves another.  Threads
 * start on need and end when there was nothing to do for a while.  A lane that waits for a storage
 * far away has threads of its own: its tasks take no processor, and one hung storage holds up no
 * other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_CREW_H
#define VIMG_IMAGESTORE_CREW_H

#include <glib.h>

#include "slice.h"

typedef struct _VimgLane VimgLane;

/* @tools are the thread's own. */
typedef void (*VimgCrewFunc)(VimgSliceTools *tools, gpointer task);

/*
 * Its tasks work for the job of the calling thread.  @own: threads of its own, at most; 0: the
 * crew's.  NULL with VIMG_ERROR_BUSY if no thread can be started.
 */
VimgLane *vimg_lane_new(VimgCrewFunc func, guint own, GError **error);
void vimg_lane_push(VimgLane *lane, gpointer task);
/* Waits until every task pushed has run.  Accepts NULL. */
void vimg_lane_free(VimgLane *lane);

guint vimg_crew_size(void);

#endif
