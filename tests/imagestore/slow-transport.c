/*
 * slow-transport.c: another transport as from far away, counting what that costs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "pass-transport.h"
#include "slice.h"
#include "slow-transport.h"
#include "thread.h"

typedef struct {
    PassTransport pass;
    guint delay;

    pthread_mutex_t lock; /* guards what follows */
    guint rounds;
    guint trips; /* that nothing shortens: those at the same time count once */
    guint trips_before;
    guint ops[VIMG_OP_SYNC + 1];
    guint jobless;
    guint64 flight;
    guint64 gather;
    pthread_cond_t gathered;
} Slow;

/* How many trips an operation takes when nothing else is asked for. */
static const guint trips[] = {
    [VIMG_OP_MKDIR] = 1,   [VIMG_OP_RMDIR] = 1, [VIMG_OP_CREATE] = 2, [VIMG_OP_OVERWRITE] = 2,
    [VIMG_OP_READ_AT] = 3, [VIMG_OP_READ] = 3,  [VIMG_OP_RENAME] = 1, [VIMG_OP_PUBLISH] = 2,
    [VIMG_OP_UNLINK] = 1,  [VIMG_OP_STAT] = 1,  [VIMG_OP_LIST] = 2,   [VIMG_OP_SYNC] = 2,
};

/* Bytes of a slice, as a test's store has them; of what a READ brings no more is known before. */
static guint64
weigh(const VimgOp *op)
{
    gboolean slice = (op->kind == VIMG_OP_CREATE && op->size > 4096) ||
                     (op->kind == VIMG_OP_READ && g_str_has_prefix(op->path, VIMG_SLICES_DIR));

    return slice ? MIN(op->size, 64 * 1024) : 0;
}

/* @trips_before: those of what ended until now.  Returns: its own. */
static guint
begin(Slow *slow, const VimgOp *ops, gsize n, guint64 *bytes, guint *trips_before)
{
    guint most = 0;
    gsize i;
    LOCK_GUARD(&slow->lock);

    for (i = 0; i < n; i++) {
        slow->ops[ops[i].kind]++;
        *bytes += weigh(&ops[i]);
        slow->jobless += weigh(&ops[i]) > 0 && !vimg_transport_job();
        most = MAX(most, trips[ops[i].kind]);
    }
    slow->rounds++;
    *trips_before = slow->trips;
    slow->flight += *bytes;
    if (slow->flight >= slow->gather) {
        slow->gather = 0;
        pthread_cond_broadcast(&slow->gathered);
    }
    while (*bytes > 0 && slow->gather > 0)
        thread_must(pthread_cond_wait(&slow->gathered, &slow->lock));
    return most;
}

static void
sync_done(Slow *slow, VimgOp *op)
{
    if (op->result != 0)
        return;
    if (op->kind == VIMG_OP_CREATE && op->durable)
        op->result = vimg_transport_sync(slow->pass.inner, op->path);
    if (op->kind == VIMG_OP_PUBLISH && op->dir)
        op->synced = vimg_transport_sync(slow->pass.inner, op->dir) == 0;
}

static void
slow_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    Slow *slow = (Slow *)transport;
    guint64 bytes = 0;
    guint before;
    guint most = begin(slow, ops, n, &bytes, &before);
    gsize i;

    if (slow->delay > 0)
        g_usleep(most * slow->delay);
    vimg_transport_run(slow->pass.inner, ops, n);
    for (i = 0; i < n; i++)
        sync_done(slow, &ops[i]);
    LOCK_GUARD(&slow->lock);

    slow->flight -= bytes;
    slow->trips = MAX(slow->trips, before + most);
}

static void
slow_free(VimgTransport *transport)
{
    Slow *slow = (Slow *)transport;

    vimg_transport_free(slow->pass.inner);
    pthread_cond_destroy(&slow->gathered);
    pthread_mutex_destroy(&slow->lock);
    g_free(slow);
}

static const VimgTransportOps slow_ops = {
    .run = slow_run,
    .sync_all = pass_sync_nothing,
    .space = pass_space,
    .free = slow_free,
};

VimgTransport *
slow_transport_new(VimgTransport *inner, guint delay)
{
    Slow *slow = g_new0(Slow, 1);

    slow->pass.parent.ops = &slow_ops;
    slow->pass.parent.remote = TRUE;
    slow->pass.inner = inner;
    slow->delay = delay;
    thread_must(pthread_mutex_init(&slow->lock, NULL));
    cond_init(&slow->gathered);
    return &slow->pass.parent;
}

void
slow_transport_reset(VimgTransport *transport)
{
    Slow *slow = (Slow *)transport;
    LOCK_GUARD(&slow->lock);

    slow->rounds = 0;
    slow->trips_before = slow->trips;
    slow->jobless = 0;
    memset(slow->ops, 0, sizeof(slow->ops));
}

guint
slow_transport_rounds(VimgTransport *transport)
{
    Slow *slow = (Slow *)transport;
    LOCK_GUARD(&slow->lock);

    return slow->rounds;
}

guint
slow_transport_trips(VimgTransport *transport)
{
    Slow *slow = (Slow *)transport;
    LOCK_GUARD(&slow->lock);

    return slow->trips - slow->trips_before;
}

guint
slow_transport_ops(VimgTransport *transport, VimgOpKind kind)
{
    Slow *slow = (Slow *)transport;
    LOCK_GUARD(&slow->lock);

    return slow->ops[kind];
}

guint
slow_transport_jobless(VimgTransport *transport)
{
    Slow *slow = (Slow *)transport;
    LOCK_GUARD(&slow->lock);

    return slow->jobless;
}

void
slow_transport_gather(VimgTransport *transport, guint64 bytes)
{
    Slow *slow = (Slow *)transport;
    LOCK_GUARD(&slow->lock);

    slow->gather = bytes;
}
