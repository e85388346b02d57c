/*
 * primary-queue.c: content on its way from who reads it to who sends it, each in a thread of its
 * own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host/primary-queue.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/thread.h"

#define ROOM ((guint64)16 * 1024 * 1024) /* bytes of data that may wait */
#define LEAST ((guint64)4096)    /* bytes that each piece counts for, so that they are few */
#define NAP ((gint64)250 * 1000) /* until it is asked again whether it was cancelled */
/* in which a storage that lives does what it is at, so that nothing has to be left */
#define GRACE ((gint64)2 * G_USEC_PER_SEC)

typedef struct {
    VimgHostQueueFunc func; /* NULL: it is sent */
    VimgBuffer *buffer;     /* NULL: a hole */
    gsize offset;
    guint64 size;
} Item;

/* Whoever of its thread and its user ends last frees it. */
struct _VimgHostQueue {
    gint refs; /* atomic */
    VimgHostWork work;
    gpointer data; /* the thread's */
    VimgHostWaiter waiter;
    char *where; /* NULL: .waiter has none */

    VimgMutex lock;
    VimgCond changed;
    GQueue items;    /* of Item; under lock, as all below */
    guint64 waiting; /* what they count for, and what is being done */
    gboolean ended;  /* nothing more comes */
    gboolean left;   /* nobody waits any more */
    gboolean kept;   /* it will not be left any more */
    gboolean gone;   /* the thread's last is done */
    GError *error;   /* why nothing more is sent */
    gboolean done;   /* what came of what was done last that is not sent */
    GError *said;
    GDestroyNotify heir; /* NULL: none */
    gpointer legacy;     /* the heir's */
};

/* ---- what hangs ------------------------------------------------------------------------- */

static struct {
    VimgMutex lock;
    GHashTable *at; /* where, to its VimgHostCount; under lock, as all below */
    VimgHostCount all;
} counts = {.lock = VIMG_MUTEX_INIT};

static const VimgHostCount none;

/* Under lock. */
static VimgHostCount
count_at(const char *where)
{
    VimgHostCount *count = counts.at ? g_hash_table_lookup(counts.at, where) : NULL;

    return count ? *count : none;
}

/* Under lock. */
static void
add_count(const char *where, int running, int left)
{
    VimgHostCount count = count_at(where);

    count.running += running;
    count.left += left;
    counts.all.running += running;
    counts.all.left += left;
    if (!counts.at)
        counts.at = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (count.running != 0 || count.left != 0)
        g_hash_table_insert(counts.at, g_strdup(where), g_memdup2(&count, sizeof(count)));
    else
        g_hash_table_remove(counts.at, where);
}

static void
count_left(const char *where, int more)
{
    VIMG_LOCK_GUARD(&counts.lock);
    add_count(where, 0, more);
}

/* As long as all of it answers, so many run as there are workers. */
static gboolean
is_full(const VimgHostCount *count, int most)
{
    return count->left > 0 && count->left + count->running >= most;
}

gboolean
vimg_host_queue_begin(const char *where, const VimgHostBound *most, VimgHostCount *at,
                      VimgHostCount *all)
{
    VIMG_LOCK_GUARD(&counts.lock);
    *at = count_at(where);
    *all = counts.all;
    if (is_full(at, most->at) || is_full(all, most->all))
        return FALSE;
    add_count(where, 1, 0);
    return TRUE;
}

void
vimg_host_queue_end(const char *where)
{
    VIMG_LOCK_GUARD(&counts.lock);
    add_count(where, -1, 0);
}

/* ---- the thread ----------------------------------------------------------------------------- */

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

static void
queue_unref(VimgHostQueue *queue)
{
    if (__atomic_sub_fetch(&queue->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vimg_mutex_clear(&queue->lock);
    vimg_cond_clear(&queue->changed);
    g_clear_error(&queue->error);
    g_clear_error(&queue->said);
    g_free(queue->where);
    g_free(queue);
}

/* Under lock: none of what waits will be done. */
static void
forget_items(VimgHostQueue *queue)
{
    Item *item;

    while ((item = g_queue_pop_head(&queue->items))) {
        queue->waiting -= weight(item);
        item_free(item);
    }
}

/* Returns: (transfer full) the next one; NULL: there is none any more */
static Item *
next_item(VimgHostQueue *queue)
{
    VIMG_LOCK_GUARD(&queue->lock);
    while (!queue->ended && !queue->left && g_queue_is_empty(&queue->items))
        vimg_cond_wait(&queue->changed, &queue->lock);
    return queue->left ? NULL : g_queue_pop_head(&queue->items);
}

/* Takes @error over. */
static void
note_done(VimgHostQueue *queue, const Item *item, gboolean ok, GError *error)
{
    VIMG_LOCK_GUARD(&queue->lock);
    queue->waiting -= weight(item);
    if (item->func) {
        queue->done = ok;
        g_clear_error(&queue->said);
        queue->said = error;
    } else if (!ok) {
        queue->error = error;
        forget_items(queue);
    }
    vimg_cond_signal(&queue->changed);
}

static void
end_thread(VimgHostQueue *queue)
{
    GDestroyNotify heir;
    gpointer legacy;
    gboolean left;

    if (queue->work.end)
        queue->work.end(queue->data);
    vimg_mutex_lock(&queue->lock);
    queue->gone = TRUE;
    left = queue->left;
    heir = queue->heir;
    legacy = queue->legacy;
    vimg_cond_signal(&queue->changed);
    vimg_mutex_unlock(&queue->lock);
    if (left)
        count_left(queue->where, -1);
    if (heir)
        heir(legacy);
    queue_unref(queue);
}

static void
run(gpointer data)
{
    VimgHostQueue *queue = data;
    Item *item;

    while ((item = next_item(queue))) {
        VimgHostQueueFunc func = item->func ? item->func : queue->work.send;
        GError *error = NULL;
        gboolean ok = func(queue->data, item->buffer, item->offset, item->size, &error);

        note_done(queue, item, ok, error);
        item_free(item);
    }
    end_thread(queue);
}

VimgHostQueue *
vimg_host_queue_new(const VimgHostWork *work, gpointer data, const VimgHostWaiter *waiter,
                    GError **error)
{
    VimgHostQueue *queue = g_new0(VimgHostQueue, 1);

    queue->refs = 2;
    queue->work = *work;
    queue->data = data;
    if (waiter) {
        queue->waiter = *waiter;
        queue->where = g_strdup(waiter->where);
    }
    g_queue_init(&queue->items);
    vimg_mutex_init(&queue->lock);
    vimg_cond_init(&queue->changed);
    if (vimg_thread_start_detached("vimg-send", run, queue, error))
        return queue;
    if (work->end)
        work->end(data);
    queue->refs = 1;
    queue_unref(queue);
    return NULL;
}

/* ---- who uses it ---------------------------------------------------------------------------- */

static gboolean
is_cancelled(const VimgHostQueue *queue)
{
    return !queue->waiter.check(queue->waiter.job, NULL);
}

/*
 * Under lock, which is given back for a moment: until something has changed, or it is to be asked
 * whether to go on.  *@deadline: 0 at first.  Returns: FALSE: the thread was left
 */
static gboolean
wait_more(VimgHostQueue *queue, gint64 *deadline)
{
    gboolean late;

    if (!queue->waiter.check || queue->kept) {
        vimg_cond_wait(&queue->changed, &queue->lock);
        return TRUE;
    }
    if (vimg_cond_wait_until(&queue->changed, &queue->lock, g_get_monotonic_time() + NAP))
        return TRUE;
    vimg_mutex_unlock(&queue->lock);
    if (*deadline == 0 && is_cancelled(queue))
        *deadline = g_get_monotonic_time() + GRACE;
    late = *deadline != 0 && g_get_monotonic_time() >= *deadline;
    vimg_mutex_lock(&queue->lock);
    if (!late || queue->gone)
        return TRUE;
    queue->left = TRUE;
    forget_items(queue);
    vimg_cond_signal(&queue->changed);
    vimg_mutex_unlock(&queue->lock);
    count_left(queue->where, 1); /* its thread may end meanwhile, and take it off before */
    vimg_mutex_lock(&queue->lock);
    return FALSE;
}

/* Under lock: until no more than @most waits or is being done. */
static void
wait_for_room(VimgHostQueue *queue, guint64 most)
{
    gint64 deadline = 0;

    while (!queue->left && queue->waiting > most && wait_more(queue, &deadline))
        ;
}

/* Under lock. */
static void
add(VimgHostQueue *queue, VimgHostQueueFunc func, VimgBuffer *buffer, gsize offset, guint64 size)
{
    Item *item = g_new0(Item, 1);

    item->func = func;
    item->buffer = buffer ? vimg_buffer_ref(buffer) : NULL;
    item->offset = offset;
    item->size = size;
    queue->waiting += weight(item);
    g_queue_push_tail(&queue->items, item);
    vimg_cond_signal(&queue->changed);
}

/* Returns: FALSE */
static gboolean
throw_left(const VimgHostQueue *queue, GError **error)
{
    return queue->waiter.check(queue->waiter.job, error) &&
           vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the transfer was cancelled"));
}

gboolean
vimg_host_queue_push(VimgHostQueue *queue, VimgBuffer *buffer, gsize offset, guint64 size)
{
    VIMG_LOCK_GUARD(&queue->lock);
    if (!queue->error)
        wait_for_room(queue, ROOM);
    if (queue->error || queue->left)
        return FALSE;
    add(queue, NULL, buffer, offset, size);
    return TRUE;
}

/* Takes what came of it. */
static gboolean
settle(VimgHostQueue *queue, gboolean all, GError **error)
{
    gboolean left;

    vimg_mutex_lock(&queue->lock);
    if (!all)
        forget_items(queue);
    wait_for_room(queue, 0);
    left = queue->left;
    if (!left && queue->error)
        g_propagate_error(error, g_error_copy(queue->error));
    all = !queue->error;
    vimg_mutex_unlock(&queue->lock);
    return left ? throw_left(queue, error) : all;
}

gboolean
vimg_host_queue_wait(VimgHostQueue *queue, GError **error)
{
    return settle(queue, TRUE, error);
}

gboolean
vimg_host_queue_drop(VimgHostQueue *queue, GError **error)
{
    return settle(queue, FALSE, error);
}

gboolean
vimg_host_queue_do(VimgHostQueue *queue, VimgHostQueueFunc func, VimgBuffer *buffer, guint64 size,
                   GError **error)
{
    gboolean ok = FALSE;
    gboolean left;

    vimg_mutex_lock(&queue->lock);
    wait_for_room(queue, 0);
    if (!queue->left) {
        add(queue, func, buffer, 0, size);
        wait_for_room(queue, 0);
    }
    left = queue->left;
    if (!left) {
        ok = queue->done;
        if (queue->said)
            g_propagate_error(error, g_steal_pointer(&queue->said));
    }
    vimg_mutex_unlock(&queue->lock);
    return left ? throw_left(queue, error) : ok;
}

/* Nobody but who calls this leaves the thread, so that and being left exclude each other. */
gboolean
vimg_host_queue_keep(VimgHostQueue *queue, GError **error)
{
    if (queue->waiter.check && !queue->waiter.check(queue->waiter.job, error))
        return FALSE;
    vimg_mutex_lock(&queue->lock);
    queue->kept = !queue->left;
    vimg_mutex_unlock(&queue->lock);
    return queue->kept || throw_left(queue, error);
}

gboolean
vimg_host_queue_hand_over(VimgHostQueue *queue, GDestroyNotify func, gpointer data)
{
    gboolean left, gone;

    vimg_mutex_lock(&queue->lock);
    left = queue->left;
    gone = queue->gone;
    if (left && !gone) {
        queue->heir = func;
        queue->legacy = data;
    }
    vimg_mutex_unlock(&queue->lock);
    if (left && gone)
        func(data);
    return left;
}

void
vimg_host_queue_free(VimgHostQueue *queue)
{
    gint64 deadline = 0;

    if (!queue)
        return;
    vimg_mutex_lock(&queue->lock);
    forget_items(queue);
    queue->ended = TRUE;
    vimg_cond_signal(&queue->changed);
    while (!queue->left && !queue->gone && wait_more(queue, &deadline))
        ;
    vimg_mutex_unlock(&queue->lock);
    queue_unref(queue);
}
