/*
 * links.c: the connections of one transport
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../throw.h"
#include "../store.h"
#include "links.h"

#define JOB_PATIENCE (300 * G_USEC_PER_SEC)
#define PLACES 256                 /* tasks on one connection, each with one open file at most */
#define PLACES_SAFE 64             /* where the server does not say how many it opens */
#define BUSY ((guint64)256 * 1024) /* vimg_sftp_session_load() that another connection is worth */
#define ASK_EVERY (G_USEC_PER_SEC / 2) /* whether the job was cancelled */
#define LOOK_EVERY (5 * G_USEC_PER_SEC)
#define DELAY_MIN (G_USEC_PER_SEC / 4) /* until the next attempt; doubled each time */
#define DELAY_MAX (5 * G_USEC_PER_SEC)
#define DELAY_MORE (30 * G_USEC_PER_SEC) /* the same while there are other connections */

struct _VimgSftpLink {
    VimgSftpSession *session;
    gint64 opened;
    guint places;
    guint tasks;
    gboolean lost;
};

struct _VimgSftpLinks {
    /* set once */
    VimgSftpTransportConfig config;

    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t wanted; /* the keeper has something to do */
    pthread_t keeper;
    gboolean started;
    gboolean stopping;
    GPtrArray *all; /* of VimgSftpLink, the lost ones too */
    guint live;
    GQueue batches;
    gboolean want;   /* one more connection */
    gboolean lost;   /* the last one */
    gboolean told;   /* what status() said of that */
    gint64 since;    /* no connection, monotonic; 0: there is one, or none was wanted yet */
    gint64 retry_at; /* not before */
    gint64 delay;
    gboolean flaps; /* the connection before was lost as soon as it was there */
    guint attempts; /* that ended */
    gint64 failed_at;
    GError *failure; /* of the last attempt, or why the last connection was lost */

    gboolean noted; /* that the server has no fsync; the keeper's */
};

static void
wake_all(VimgSftpLinks *links)
{
    GList *node;

    for (node = links->batches.head; node; node = node->next)
        pthread_cond_signal(&((VimgSftpBatch *)node->data)->changed);
}

/* Takes @error over.  The lock is held. */
static void
set_failure(VimgSftpLinks *links, GError *error)
{
    g_clear_error(&links->failure);
    links->failure = error;
}

/* The lock is held. */
static void
back_off(VimgSftpLinks *links)
{
    links->delay = CLAMP(links->delay * 2, DELAY_MIN, DELAY_MAX);
    links->retry_at = g_get_monotonic_time() + links->delay;
}

/* A server that drops us as soon as it has us is not to be asked ever faster.  The lock is held. */
static void
note_life(VimgSftpLinks *links, const VimgSftpLink *last)
{
    gboolean lived = g_get_monotonic_time() - last->opened >= DELAY_MAX;

    if (lived)
        links->delay = 0;
    else if (links->flaps)
        back_off(links);
    links->flaps = !lived;
}

/* The lock is held. */
static void
mark_lost(VimgSftpLinks *links, VimgSftpLink *link)
{
    g_autofree char *reason = NULL;

    if (link->lost)
        return;
    link->lost = TRUE;
    links->live--;
    pthread_cond_signal(&links->wanted);
    wake_all(links);
    if (links->live > 0)
        return;
    vimg_sftp_session_is_lost(link->session, &reason);
    set_failure(links, g_error_new_literal(VIMG_ERROR, (gint)VIMG_ERROR_DISCONNECTED,
                                           reason ? reason : _("the connection was closed")));
    links->since = g_get_monotonic_time();
    links->lost = TRUE;
    note_life(links, link);
}

/* ---- the keeper ---------------------------------------------------------------------------- */

static VimgSftpSession *
open_session(VimgSftpLinks *links, GError **error)
{
    VimgSftpStream *stream = links->config.connect(links->config.data, error);
    VimgSftpSession *session = stream ? vimg_sftp_session_new(stream, error) : NULL;

    if (session && !vimg_sftp_session_server(session)->fsync && !links->noted) {
        links->noted = TRUE;
        vimg_slice_store_log(
            VIMG_LOG_WARNING,
            "the SFTP server has no fsync: what it took last may go with its power");
    }
    return session;
}

static void
add_link(VimgSftpLinks *links, VimgSftpSession *session)
{
    guint64 handles = vimg_sftp_session_server(session)->handles_max;
    VimgSftpLink *link = g_new0(VimgSftpLink, 1);

    link->session = session;
    link->opened = g_get_monotonic_time();
    link->places = handles > 0 ? (guint)CLAMP(handles / 4 * 3, 1, PLACES) : PLACES_SAFE;
    g_ptr_array_add(links->all, link);
    links->live++;
    links->lost = FALSE;
    links->since = 0;
    links->retry_at = 0;
    g_clear_error(&links->failure);
}

static void
add_failure(VimgSftpLinks *links, GError *error)
{
    links->failed_at = g_get_monotonic_time();
    if (links->live == 0) {
        back_off(links);
        set_failure(links, error);
    } else {
        links->retry_at = links->failed_at + DELAY_MORE;
        g_error_free(error);
    }
}

/* The lock is held, but not meanwhile. */
static void
open_one(VimgSftpLinks *links)
{
    GError *error = NULL;
    VimgSftpSession *session;

    links->want = FALSE;
    thread_must(pthread_mutex_unlock(&links->lock));
    session = open_session(links, &error);
    thread_must(pthread_mutex_lock(&links->lock));
    if (session)
        add_link(links, session);
    else
        add_failure(links, error);
    links->attempts++;
    wake_all(links);
}

/* Frees one connection that was lost.  The lock is held, but not meanwhile. */
static gboolean
reap(VimgSftpLinks *links)
{
    guint i;

    for (i = 0; i < links->all->len; i++) {
        VimgSftpLink *link = g_ptr_array_index(links->all, i);

        if (!link->lost && vimg_sftp_session_is_lost(link->session, NULL))
            mark_lost(links, link);
        if (!link->lost || link->tasks > 0)
            continue;
        g_ptr_array_remove_index_fast(links->all, i);
        thread_must(pthread_mutex_unlock(&links->lock));
        vimg_sftp_session_free(link->session);
        g_free(link);
        thread_must(pthread_mutex_lock(&links->lock));
        return TRUE;
    }
    return FALSE;
}

/* Tells whether there is a connection, if that changed.  The lock is held, but not meanwhile. */
static gboolean
tell(VimgSftpLinks *links)
{
    gboolean lost = links->lost;
    g_autofree char *reason = NULL;

    if (links->told == lost)
        return FALSE;
    links->told = lost;
    if (links->failure)
        reason = g_strdup(links->failure->message);
    thread_must(pthread_mutex_unlock(&links->lock));
    if (links->config.status)
        links->config.status(!lost, reason, links->config.data);
    thread_must(pthread_mutex_lock(&links->lock));
    return TRUE;
}

static void *
keeper_main(void *data)
{
    VimgSftpLinks *links = data;

    pthread_setname_np(pthread_self(), "sftp-keeper");
    thread_must(pthread_mutex_lock(&links->lock));
    while (!links->stopping) {
        gint64 now = g_get_monotonic_time();

        if (reap(links) || tell(links))
            continue;
        if (links->want && links->all->len < links->config.connections && now >= links->retry_at)
            open_one(links);
        else
            cond_wait_until(&links->wanted, &links->lock,
                            links->want && links->retry_at > now ? links->retry_at
                                                                 : now + LOOK_EVERY);
    }
    thread_must(pthread_mutex_unlock(&links->lock));
    return NULL;
}

/* Asks the keeper for one more connection.  Returns: FALSE if there is no keeper.  The lock is
 * held.
 */
static gboolean
want_one(VimgSftpLinks *links)
{
    int result;

    if (!links->started) {
        result = thread_start(&links->keeper, keeper_main, links);
        if (result != 0) {
            set_failure(links, g_error_new(VIMG_ERROR, (gint)VIMG_ERROR_BUSY,
                                           _("cannot start a thread: %s"), g_strerror(result)));
            return FALSE;
        }
        links->started = TRUE;
    }
    links->want = TRUE;
    pthread_cond_signal(&links->wanted);
    return TRUE;
}

/* ---- places -------------------------------------------------------------------------------- */

void
vimg_sftp_batch_begin(VimgSftpLinks *links, VimgSftpBatch *batch)
{
    LOCK_GUARD(&links->lock);

    *batch = (VimgSftpBatch){.began = g_get_monotonic_time(), .node = {.data = batch}};
    cond_init(&batch->changed);
    g_queue_push_tail_link(&links->batches, &batch->node);
}

void
vimg_sftp_batch_end(VimgSftpLinks *links, VimgSftpBatch *batch)
{
    {
        LOCK_GUARD(&links->lock);

        while (batch->under_way > 0)
            thread_must(pthread_cond_wait(&batch->changed, &links->lock));
        g_queue_unlink(&links->batches, &batch->node);
    }
    pthread_cond_destroy(&batch->changed);
}

/* The least busy connection that has a place, or NULL.  The lock is held. */
static VimgSftpLink *
choose(VimgSftpLinks *links)
{
    VimgSftpLink *best = NULL;
    guint64 least = G_MAXUINT64;
    guint i;

    for (i = 0; i < links->all->len; i++) {
        VimgSftpLink *link = g_ptr_array_index(links->all, i);
        guint64 load;

        if (!link->lost && vimg_sftp_session_is_lost(link->session, NULL))
            mark_lost(links, link);
        if (link->lost)
            continue;
        load = vimg_sftp_session_load(link->session);
        if (load < least && link->tasks < link->places) {
            best = link;
            least = load;
        }
    }
    return best;
}

/* Whether another connection would not have to wait for those there are.  The lock is held. */
static gboolean
is_worth_more(const VimgSftpLinks *links, const VimgSftpLink *best)
{
    return links->all->len < links->config.connections && !links->want &&
           g_get_monotonic_time() >= links->retry_at &&
           (!best || vimg_sftp_session_load(best->session) >= BUSY);
}

static gboolean
is_cancelled(VimgSftpLinks *links, VimgPluginJob *job)
{
    gboolean cancelled;

    if (!job || !vimg_services)
        return FALSE;
    thread_must(pthread_mutex_unlock(&links->lock));
    cancelled = vimg_services->job_cancelled(job);
    thread_must(pthread_mutex_lock(&links->lock));
    return cancelled;
}

/*
 * Whether it is no use to wait any longer.  From the moment of the loss on, not of the question:
 * what cleans up after a failure must not wait as long once more.  The lock is held.
 */
static gboolean
is_hopeless(const VimgSftpLinks *links, const VimgSftpBatch *batch, const VimgPluginJob *job)
{
    gint64 now = g_get_monotonic_time();
    gint64 patience = (gint64)links->config.patience * G_USEC_PER_SEC;
    gboolean tried = links->failed_at > batch->began ||
                     (links->failed_at > 0 && now - links->failed_at < DELAY_MAX);

    if (!job && tried && links->failure && links->failure->code != (gint)VIMG_ERROR_DISCONNECTED)
        return TRUE;
    if (job)
        patience = MAX(patience, JOB_PATIENCE);
    return now > links->since + patience && (tried || now > batch->began + patience);
}

/* Waits a little until there is a connection.  Returns: 0 to look again.  The lock is held. */
static int
wait_for_link(VimgSftpLinks *links, VimgSftpBatch *batch)
{
    VimgPluginJob *job = vimg_transport_job();

    if (is_cancelled(links, job))
        return ECANCELED;
    if (links->live > 0)
        return 0;
    if (links->since == 0)
        links->since = g_get_monotonic_time();
    if (is_hopeless(links, batch, job) || !want_one(links))
        return ENOTCONN;
    cond_wait_until(&batch->changed, &links->lock, g_get_monotonic_time() + ASK_EVERY);
    return 0;
}

VimgSftpLink *
vimg_sftp_links_take(VimgSftpLinks *links, VimgSftpBatch *batch, int *result)
{
    LOCK_GUARD(&links->lock);
    VimgSftpLink *link;

    *result = 0;
    while (!(link = choose(links))) {
        if (links->live == 0)
            *result = wait_for_link(links, batch);
        else
            thread_must(pthread_cond_wait(&batch->changed, &links->lock));
        if (*result != 0)
            return NULL;
    }
    if (is_worth_more(links, link))
        want_one(links);
    link->tasks++;
    batch->under_way++;
    return link;
}

void
vimg_sftp_links_put(VimgSftpLinks *links, VimgSftpBatch *batch, VimgSftpLink *link, gboolean lost)
{
    LOCK_GUARD(&links->lock);

    /* one that waited for this place waits no more */
    if (link->tasks-- == link->places)
        wake_all(links);
    batch->under_way--;
    pthread_cond_signal(&batch->changed);
    if (lost)
        mark_lost(links, link);
    if (link->lost && link->tasks == 0)
        pthread_cond_signal(&links->wanted);
}

VimgSftpSession *
vimg_sftp_link_session(VimgSftpLink *link)
{
    return link->session;
}

/* ---- beginning and end --------------------------------------------------------------------- */

VimgSftpLinks *
vimg_sftp_links_new(const VimgSftpTransportConfig *config)
{
    VimgSftpLinks *links = g_new0(VimgSftpLinks, 1);

    links->config = *config;
    links->config.root = NULL;
    links->config.connections = CLAMP(config->connections, 1, VIMG_SFTP_CONNECTIONS_MAX);
    if (config->patience == 0)
        links->config.patience = VIMG_SFTP_PATIENCE;
    thread_must(pthread_mutex_init(&links->lock, NULL));
    cond_init(&links->wanted);
    links->all = g_ptr_array_new();
    g_queue_init(&links->batches);
    return links;
}

void
vimg_sftp_links_free(VimgSftpLinks *links)
{
    guint i;

    if (!links)
        return;
    {
        LOCK_GUARD(&links->lock);

        links->stopping = TRUE;
        pthread_cond_signal(&links->wanted);
    }
    if (links->started)
        pthread_join(links->keeper, NULL);
    for (i = 0; i < links->all->len; i++) {
        VimgSftpLink *link = g_ptr_array_index(links->all, i);

        vimg_sftp_session_free(link->session);
        g_free(link);
    }
    g_ptr_array_unref(links->all);
    if (links->config.free_data)
        links->config.free_data(links->config.data);
    g_clear_error(&links->failure);
    pthread_cond_destroy(&links->wanted);
    pthread_mutex_destroy(&links->lock);
    g_free(links);
}

gboolean
vimg_sftp_links_connect(VimgSftpLinks *links, GError **error)
{
    VimgSftpBatch batch;
    gboolean connected;

    vimg_sftp_batch_begin(links, &batch);
    {
        LOCK_GUARD(&links->lock);
        guint attempts;

        choose(links);
        attempts = links->attempts;
        links->retry_at = links->live > 0 ? links->retry_at : 0;
        while (links->live == 0 && attempts == links->attempts && want_one(links))
            thread_must(pthread_cond_wait(&batch.changed, &links->lock));
        connected = links->live > 0;
        if (!connected && error)
            *error = g_error_copy(links->failure);
    }
    vimg_sftp_batch_end(links, &batch);
    return connected;
}

char *
vimg_sftp_links_reason(VimgSftpLinks *links)
{
    LOCK_GUARD(&links->lock);

    return links->live == 0 && links->failure ? g_strdup(links->failure->message) : NULL;
}
