/*
 * flow.c: writing to an RBD image, many blocks at a time
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/uio.h>

#include "flow.h"
#include "../thread.h"
#include "../throw.h"

#define WINDOW 16 /* blocks in flight */
#define MARGIN 2  /* seconds for librados to give up a write itself */
#define NAP (G_USEC_PER_SEC / 2)

typedef struct {
    VimgCephFlow *flow;
    VimgCephBlock *data;
    GArray *runs; /* of VimgCephRun */
    guint next;   /* of them, to be written */
    gboolean done;
    gboolean failed;
} Block;

struct _VimgCephFlow {
    rbd_image_t image;
    VimgPluginJob *job;
    guint64 sent; /* through __atomic builtins */

    pthread_mutex_t lock; /* guards what follows, and .done and .failed of blocks */
    pthread_cond_t changed;
    GQueue blocks; /* of Block, in order; a failed one stays, as nothing behind it counts */
    int result;    /* of the first write that failed */
    gint64 moved;  /* when a write ended last, or the first of those on their way began */
};

VimgCephFlow *
vimg_ceph_flow_new(rbd_image_t image, VimgPluginJob *job)
{
    VimgCephFlow *flow = g_new0(VimgCephFlow, 1);

    flow->image = image;
    flow->job = job;
    g_queue_init(&flow->blocks);
    thread_must(pthread_mutex_init(&flow->lock, NULL));
    cond_init(&flow->changed);
    return flow;
}

static void
free_block(gpointer data)
{
    Block *block = data;

    vimg_ceph_block_free(block->data);
    g_array_unref(block->runs);
    g_free(block);
}

void
vimg_ceph_flow_free(VimgCephFlow *flow)
{
    GList *link;

    if (!flow)
        return;
    thread_must(pthread_mutex_lock(&flow->lock));
    for (link = flow->blocks.head; link; link = link->next) {
        while (!((Block *)link->data)->done)
            thread_must(pthread_cond_wait(&flow->changed, &flow->lock));
    }
    thread_must(pthread_mutex_unlock(&flow->lock));
    g_queue_clear_full(&flow->blocks, free_block);
    pthread_cond_destroy(&flow->changed);
    pthread_mutex_destroy(&flow->lock);
    g_free(flow);
}

/* ---- waiting ---------------------------------------------------------------------------- */

/* Blocks that are durable, with all before them, are forgotten. */
static void
forget_durable(VimgCephFlow *flow)
{
    Block *block;

    while ((block = g_queue_peek_head(&flow->blocks)) && block->done && !block->failed)
        free_block(g_queue_pop_head(&flow->blocks));
}

/*
 * A write ends when nobody uses its buffers any more, those too that wait to be sent to an OSD that
 * does not read: librados gives it up in time, but does not say so.
 */
static void
look_for_stall(VimgCephFlow *flow)
{
    gint64 patience = (vimg_cluster_osd_seconds + MARGIN) * G_USEC_PER_SEC;

    if (flow->blocks.length > 0 && flow->result == 0 &&
        g_get_monotonic_time() - flow->moved > patience)
        flow->result = -ETIMEDOUT;
}

/* Until at most @most blocks are in flight, or one failed, or some time passed. */
static gboolean
wait_a_while(VimgCephFlow *flow, guint most, int *result)
{
    LOCK_GUARD(&flow->lock);

    forget_durable(flow);
    if (flow->blocks.length > most && flow->result == 0) {
        cond_wait_until(&flow->changed, &flow->lock, g_get_monotonic_time() + NAP);
        forget_durable(flow);
        look_for_stall(flow);
    }
    *result = flow->result;
    return flow->blocks.length <= most || flow->result < 0;
}

static gboolean
wait_until(VimgCephFlow *flow, guint most, GError **error)
{
    int result = 0;

    while (!wait_a_while(flow, most, &result)) {
        if (!vimg_ceph_check_job(flow->job, error))
            return FALSE;
    }
    return result == 0 || vimg_cluster_throw(error, result, _("cannot write to the RBD image"));
}

/* ---- writing ---------------------------------------------------------------------------- */

static void
settle(Block *block, int result)
{
    VimgCephFlow *flow = block->flow;

    LOCK_GUARD(&flow->lock);
    block->done = TRUE;
    if (result < 0) {
        block->failed = TRUE;
        flow->result = flow->result < 0 ? flow->result : result;
    }
    pthread_cond_broadcast(&flow->changed);
}

static void write_next(Block *block);

/*
 * One after the other: RBD notes in its map that an object is there before the first write to it.
 * If that fails, a second one on its way would make an object that the map does not know.
 */
static void
note_written(rbd_completion_t completion, void *data)
{
    int result = (int)rbd_aio_get_return_value(completion);
    Block *block = data;

    rbd_aio_release(completion);
    thread_must(pthread_mutex_lock(&block->flow->lock));
    block->flow->moved = g_get_monotonic_time();
    thread_must(pthread_mutex_unlock(&block->flow->lock));
    if (result < 0 || block->next == block->runs->len)
        settle(block, result);
    else
        write_next(block);
}

static void
write_next(Block *block)
{
    const VimgCephRun *run = &g_array_index(block->runs, VimgCephRun, block->next++);
    g_autoptr(GArray) iov = vimg_ceph_block_iov(block->data, run);
    guint64 offset = vimg_ceph_block_offset(block->data) + run->start;
    rbd_completion_t completion;
    int result = rbd_aio_create_completion(block, note_written, &completion);

    if (result < 0) {
        settle(block, result);
        return;
    }
    __atomic_add_fetch(&block->flow->sent, run->end - run->start, __ATOMIC_RELAXED);
    result = rbd_aio_writev(block->flow->image, (const struct iovec *)(void *)iov->data,
                            (int)iov->len, offset, completion);
    if (result < 0) {
        rbd_aio_release(completion);
        settle(block, result);
    }
}

gboolean
vimg_ceph_flow_push(VimgCephFlow *flow, VimgCephBlock **data, GError **error)
{
    g_autoptr(GArray) runs = vimg_ceph_block_runs(*data);
    Block *block;

    if (!vimg_ceph_check_job(flow->job, error) || !wait_until(flow, WINDOW - 1, error))
        return FALSE;
    if (runs->len == 0) {
        g_clear_pointer(data, vimg_ceph_block_free);
        return TRUE;
    }
    block = g_new0(Block, 1);
    block->flow = flow;
    block->data = g_steal_pointer(data);
    block->runs = g_steal_pointer(&runs);
    thread_must(pthread_mutex_lock(&flow->lock));
    if (g_queue_is_empty(&flow->blocks))
        flow->moved = g_get_monotonic_time();
    g_queue_push_tail(&flow->blocks, block);
    thread_must(pthread_mutex_unlock(&flow->lock));
    write_next(block);
    return TRUE;
}

gboolean
vimg_ceph_flow_drain(VimgCephFlow *flow, GError **error)
{
    return wait_until(flow, 0, error);
}

guint64
vimg_ceph_flow_durable(VimgCephFlow *flow, guint64 otherwise)
{
    const Block *block;

    LOCK_GUARD(&flow->lock);
    forget_durable(flow);
    block = g_queue_peek_head(&flow->blocks);
    return block ? vimg_ceph_block_offset(block->data) : otherwise;
}

gboolean
vimg_ceph_flow_has_failed(VimgCephFlow *flow)
{
    LOCK_GUARD(&flow->lock);
    return flow->result < 0;
}

guint64
vimg_ceph_flow_sent(const VimgCephFlow *flow)
{
    return __atomic_load_n(&flow->sent, __ATOMIC_RELAXED);
}
