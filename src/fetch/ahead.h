/*
 * ahead.h: bytes on their way from one thread to another, a bounded number of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_FETCH_AHEAD_H
#define VIMG_FETCH_AHEAD_H

#include "fetch/fetch.h"
#include "util/thread.h"

/* Bytes that may wait. */
#define VIMG_AHEAD_MAX (16 * 1024 * 1024)

typedef struct {
    VimgMutex lock;
    VimgCond changed;
    guint64 at;       /* offset of the next byte to be given; all of it under lock */
    GQueue full;      /* of VimgBuffer */
    VimgBuffer *part; /* being filled; its size is what it has room for */
    gsize filled;
    gboolean headed; /* the first buffer is full */
    guint64 waiting; /* bytes in @full */
    gboolean ready;  /* what is known beforehand is known */
    gboolean ended;
    gboolean closed;
    GError *error; /* why it ended */
} VimgAhead;

void vimg_ahead_init(VimgAhead *ahead);
void vimg_ahead_clear(VimgAhead *ahead);

/* ---- the thread that gives -------------------------------------------------------------- */

/* @offset: of the first byte; buffers end at whole MiB of it, where images are cut. */
void vimg_ahead_ready(VimgAhead *ahead, guint64 offset);
/* Waits for room.  Returns: FALSE once it was closed. */
gboolean vimg_ahead_put(VimgAhead *ahead, const guint8 *data, gsize size);
/* @error: (transfer full), NULL: all came. */
void vimg_ahead_end(VimgAhead *ahead, GError *error);
gboolean vimg_ahead_closed(VimgAhead *ahead);
/* Sleeps, unless it is closed.  Returns: FALSE if it is. */
gboolean vimg_ahead_rest(VimgAhead *ahead, gint64 microseconds);

/* ---- the thread that takes -------------------------------------------------------------- */

typedef enum {
    VIMG_AHEAD_NOTHING, /* not yet: ask again */
    VIMG_AHEAD_READY,   /* also: there are bytes */
    VIMG_AHEAD_END,
    VIMG_AHEAD_FAILED,
} VimgAheadState;

/* Each waits a fraction of a second at most.  @error is that of vimg_ahead_end(). */
VimgAheadState vimg_ahead_wait_ready(VimgAhead *ahead, GError **error);
/* @out: (transfer full); what comes slowly comes in smaller pieces. */
VimgAheadState vimg_ahead_take(VimgAhead *ahead, VimgBuffer **out, GError **error);
/* Nobody takes any more. */
void vimg_ahead_close(VimgAhead *ahead);

#endif
