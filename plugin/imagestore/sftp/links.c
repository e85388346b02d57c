/*
 * links.c: the connections of one transport
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../throw.h"
#include "../store.h"
#include "fresh.h"
#include "links.h"

#define PLACES 256                 /* tasks on one connection, each with one open file at most */
#define PLACES_SAFE 64             /* where the server does not say how many it opens */
#define BUSY ((guint64)256 * 1024) /* load_of() that another connection is worth */
#define CANCEL_AFTER (2 * G_USEC_PER_SEC)
#define ASK_EVERY (G_USEC_PER_SEC / 2) /* whether the job was cancelled */
#define LOOK_EVERY (5 * G_USEC_PER_SEC)
#define DELAY_MIN (G_USEC_PER_SEC / 4) /* until the next attempt; doubled each time */
#define DELAY_MAX (5 * G_USEC_PER_SEC)
#define DELAY_REFUSED (60 * G_USEC_PER_SEC) /* where more attempts may lock an account */
#define DELAY_MORE (30 * G_USEC_PER_SEC)    /* the same while there are other connections */

struct _VimgSftpLink {
    VimgSftpSession *session;
    gint64 opened;
    guint places;
    guint tasks;
    guint64 due; /* bytes that these are expected to move, as take() was told */
    gboolean lost;
    gboolean retired; /* its way is no longer the right one: it gets no new tasks */
};

struct _VimgSftpLinks {
    /* set once */
    VimgSftpTransportConfig config;

    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t wanted; /* the keeper has something to do */
    pthread_t keeper;
    gboolean started;
    gboolean stopping;
    GPtrArray *all; /* of VimgSftpLink, those that are lost or retired too */
    guint most;     /* connections that are not retired */
    guint live;     /* neither lost nor retired */
    GQueue batches;
    gboolean want;       /* one more connection */
    gboolean opening;    /* an attempt is under way, by what was so when it began */
    gboolean lost;       /* the last one */
    gboolean told;       /* what status() said of that */
    gint64 since;        /* no connection, monotonic; 0: there is one, or none was wanted yet */
    GHashTable *waiting; /* since then, jobs: when each began to wait */
    gint64 retry_at;     /* not before */
    gint64 delay;
    gboolean flaps; /* the connection before was lost as soon as it was there */
    guint attempts; /* that ended */
    gint64 failed_at;
    GError *failure; /* of the last attempt, or why the last connection was lost */
    guint64 asked;   /* renewals; each in the place of those before */
    guint64 renewed; /* the last of them that ended */
    GError *refusal; /* what that one ended with; NULL: it succeeded */

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
    pthread_cond_signal(&links->wanted);
    if (link->retired)
        return;
    links->live--;
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

static gboolean
is_right(VimgSftpLinks *links, VimgSftpSession *session, GError **error)
{
    g_autoptr(VimgTransport) fresh = NULL;

    if (!links->config.check)
        return TRUE;
    fresh = vimg_sftp_fresh_new(session, links->config.root);
    return links->config.check(fresh, links->config.data, error);
}

/*
 * Several machines may go by the same name: all connections lead to one of them, and the next one,
 * once all are lost, to the same storage.
 */
static VimgSftpSession *
open_session(VimgSftpLinks *links, gboolean more, GError **error)
{
    const VimgSftpTransportConfig *config = &links->config;
    VimgSftpStream *stream = more && config->connect_more
                                 ? config->connect_more(config->data, error)
                                 : config->connect(config->data, error);
    g_autoptr(VimgSftpSession) session = stream ? vimg_sftp_session_new(stream, error) : NULL;

    if (session && !more && !is_right(links, session, error))
        return NULL;
    if (session && !vimg_sftp_session_server(session)->fsync && !links->noted) {
        links->noted = TRUE;
        vimg_slice_store_log(
            VIMG_LOG_WARNING,
            "the SFTP server has no fsync: what it took last may go with its power");
    }
    return g_steal_pointer(&session);
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
    g_hash_table_remove_all(links->waiting);
    g_clear_error(&links->failure);
}

static void
add_failure(VimgSftpLinks *links, GError *error)
{
    links->failed_at = g_get_monotonic_time();
    if (links->live == 0) {
        back_off(links);
        if (error->code != (gint)VIMG_ERROR_DISCONNECTED)
            links->retry_at = links->failed_at + DELAY_REFUSED;
        set_failure(links, error);
    } else {
        links->retry_at = links->failed_at + DELAY_MORE;
        g_error_free(error);
    }
}

/* The lock is held. */
static void
retire(VimgSftpLinks *links, VimgSftpLink *link)
{
    if (!link->lost && !link->retired)
        links->live--;
    link->retired = TRUE;
}

/* The lock is held.  Returns: how many connections count against the most there may be. */
static guint
count_links(const VimgSftpLinks *links)
{
    guint n = 0;
    guint i;

    for (i = 0; i < links->all->len; i++)
        n += !((VimgSftpLink *)g_ptr_array_index(links->all, i))->retired;
    return n;
}

/* The lock is held, but not meanwhile. */
static void
open_one(VimgSftpLinks *links)
{
    gboolean more = links->live > 0;
    GError *error = NULL;
    VimgSftpSession *session;

    links->opening = TRUE;
    thread_must(pthread_mutex_unlock(&links->lock));
    session = open_session(links, more, &error);
    thread_must(pthread_mutex_lock(&links->lock));
    if (session)
        add_link(links, session);
    else if (more && links->live == 0) /* says nothing of a connection to another machine */
        g_error_free(error);
    else
        add_failure(links, error);
    /* whoever needs another one asks again */
    links->want = FALSE;
    links->opening = FALSE;
    links->attempts++;
    wake_all(links);
}

/*
 * Opens one by the way that is right now, beyond those there may be; if there is one, the others
 * are retired, else they stay.  The lock is held, but not meanwhile.
 */
static void
renew(VimgSftpLinks *links)
{
    guint64 asked = links->asked;
    VimgSftpSession *session;
    GError *error = NULL;
    guint i;

    thread_must(pthread_mutex_unlock(&links->lock));
    session = open_session(links, FALSE, &error);
    thread_must(pthread_mutex_lock(&links->lock));
    if (session) {
        for (i = 0; i < links->all->len; i++)
            retire(links, g_ptr_array_index(links->all, i));
        add_link(links, session);
    } else if (links->live == 0) {
        add_failure(links, g_error_copy(error));
    }
    g_clear_error(&links->refusal);
    links->refusal = error;
    links->renewed = asked;
    links->attempts++;
    wake_all(links);
}

/* Frees one connection that was lost or retired.  The lock is held, but not meanwhile. */
static gboolean
reap(VimgSftpLinks *links)
{
    guint i;

    for (i = 0; i < links->all->len; i++) {
        VimgSftpLink *link = g_ptr_array_index(links->all, i);

        if (!link->lost && vimg_sftp_session_is_lost(link->session, NULL))
            mark_lost(links, link);
        if ((!link->lost && !link->retired) || link->tasks > 0)
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
        if (links->renewed < links->asked)
            renew(links);
        else if (links->want && count_links(links) < links->most && now >= links->retry_at)
            open_one(links);
        else
            cond_wait_until(&links->wanted, &links->lock,
                            links->want && links->retry_at > now ? links->retry_at
                                                                 : now + LOOK_EVERY);
    }
    thread_must(pthread_mutex_unlock(&links->lock));
    return NULL;
}

/* Returns: FALSE if there is no keeper.  The lock is held. */
static gboolean
start_keeper(VimgSftpLinks *links)
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
    return TRUE;
}

/* Asks the keeper for one more connection.  Returns: FALSE if there is no keeper.  The lock is
 * held.
 */
static gboolean
want_one(VimgSftpLinks *links)
{
    if (!start_keeper(links))
        return FALSE;
    links->want = TRUE;
    pthread_cond_signal(&links->wanted);
    return TRUE;
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
 * Waits for a change, but not long, and asks whether the job was cancelled: its tasks under way end
 * then as soon as they can.  Returns: whether it was.  The lock is held, but not meanwhile.
 */
static gboolean
wait_and_ask(VimgSftpLinks *links, VimgSftpBatch *batch)
{
    VimgPluginJob *job = vimg_transport_job();

    if (!job) {
        thread_must(pthread_cond_wait(&batch->changed, &links->lock));
        return FALSE;
    }
    cond_wait_until(&batch->changed, &links->lock, g_get_monotonic_time() + ASK_EVERY);
    /* what cleans up after a cancelled job, and is quick, may do so */
    if (g_get_monotonic_time() - batch->began >= CANCEL_AFTER && is_cancelled(links, job))
        __atomic_store_n(&batch->cancelled, TRUE, __ATOMIC_RELAXED);
    return __atomic_load_n(&batch->cancelled, __ATOMIC_RELAXED);
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
            wait_and_ask(links, batch);
        g_queue_unlink(&links->batches, &batch->node);
    }
    pthread_cond_destroy(&batch->changed);
}

/* Bytes on their way, or soon: those of tasks that only just begin count too.  The lock is held. */
static guint64
load_of(const VimgSftpLink *link)
{
    return MAX(link->due, vimg_sftp_session_load(link->session));
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
        if (link->lost || link->retired)
            continue;
        load = load_of(link);
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
    return count_links(links) < links->most && !links->want &&
           g_get_monotonic_time() >= links->retry_at && (!best || load_of(best) >= BUSY);
}

/* When @job began to wait for a connection.  The lock is held. */
static gint64
waits_since(VimgSftpLinks *links, VimgPluginJob *job)
{
    gint64 *began = g_hash_table_lookup(links->waiting, job);

    if (!began) {
        began = g_new(gint64, 1);
        *began = g_get_monotonic_time();
        g_hash_table_insert(links->waiting, job, began);
    }
    return MAX(links->since, *began);
}

/*
 * Whether it is no use to wait any longer.  From the moment of the loss on, not of the question:
 * what cleans up after a failure must not wait as long once more.  A job that asked for nothing
 * meanwhile did not wait: for it, from its first question on.  The lock is held.
 */
static gboolean
is_hopeless(VimgSftpLinks *links, const VimgSftpBatch *batch, VimgPluginJob *job)
{
    gint64 now = g_get_monotonic_time();
    gint64 patience = (gint64)links->config.patience * G_USEC_PER_SEC;
    gboolean tried = links->failed_at > batch->began ||
                     (links->failed_at > 0 && now - links->failed_at < DELAY_MAX);

    if (!job && (tried || now < links->retry_at) && links->failure &&
        links->failure->code != (gint)VIMG_ERROR_DISCONNECTED)
        return TRUE;
    if (job)
        return now > waits_since(links, job) + MAX(patience, VIMG_SFTP_JOB_PATIENCE) && tried;
    return now > links->since + patience && (tried || now > batch->began + patience);
}

/* The same without waiting for the time of the next attempt. */
static gboolean
want_now(VimgSftpLinks *links)
{
    links->retry_at = 0;
    return want_one(links);
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
vimg_sftp_links_take(VimgSftpLinks *links, VimgSftpBatch *batch, guint64 bytes, int *result)
{
    LOCK_GUARD(&links->lock);
    VimgSftpLink *link;

    *result = 0;
    while (!(link = choose(links))) {
        if (links->live == 0)
            *result = wait_for_link(links, batch);
        else if (wait_and_ask(links, batch))
            *result = ECANCELED;
        if (*result != 0)
            return NULL;
    }
    if (is_worth_more(links, link))
        want_one(links);
    link->tasks++;
    link->due += bytes;
    batch->under_way++;
    return link;
}

void
vimg_sftp_links_put(VimgSftpLinks *links, VimgSftpBatch *batch, VimgSftpLink *link, guint64 bytes,
                    gboolean lost)
{
    LOCK_GUARD(&links->lock);

    /* one that waited for this place waits no more */
    if (link->tasks-- == link->places)
        wake_all(links);
    link->due -= bytes;
    batch->under_way--;
    pthread_cond_signal(&batch->changed);
    if (lost)
        mark_lost(links, link);
    if ((link->lost || link->retired) && link->tasks == 0)
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
    links->config.root = g_strdup(config->root);
    links->most = CLAMP(config->connections, 1, VIMG_SFTP_CONNECTIONS_MAX);
    if (config->patience == 0)
        links->config.patience = VIMG_SFTP_PATIENCE;
    thread_must(pthread_mutex_init(&links->lock, NULL));
    cond_init(&links->wanted);
    links->all = g_ptr_array_new();
    links->waiting = g_hash_table_new_full(NULL, NULL, NULL, g_free);
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
    g_hash_table_unref(links->waiting);
    if (links->config.free_data)
        links->config.free_data(links->config.data);
    g_free((char *)links->config.root);
    g_clear_error(&links->failure);
    g_clear_error(&links->refusal);
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
        /* one that is under way already goes by what was so before, as a former password */
        attempts = links->attempts + (links->opening ? 2 : 1);
        while (links->live == 0 && (gint)(attempts - links->attempts) > 0 && want_now(links))
            thread_must(pthread_cond_wait(&batch.changed, &links->lock));
        connected = links->live > 0;
        if (!connected && error)
            *error = g_error_copy(links->failure);
    }
    vimg_sftp_batch_end(links, &batch);
    return connected;
}

gboolean
vimg_sftp_links_renew(VimgSftpLinks *links, guint connections, GError **error)
{
    VimgSftpBatch batch;
    gboolean renewed;

    vimg_sftp_batch_begin(links, &batch);
    {
        LOCK_GUARD(&links->lock);
        gboolean started = start_keeper(links);
        guint64 ticket = started ? ++links->asked : 0;
        const GError *refusal;

        pthread_cond_signal(&links->wanted);
        while (links->renewed < ticket)
            thread_must(pthread_cond_wait(&batch.changed, &links->lock));
        refusal = started ? links->refusal : links->failure;
        renewed = !refusal;
        if (renewed)
            links->most = CLAMP(connections, 1, VIMG_SFTP_CONNECTIONS_MAX);
        else if (error)
            *error = g_error_copy(refusal);
    }
    vimg_sftp_batch_end(links, &batch);
    return renewed;
}

char *
vimg_sftp_links_reason(VimgSftpLinks *links)
{
    LOCK_GUARD(&links->lock);

    return links->live == 0 && links->failure ? g_strdup(links->failure->message) : NULL;
}
