/*
 * links.c: the connections of one transport
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../store.h"
#include "throw.h"
#include "links-private.h"

#define BUSY ((guint64)256 * 1024) /* load_of() that another connection is worth */
#define CANCEL_AFTER (2 * G_USEC_PER_SEC)
#define ASK_EVERY (G_USEC_PER_SEC / 2) /* whether the job was cancelled */

void
vimg_sftp_links_wake_all(VimgSftpLinks *links)
{
    GList *node;

    for (node = links->batches.head; node; node = node->next)
        pthread_cond_signal(&((VimgSftpBatch *)node->data)->changed);
}

static gboolean
is_cancelled(VimgSftpLinks *links, VimgPluginJob *job)
{
    gboolean cancelled;

    if (!job)
        return FALSE;
    thread_must(pthread_mutex_unlock(&links->lock));
    cancelled = !vimg_slice_store_check_job(job, NULL);
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
            vimg_sftp_keeper_mark_lost(links, link);
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

/* The lock is held. */
static gboolean
may_have_more(const VimgSftpLinks *links)
{
    return vimg_sftp_keeper_count(links) < links->most && !links->want &&
           g_get_monotonic_time() >= links->retry_at;
}

/* Whether another connection would not have to wait for those there are.  The lock is held. */
static gboolean
is_worth_more(const VimgSftpLinks *links, const VimgSftpLink *best)
{
    return may_have_more(links) && (!best || load_of(best) >= BUSY);
}

/* When the job of this thread began to wait for a connection.  The lock is held. */
static gint64
waits_since(VimgSftpLinks *links)
{
    guint64 number = vimg_transport_job_number();
    gint64 *began = g_hash_table_lookup(links->waiting, &number);

    if (!began) {
        began = g_new(gint64, 1);
        *began = g_get_monotonic_time();
        g_hash_table_insert(links->waiting, g_memdup2(&number, sizeof(number)), began);
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
                     (links->failed_at > 0 && now - links->failed_at < VIMG_SFTP_DELAY_MAX);

    if (!job && (tried || now < links->retry_at) && links->failure &&
        links->failure->code != (gint)VIMG_ERROR_DISCONNECTED)
        return TRUE;
    if (job)
        return now > waits_since(links) + MAX(patience, VIMG_SFTP_JOB_PATIENCE) && tried;
    return now > links->since + patience && (tried || now > batch->began + patience);
}

/* The same without waiting for the time of the next attempt. */
static gboolean
want_now(VimgSftpLinks *links)
{
    links->retry_at = 0;
    return vimg_sftp_keeper_want(links);
}

/* Waits a little until there is a connection.  Returns: 0 to look again.  The lock is held. */
static int
wait_for_link(VimgSftpLinks *links, VimgSftpBatch *batch)
{
    VimgPluginJob *job = vimg_transport_is_patient() ? vimg_transport_job() : NULL;

    if (is_cancelled(links, vimg_transport_job()))
        return ECANCELED;
    if (links->live > 0)
        return 0;
    if (links->since == 0)
        links->since = g_get_monotonic_time();
    if (is_hopeless(links, batch, job) || !vimg_sftp_keeper_want(links))
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
        vimg_sftp_keeper_want(links);
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
        vimg_sftp_links_wake_all(links);
    link->due -= bytes;
    batch->under_way--;
    pthread_cond_signal(&batch->changed);
    if (lost)
        vimg_sftp_keeper_mark_lost(links, link);
    if ((link->lost || link->retired) && link->tasks == 0)
        pthread_cond_signal(&links->wanted);
}

void
vimg_sftp_links_expect(VimgSftpLinks *links)
{
    LOCK_GUARD(&links->lock);

    if (links->live > 0 && may_have_more(links))
        vimg_sftp_keeper_want(links);
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
    links->extras = g_ptr_array_new();
    links->waiting = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
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
    if (links->config.give_up)
        links->config.give_up(links->config.data);
    if (links->started)
        pthread_join(links->keeper, NULL);
    for (i = 0; i < links->all->len; i++) {
        VimgSftpLink *link = g_ptr_array_index(links->all, i);

        vimg_sftp_session_free(link->session);
        g_free(link);
    }
    g_ptr_array_unref(links->all);
    g_ptr_array_unref(links->extras);
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

/* Waits, but not long, for what the keeper was asked for.  Returns: FALSE: nobody is to wait. */
static gboolean
await_keeper(VimgSftpLinks *links, VimgSftpBatch *batch, GError **error)
{
    cond_wait_until(&batch->changed, &links->lock, g_get_monotonic_time() + ASK_EVERY);
    return !is_cancelled(links, vimg_transport_job()) ||
           throw_error(error, VIMG_ERROR_ABORTED, _("cancelled by a client"));
}

gboolean
vimg_sftp_links_connect(VimgSftpLinks *links, GError **error)
{
    g_autoptr(GError) failure = NULL;
    VimgSftpBatch batch;
    gboolean connected;

    vimg_sftp_batch_begin(links, &batch);
    {
        LOCK_GUARD(&links->lock);
        guint attempts;

        choose(links);
        /* one that is under way already goes by what was so before, as a former password */
        attempts = links->attempts + (links->opening ? 2 : 1);
        while (links->live == 0 && (gint)(attempts - links->attempts) > 0 && want_now(links) &&
               await_keeper(links, &batch, &failure))
            ;
        connected = links->live > 0;
        if (!connected && error)
            *error = g_error_copy(failure ? failure : links->failure);
    }
    vimg_sftp_batch_end(links, &batch);
    return connected;
}

gboolean
vimg_sftp_links_renew(VimgSftpLinks *links, guint connections, GError **error)
{
    g_autoptr(GError) failure = NULL;
    VimgSftpBatch batch;
    gboolean renewed;

    vimg_sftp_batch_begin(links, &batch);
    {
        LOCK_GUARD(&links->lock);
        gboolean started = vimg_sftp_keeper_start(links);
        guint64 ticket = started ? ++links->asked : 0;
        const GError *refusal;

        pthread_cond_signal(&links->wanted);
        while (links->renewed < ticket && await_keeper(links, &batch, &failure))
            ;
        /* what was done meanwhile is done, though the job was cancelled */
        if (links->renewed >= ticket)
            g_clear_error(&failure);
        refusal = failure ? failure : started ? links->refusal : links->failure;
        renewed = !refusal;
        if (renewed)
            links->most = CLAMP(connections, 1, VIMG_SFTP_CONNECTIONS_MAX);
        else if (error)
            *error = g_error_copy(refusal);
    }
    vimg_sftp_batch_end(links, &batch);
    return renewed;
}

void
vimg_sftp_links_restore(VimgSftpLinks *links)
{
    LOCK_GUARD(&links->lock);

    links->asked++;
    pthread_cond_signal(&links->wanted);
}

char *
vimg_sftp_links_reason(VimgSftpLinks *links)
{
    LOCK_GUARD(&links->lock);

    return links->live == 0 && links->failure ? g_strdup(links->failure->message) : NULL;
}
