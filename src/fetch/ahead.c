/*
 * ahead.c: bytes on their way from one thread to another, a bounded number of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fetch/ahead.h"

#define PIECE (1024 * 1024)
#define WAIT (G_USEC_PER_SEC / 4)

void
vimg_ahead_init(VimgAhead *ahead)
{
    *ahead = (VimgAhead){0};
    vimg_mutex_init(&ahead->lock);
    vimg_cond_init(&ahead->changed);
    g_queue_init(&ahead->full);
}

void
vimg_ahead_clear(VimgAhead *ahead)
{
    g_queue_clear_full(&ahead->full, (GDestroyNotify)vimg_buffer_unref);
    vimg_buffer_unref(ahead->part);
    g_clear_error(&ahead->error);
    vimg_cond_clear(&ahead->changed);
    vimg_mutex_clear(&ahead->lock);
}

/* ---- the thread that gives -------------------------------------------------------------- */

void
vimg_ahead_ready(VimgAhead *ahead, guint64 offset)
{
    VIMG_LOCK_GUARD(&ahead->lock);
    if (!ahead->ready)
        ahead->at = offset;
    ahead->ready = TRUE;
    vimg_cond_broadcast(&ahead->changed);
}

/* Under the lock: what was filled can be taken. */
static void
hand_over(VimgAhead *ahead)
{
    ahead->part->size = ahead->filled;
    ahead->waiting += ahead->filled;
    ahead->filled = 0;
    ahead->headed = TRUE;
    g_queue_push_tail(&ahead->full, g_steal_pointer(&ahead->part));
    vimg_cond_broadcast(&ahead->changed);
}

static gsize
fill(VimgAhead *ahead, const guint8 *data, gsize size)
{
    gsize n;

    if (!ahead->part)
        ahead->part =
            vimg_buffer_new(ahead->headed ? PIECE - (gsize)(ahead->at % PIECE) : VIMG_FETCH_HEAD);
    n = MIN(size, ahead->part->size - ahead->filled);
    memcpy(ahead->part->data + ahead->filled, data, n);
    ahead->filled += n;
    ahead->at += n;
    if (ahead->filled == ahead->part->size)
        hand_over(ahead);
    return n;
}

gboolean
vimg_ahead_put(VimgAhead *ahead, const guint8 *data, gsize size)
{
    VIMG_LOCK_GUARD(&ahead->lock);

    while (size > 0) {
        gsize n;

        while (ahead->waiting >= VIMG_AHEAD_MAX && !ahead->closed)
            vimg_cond_wait(&ahead->changed, &ahead->lock);
        if (ahead->closed)
            return FALSE;
        n = fill(ahead, data, size);
        data += n;
        size -= n;
    }
    return TRUE;
}

void
vimg_ahead_end(VimgAhead *ahead, GError *error)
{
    VIMG_LOCK_GUARD(&ahead->lock);
    if (ahead->part && ahead->filled > 0)
        hand_over(ahead);
    ahead->ended = TRUE;
    ahead->error = error;
    vimg_cond_broadcast(&ahead->changed);
}

gboolean
vimg_ahead_closed(VimgAhead *ahead)
{
    VIMG_LOCK_GUARD(&ahead->lock);
    return ahead->closed;
}

gboolean
vimg_ahead_rest(VimgAhead *ahead, gint64 microseconds)
{
    gint64 deadline = g_get_monotonic_time() + microseconds;

    VIMG_LOCK_GUARD(&ahead->lock);
    while (!ahead->closed && vimg_cond_wait_until(&ahead->changed, &ahead->lock, deadline))
        ;
    return !ahead->closed;
}

/* ---- the thread that takes -------------------------------------------------------------- */

/* Under the lock, of one that gives nothing any more. */
static VimgAheadState
tell_end(VimgAhead *ahead, GError **error)
{
    if (!ahead->error)
        return VIMG_AHEAD_END;
    g_propagate_error(error, g_error_copy(ahead->error));
    return VIMG_AHEAD_FAILED;
}

VimgAheadState
vimg_ahead_wait_ready(VimgAhead *ahead, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + WAIT;

    VIMG_LOCK_GUARD(&ahead->lock);
    while (!ahead->ready && !ahead->ended) {
        if (!vimg_cond_wait_until(&ahead->changed, &ahead->lock, deadline))
            return VIMG_AHEAD_NOTHING;
    }
    return ahead->ready ? VIMG_AHEAD_READY : tell_end(ahead, error);
}

VimgAheadState
vimg_ahead_take(VimgAhead *ahead, VimgBuffer **out, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + WAIT;

    VIMG_LOCK_GUARD(&ahead->lock);
    while (g_queue_is_empty(&ahead->full) && !ahead->ended) {
        if (vimg_cond_wait_until(&ahead->changed, &ahead->lock, deadline))
            continue;
        if (ahead->filled == 0 || !ahead->headed)
            return VIMG_AHEAD_NOTHING;
        hand_over(ahead);
    }
    *out = g_queue_pop_head(&ahead->full);
    if (!*out)
        return tell_end(ahead, error);
    ahead->waiting -= (*out)->size;
    vimg_cond_broadcast(&ahead->changed);
    return VIMG_AHEAD_READY;
}

void
vimg_ahead_close(VimgAhead *ahead)
{
    VIMG_LOCK_GUARD(&ahead->lock);
    ahead->closed = TRUE;
    vimg_cond_broadcast(&ahead->changed);
}
