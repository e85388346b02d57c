/*
 * primary-queue.c: content on its way from who reads it to who sends it, each in a thread of its
 * own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host/primary-queue.h"
#include "util/thread.h"

#define ROOM ((guint64)16 * 1024 * 1024) /* bytes of data that may wait */
#define LEAST ((guint64)4096) /* bytes that each piece counts for, so that they are few */

typedef struct {
    VimgBuffer *buffer; /* NULL: a hole */
    gsize offset;
    guint64 size;
} Item;

struct _VimgHostQueue {
    VimgHostQueueFunc func;
    gpointer data;
    VimgThread thread;

    VimgMutex lock;
    VimgCond changed;
    GQueue items;    /* of Item; under lock */
    guint64 waiting; /* what they count for; under lock */
    gboolean ended;  /* nothing more comes; under lock */
    gboolean failed; /* under lock */
    GError *error;   /* the thread's until it has ended */
};

static void
item_free(gpointer data)
{
    Item *item = data;

    vimg_buffer_unref(item->buffer);
    g_free(item);
}

static guint64
weight(const Item *item)
{
    return item->buffer ? MAX(item->size, LEAST) : LEAST;
}

/* Returns: (transfer full) the next one; NULL: there is none any more */
static Item *
next_item(VimgHostQueue *queue)
{
    Item *item;

    VIMG_LOCK_GUARD(&queue->lock);
    while (!queue->ended && g_queue_is_empty(&queue->items))
        vimg_cond_wait(&queue->changed, &queue->lock);
    item = g_queue_pop_head(&queue->items);
    return item;
}

static void
note_done(VimgHostQueue *queue, const Item *item, gboolean ok)
{
    VIMG_LOCK_GUARD(&queue->lock);
    queue->waiting -= weight(item);
    queue->failed = !ok;
    vimg_cond_signal(&queue->changed);
}

static void
run(gpointer data)
{
    VimgHostQueue *queue = data;
    gboolean ok = TRUE;
    Item *item;

    while (ok && (item = next_item(queue))) {
        ok = queue->func(queue->data, item->buffer, item->offset, item->size, &queue->error);
        note_done(queue, item, ok);
        item_free(item);
    }
}

VimgHostQueue *
vimg_host_queue_new(VimgHostQueueFunc func, gpointer data, GError **error)
{
    VimgHostQueue *queue = g_new0(VimgHostQueue, 1);

    queue->func = func;
    queue->data = data;
    g_queue_init(&queue->items);
    vimg_mutex_init(&queue->lock);
    vimg_cond_init(&queue->changed);
    if (vimg_thread_start(&queue->thread, "vimg-send", run, queue, error))
        return queue;
    vimg_mutex_clear(&queue->lock);
    vimg_cond_clear(&queue->changed);
    g_free(queue);
    return NULL;
}

gboolean
vimg_host_queue_push(VimgHostQueue *queue, VimgBuffer *buffer, gsize offset, guint64 size)
{
    Item *item = g_new0(Item, 1);
    gboolean ok;

    item->buffer = buffer ? vimg_buffer_ref(buffer) : NULL;
    item->offset = offset;
    item->size = size;
    vimg_mutex_lock(&queue->lock);
    while (!queue->failed && queue->waiting > ROOM)
        vimg_cond_wait(&queue->changed, &queue->lock);
    ok = !queue->failed;
    if (ok) {
        queue->waiting += weight(item);
        g_queue_push_tail(&queue->items, g_steal_pointer(&item));
        vimg_cond_signal(&queue->changed);
    }
    vimg_mutex_unlock(&queue->lock);
    if (item)
        item_free(item);
    return ok;
}

gboolean
vimg_host_queue_end(VimgHostQueue *queue, gboolean all, GError **error)
{
    gboolean ok;

    vimg_mutex_lock(&queue->lock);
    if (!all)
        g_queue_clear_full(&queue->items, item_free);
    queue->ended = TRUE;
    vimg_cond_signal(&queue->changed);
    vimg_mutex_unlock(&queue->lock);
    vimg_thread_join(queue->thread);
    ok = !queue->failed;
    if (queue->error)
        g_propagate_error(error, queue->error);
    g_queue_clear_full(&queue->items, item_free);
    vimg_mutex_clear(&queue->lock);
    vimg_cond_clear(&queue->changed);
    g_free(queue);
    return ok;
}
