/*
 * primary-queue.h: content on its way from who reads it to who sends it, each in a thread of its
 * own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_QUEUE_H
#define VIMG_HOST_PRIMARY_QUEUE_H

#include "vimg-plugin-buffer.h"

typedef struct _VimgHostQueue VimgHostQueue;

/* Sends @size bytes of @buffer at @offset, or (NULL) as many zeros; in the thread of the queue. */
typedef gboolean (*VimgHostQueueFunc)(gpointer data, VimgBuffer *buffer, gsize offset, guint64 size,
                                      GError **error);

VimgHostQueue *vimg_host_queue_new(VimgHostQueueFunc func, gpointer data, GError **error);
/*
 * Comes next; waits while much of the rest does.  FALSE: sending has failed, as
 * vimg_host_queue_end() tells.
 */
gboolean vimg_host_queue_push(VimgHostQueue *queue, VimgBuffer *buffer, gsize offset, guint64 size);
/* Waits for all that is on its way, or (not @all) for one piece.  Frees @queue. */
gboolean vimg_host_queue_end(VimgHostQueue *queue, gboolean all, GError **error);

#endif
