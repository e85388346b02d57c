/*
 * transport-sftp.c: file operations on a server, over SFTP
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "links.h"
#include "recover.h"
#include "task.h"

/*
 * After so many connections lost under them, and none of them done, operations are what kills the
 * server; for a job, which may wait for one that comes and goes, only after its patience too.
 */
#define ATTEMPTS 6
#define EXPECTED ((guint64)1024 * 1024) /* bytes of a file whose size only the server knows */

typedef struct {
    VimgTransport parent;
    char *root;
    VimgSftpLinks *links;
} Sftp;

/* A task under way, for ended(). */
typedef struct {
    VimgSftpLinks *links;
    VimgSftpBatch *batch;
    VimgSftpLink *link;
    VimgSftpTrack *track;
} Place;

/* What it will weigh, more or less: see vimg_sftp_session_load(), beside which it is counted. */
static guint64
bytes_of(const VimgOp *op)
{
    return VIMG_SFTP_REQUEST_WEIGHT +
           (op->kind == VIMG_OP_READ ? MIN(op->size, EXPECTED) : op->size);
}

/* The track is its own until the place is given back. */
static void
ended(VimgSftpTask *task)
{
    Place *place = task->owner;
    VimgSftpTrack *track = place->track;

    track->mine |= task->mine;
    track->doubted =
        !task->lost && track->again && !track->doubted && vimg_sftp_is_doubtful(task->op);
    track->ended = !task->lost && !track->doubted;
    if (task->stopped)
        task->op->result = ECANCELED;
    if (task->lost || task->stopped) {
        g_clear_pointer(&task->op->content, vimg_buffer_unref);
        g_clear_pointer(&task->op->names, g_ptr_array_unref);
        g_clear_pointer(&task->op->infos, g_array_unref);
    } else if (track->again) {
        task->op->result = vimg_sftp_settle(task->op, task->op->result);
    }
    track->again |= task->lost;
    vimg_sftp_links_put(place->links, place->batch, place->link, bytes_of(task->op), task->lost);
    vimg_sftp_task_free(task);
    g_free(place);
}

static void
start(const Sftp *sftp, VimgSftpBatch *batch, VimgSftpLink *link, VimgOp *op, VimgSftpTrack *track)
{
    VimgSftpTask *task = vimg_sftp_task_new(op, sftp->root);
    Place *place = g_new(Place, 1);

    *place = (Place){sftp->links, batch, link, track};
    task->owner = place;
    task->ended = ended;
    task->replace = track->replace;
    task->stop = &batch->cancelled;
    vimg_sftp_task_start(task, vimg_sftp_link_session(link));
}

/* Runs all that have not ended.  Returns: how many still have not, whose connection was lost. */
static gsize
run_round(const Sftp *sftp, VimgOp *ops, VimgSftpTrack *tracks, gsize n)
{
    VimgSftpBatch batch;
    gsize lost = 0;
    int result = 0;
    gsize i;

    vimg_sftp_batch_begin(sftp->links, &batch);
    for (i = 0; i < n; i++) {
        VimgSftpLink *link = NULL;

        if (tracks[i].ended)
            continue;
        if (result == 0)
            link = vimg_sftp_links_take(sftp->links, &batch, bytes_of(&ops[i]), &result);
        if (link) {
            start(sftp, &batch, link, &ops[i], &tracks[i]);
        } else {
            ops[i].result = result;
            tracks[i].ended = TRUE;
        }
    }
    vimg_sftp_batch_end(sftp->links, &batch);
    for (i = 0; i < n; i++)
        lost += !tracks[i].ended;
    return lost;
}

static gboolean
is_fatal(gint64 since)
{
    return !vimg_transport_is_patient() || g_get_monotonic_time() - since > VIMG_SFTP_JOB_PATIENCE;
}

static void
sftp_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    const Sftp *sftp = (const Sftp *)transport;
    g_autofree VimgSftpTrack *tracks = g_new0(VimgSftpTrack, n);
    gint64 since = g_get_monotonic_time(); /* nothing was done */
    guint attempts = 0;                    /* likewise */
    gsize left = n;
    gsize lost;
    gsize i;

    while ((lost = run_round(sftp, ops, tracks, n)) > 0) {
        if (lost < left) {
            since = g_get_monotonic_time();
            attempts = 0;
        }
        left = lost;
        if (attempts++ >= ATTEMPTS && is_fatal(since))
            break;
        vimg_sftp_recover(transport, ops, tracks, n);
    }
    for (i = 0; i < n; i++) {
        if (!tracks[i].ended)
            ops[i].result = ENOTCONN;
    }
}

static int
sftp_sync_all(VimgTransport *transport)
{
    return ENOSYS;
}

static int
sftp_space(VimgTransport *transport, VimgSpace *out)
{
    VimgSftpQuery query = {.op = {.kind = (VimgOpKind)VIMG_SFTP_TASK_SPACE, .path = "."}};

    sftp_run(transport, &query.op, 1);
    *out = query.space;
    return query.op.result;
}

static char *
sftp_resolve(VimgTransport *transport, int *result)
{
    VimgSftpQuery query = {.op = {.kind = (VimgOpKind)VIMG_SFTP_TASK_RESOLVE, .path = "."}};

    sftp_run(transport, &query.op, 1);
    *result = query.op.result;
    return query.resolved;
}

static char *
sftp_reason(VimgTransport *transport)
{
    return vimg_sftp_links_reason(((Sftp *)transport)->links);
}

static void
sftp_expect(VimgTransport *transport)
{
    vimg_sftp_links_expect(((Sftp *)transport)->links);
}

static void
sftp_free(VimgTransport *transport)
{
    Sftp *sftp = (Sftp *)transport;

    vimg_sftp_links_free(sftp->links);
    g_free(sftp->root);
    g_free(sftp);
}

static const VimgTransportOps sftp_ops = {
    .run = sftp_run,
    .sync_all = sftp_sync_all,
    .space = sftp_space,
    .free = sftp_free,
    .reason = sftp_reason,
    .resolve = sftp_resolve,
    .expect = sftp_expect,
};

VimgTransport *
vimg_transport_sftp_new(const VimgSftpTransportConfig *config)
{
    Sftp *sftp = g_new0(Sftp, 1);
    VimgSftpTransportConfig own = *config;
    gsize length = strlen(config->root);

    while (length > 1 && config->root[length - 1] == '/')
        length--;
    sftp->parent.ops = &sftp_ops;
    sftp->parent.remote = TRUE;
    sftp->root = g_strndup(config->root, length);
    own.root = sftp->root;
    sftp->links = vimg_sftp_links_new(&own);
    return &sftp->parent;
}

gboolean
vimg_transport_sftp_connect(VimgTransport *transport, GError **error)
{
    return vimg_sftp_links_connect(((Sftp *)transport)->links, error);
}

gboolean
vimg_transport_sftp_renew(VimgTransport *transport, guint connections, GError **error)
{
    return vimg_sftp_links_renew(((Sftp *)transport)->links, connections, error);
}

void
vimg_transport_sftp_restore(VimgTransport *transport)
{
    vimg_sftp_links_restore(((Sftp *)transport)->links);
}
