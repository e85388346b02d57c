/*
 * fresh.c: the storage behind one connection that is nobody's yet
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "../../thread.h"
#include "fresh.h"
#include "task.h"

#define ASK_EVERY (G_USEC_PER_SEC / 2) /* whether it is given up */

typedef struct {
    VimgTransport parent;
    VimgSftpSession *session;
    const char *root;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    gboolean ended;
} Fresh;

static void
ended(VimgSftpTask *task)
{
    Fresh *fresh = task->owner;
    LOCK_GUARD(&fresh->lock);

    fresh->ended = TRUE;
    pthread_cond_signal(&fresh->changed);
}

/* Waits for it, but not long. */
static gboolean
has_ended(Fresh *fresh)
{
    LOCK_GUARD(&fresh->lock);

    if (!fresh->ended)
        cond_wait_until(&fresh->changed, &fresh->lock, g_get_monotonic_time() + ASK_EVERY);
    return fresh->ended;
}

static void
run_one(Fresh *fresh, VimgOp *op)
{
    VimgSftpTask *task = vimg_sftp_task_new(op, fresh->root);

    task->owner = fresh;
    task->ended = ended;
    fresh->ended = FALSE;
    vimg_sftp_task_start(task, fresh->session);
    /* a server that is silent is lost before long */
    while (!has_ended(fresh))
        vimg_sftp_session_heed(fresh->session);
    if (task->lost) {
        g_clear_pointer(&op->content, vimg_buffer_unref);
        g_clear_pointer(&op->names, g_ptr_array_unref);
        g_clear_pointer(&op->infos, g_array_unref);
        op->result = ENOTCONN;
    }
    vimg_sftp_task_free(task);
}

static void
fresh_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    gsize i;

    for (i = 0; i < n; i++)
        run_one((Fresh *)transport, &ops[i]);
}

static int
fresh_sync_all(VimgTransport *transport)
{
    return ENOSYS;
}

static int
fresh_space(VimgTransport *transport, VimgSpace *out)
{
    VimgSftpQuery query = {.op = {.kind = (VimgOpKind)VIMG_SFTP_TASK_SPACE, .path = "."}};

    run_one((Fresh *)transport, &query.op);
    *out = query.space;
    return query.op.result;
}

static char *
fresh_resolve(VimgTransport *transport, int *result)
{
    VimgSftpQuery query = {.op = {.kind = (VimgOpKind)VIMG_SFTP_TASK_RESOLVE, .path = "."}};

    run_one((Fresh *)transport, &query.op);
    *result = query.op.result;
    return query.resolved;
}

static void
fresh_free(VimgTransport *transport)
{
    Fresh *fresh = (Fresh *)transport;

    pthread_cond_destroy(&fresh->changed);
    pthread_mutex_destroy(&fresh->lock);
    g_free(fresh);
}

static const VimgTransportOps fresh_ops = {
    .run = fresh_run,
    .sync_all = fresh_sync_all,
    .space = fresh_space,
    .free = fresh_free,
    .resolve = fresh_resolve,
};

VimgTransport *
vimg_sftp_fresh_new(VimgSftpSession *session, const char *root)
{
    Fresh *fresh = g_new0(Fresh, 1);

    fresh->parent.ops = &fresh_ops;
    fresh->parent.remote = TRUE;
    fresh->session = session;
    fresh->root = root;
    thread_must(pthread_mutex_init(&fresh->lock, NULL));
    cond_init(&fresh->changed);
    return &fresh->parent;
}
