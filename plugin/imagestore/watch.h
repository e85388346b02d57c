/*
 * watch.h: for how long something has not changed, by nobody's clock but our own
 *
 * Hosts that share a store need not agree on the time, so a heartbeat is never compared with a
 * clock: it is looked at again and again.  The time between two looks counts for a minute at most,
 * or whoever was itself stopped for an hour would find everybody else dead.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_WATCH_H
#define VIMG_IMAGESTORE_WATCH_H

#include <glib.h>

typedef struct _VimgWatch VimgWatch;

/*
 * The watch of this process over the store @name.  It outlives its users for a while: whoever opens
 * the store again goes on looking where the one before ended.  Any thread.
 */
VimgWatch *vimg_watch_get(const char *name);
/* Accepts NULL. */
void vimg_watch_put(VimgWatch *watch);

/*
 * @path shows @mark now, for instance a time of modification.  @now: g_get_monotonic_time().  Any
 * thread.  Returns: microseconds for which it was seen to show the same.
 */
gint64 vimg_watch_look(VimgWatch *watch, const char *path, gint64 mark, gint64 now);

#endif
