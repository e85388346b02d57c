/*
 * primary-queue.h: content on its way from who reads it to who sends it, each in a thread of its
 * own
 *
 * A storage that hangs holds whoever writes to it, and nothing but its answer ends that.  So the
 * thread of a queue can be left: whoever waits for it goes on, and it ends when it can.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_QUEUE_H
#define VIMG_HOST_PRIMARY_QUEUE_H

#include "vimg-plugin-buffer.h"

typedef struct _VimgHostQueue VimgHostQueue;

/* Does something with @size bytes of @buffer at @offset, or (NULL) as many zeros; in the thread of
 * the queue, as all of VimgHostWork. */
typedef gboolean (*VimgHostQueueFunc)(gpointer data, VimgBuffer *buffer, gsize offset, guint64 size,
                                      GError **error);

/* What it is there for. */
typedef struct {
    VimgHostQueueFunc send;     /* what is pushed */
    void (*end)(gpointer data); /* the last of all; NULL: nothing */
} VimgHostWork;

/* Who waits for it. */
typedef struct {
    gboolean (*check)(gpointer job, GError **error); /* FALSE: it was cancelled; NULL: never is */
    gpointer job;
    const char *where; /* what hangs if it hangs, to be counted; copied */
} VimgHostWaiter;

/*
 * All functions are one thread's.  Whatever waits in them ends some seconds after @waiter was
 * cancelled; from then on its thread is left, and all fail with what .check() says.  @waiter may be
 * NULL: it is never left.  @data: .end()'s from now on, also when this fails
 */
VimgHostQueue *vimg_host_queue_new(const VimgHostWork *work, gpointer data,
                                   const VimgHostWaiter *waiter, GError **error);
/*
 * Comes next; waits while much of the rest does.  FALSE: nothing comes any more, as
 * vimg_host_queue_wait() tells.
 */
gboolean vimg_host_queue_push(VimgHostQueue *queue, VimgBuffer *buffer, gsize offset, guint64 size);
/* All that was pushed has been sent. */
gboolean vimg_host_queue_wait(VimgHostQueue *queue, GError **error);
/* The same of what is being sent; what is not yet never will be. */
gboolean vimg_host_queue_drop(VimgHostQueue *queue, GError **error);
/* Does @func, after that and whatever came of it. */
gboolean vimg_host_queue_do(VimgHostQueue *queue, VimgHostQueueFunc func, VimgBuffer *buffer,
                            guint64 size, GError **error);
/*
 * Its thread will not be left any more: from now on whatever is waited for here is, however long it
 * takes.  FALSE: it was cancelled or left before
 */
gboolean vimg_host_queue_keep(VimgHostQueue *queue, GError **error);
/* If its thread was left: @func(@data) follows its end, in any thread.  FALSE: it was not. */
gboolean vimg_host_queue_hand_over(VimgHostQueue *queue, GDestroyNotify func, gpointer data);
void vimg_host_queue_free(VimgHostQueue *queue); /* drops, waits for the end; accepts NULL */

/* Of those that run, each with a thread, and of threads that were left and still hang. */
typedef struct {
    int running;
    int left;
} VimgHostCount;

typedef struct {
    int at; /* one place */
    int all;
} VimgHostBound;

/*
 * One that may be left runs at @where, until vimg_host_queue_end(); both from any thread.  FALSE:
 * some hang, and with those that run, which may hang too, they are so many already.  *@at, *@all:
 * how many there were before, in any case
 */
gboolean vimg_host_queue_begin(const char *where, const VimgHostBound *most, VimgHostCount *at,
                               VimgHostCount *all);
void vimg_host_queue_end(const char *where);

#endif
