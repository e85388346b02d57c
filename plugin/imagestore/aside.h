/*
 * aside.h: what is asked of a storage far away while something else is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_ASIDE_H
#define VIMG_IMAGESTORE_ASIDE_H

#include "../thread.h"
#include "transport.h"

/* One thing under way; it must have ended before it goes out of scope.  All zero: none. */
typedef struct {
    void (*func)(gpointer data); /* NULL: it has ended */
    gpointer data;
    VimgPluginJob *job;
    gboolean patient; /* see vimg_transport_is_patient() */
    pthread_t thread;
    gboolean started;
} VimgAside;

/* @func runs in a thread of its own, for the same job; on a near storage only when it is ended. */
void vimg_aside_begin(VimgAside *aside, const VimgTransport *transport, void (*func)(gpointer data),
                      gpointer data);
/* Waits for it; after the first time it does nothing. */
void vimg_aside_end(VimgAside *aside);
/* The same when its answer is not wanted: what has not begun never does. */
void vimg_aside_drop(VimgAside *aside);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgAside, vimg_aside_drop)

#endif
