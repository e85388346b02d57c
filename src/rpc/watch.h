/*
 * watch.h: a descriptor in the main loop, and its turns there
 *
 * Main loop only.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_WATCH_H
#define VIMG_RPC_WATCH_H

#include <glib.h>

typedef struct _VimgWatch VimgWatch;
/* @seen: of the descriptor; 0 if it was woken.  It may end @data, and the watch in it. */
typedef void (*VimgWatchFunc)(gpointer data, GIOCondition seen);

struct _VimgWatch {
    int fd;
    GSource *source; /* NULL: it is not in the loop yet, or not any more */
    gpointer tag;
    GIOCondition events; /* that it waits for */
    gboolean woken;      /* its turn comes though the descriptor shows nothing */
    VimgWatchFunc func;
    gpointer data;
};

/* Waits until there is something to read.  @fd: (transfer full); @watch must not move. */
void vimg_watch_begin(VimgWatch *watch, int fd, GMainContext *context, VimgWatchFunc func,
                      gpointer data);
/* Closes the descriptor.  May be called twice. */
void vimg_watch_end(VimgWatch *watch);
void vimg_watch_await(VimgWatch *watch, GIOCondition events);
/*
 * From its function: calls @turn with the data of the watch, which it does not end, as long as that
 * says that there is more to do now, but not for so long that others wait: then it is woken.
 */
void vimg_watch_turns(VimgWatch *watch, gboolean (*turn)(gpointer data));

#endif
