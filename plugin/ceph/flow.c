/*
 * flow.c: writing to an RBD image, many blocks at a time
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "flow.h"
#include "../thread.h"
#include "throw.h"
#include "zero.h"

#define WINDOW 16   /* blocks in flight */
#define CHUNK 65536 /* bytes; a run of zeros of less is written */
#define MAX_RUNS 64 /* of a block: one write each */
#define NAP (G_USEC_PER_SEC / 2)

typedef struct {
    VimgCephFlow *flow;
    VimgBuffer *data;
    guint64 offset;
    guint pending; /* writes */
    gboolean failed;
} Block;

struct _VimgCephFlow {
    rbd_image_t image;
    VimgPluginJob *job;
    guint64 sent; /* through __atomic builtins */

    pthread_mutex_t lock; /* guards what follows, and .pending and .failed of blocks */
    pthread_cond_t changed;
    GQueue blocks; /* of Block, in order; a failed one stays, as nothing behind it counts */
    int result;    /* of the first write that failed */
};

typedef struct {
    gsize start;
    gsize end;
} Run;

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

    vimg_buffer_unref(block->data);
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
        while (((Block *)link->data)->pending > 0)
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

    while ((block = g_queue_peek_head(&flow->blocks)) && block->pending == 0 && !block->failed)
        free_block(g_queue_pop_head(&flow->blocks));
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
    block->pending--;
    if (result < 0) {
        block->failed = TRUE;
        flow->result = flow->result < 0 ? flow->result : result;
    }
    pthread_cond_broadcast(&flow->changed);
}

static void
note_written(rbd_completion_t completion, void *data)
{
    int result = (int)rbd_aio_get_return_value(completion);

    rbd_aio_release(completion);
    settle(data, result);
}

static void
write_run(Block *block, const Run *run)
{
    const char *data = (const char *)block->data->data + run->start;
    rbd_completion_t completion;
    int result = rbd_aio_create_completion(block, note_written, &completion);

    if (result < 0) {
        settle(block, result);
        return;
    }
    result = rbd_aio_write2(block->flow->image, block->offset + run->start, run->end - run->start,
                            data, completion,
                            LIBRADOS_OP_FLAG_FADVISE_SEQUENTIAL | LIBRADOS_OP_FLAG_FADVISE_NOCACHE);
    if (result < 0) {
        rbd_aio_release(completion);
        settle(block, result);
    }
}

/* Returns: number of runs that are not zeros. */
static guint
find_runs(const VimgBuffer *data, Run *runs)
{
    guint n = 0;
    gsize at;

    for (at = 0; at < data->size; at += CHUNK) {
        gsize end = MIN(at + CHUNK, data->size);

        if (is_zero(data->data + at, end - at))
            continue;
        if (n > 0 && (runs[n - 1].end == at || n == MAX_RUNS))
            runs[n - 1].end = end;
        else
            runs[n++] = (Run){.start = at, .end = end};
    }
    return n;
}

gboolean
vimg_ceph_flow_push(VimgCephFlow *flow, VimgBuffer *data, guint64 offset, GError **error)
{
    Run runs[MAX_RUNS];
    guint n = find_runs(data, runs);
    Block *block;
    guint i;

    if (!vimg_ceph_check_job(flow->job, error) || !wait_until(flow, WINDOW - 1, error))
        return FALSE;
    if (n == 0)
        return TRUE;
    block = g_new0(Block, 1);
    block->flow = flow;
    block->data = vimg_buffer_ref(data);
    block->offset = offset;
    block->pending = n;
    thread_must(pthread_mutex_lock(&flow->lock));
    g_queue_push_tail(&flow->blocks, block);
    thread_must(pthread_mutex_unlock(&flow->lock));
    for (i = 0; i < n; i++) {
        __atomic_add_fetch(&flow->sent, runs[i].end - runs[i].start, __ATOMIC_RELAXED);
        write_run(block, &runs[i]);
    }
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
    return block ? block->offset : otherwise;
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
