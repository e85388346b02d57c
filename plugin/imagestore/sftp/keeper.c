/*
 * keeper.c: opens the connections of a transport, looks after them and frees those that were lost
 *
 * The first one, and the next one after all were lost, go by connect() in the keeper's own thread;
 * the others, which only go where there is one already, each in a thread of its own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../store.h"
#include "throw.h"
#include "fresh.h"
#include "links-private.h"

#define PLACES 1024    /* tasks on one connection, each with one open file at most */
#define PLACES_SAFE 64 /* where the server does not say how many it opens */
#define LOOK_EVERY (5 * G_USEC_PER_SEC)
#define DELAY_MIN (G_USEC_PER_SEC / 4)      /* until the next attempt; doubled each time */
#define DELAY_REFUSED (60 * G_USEC_PER_SEC) /* where more attempts may lock an account */
#define DELAY_MORE (30 * G_USEC_PER_SEC)    /* the same while there are other connections */

/* An attempt, in a thread of its own; all of it is guarded by the lock of the links. */
typedef struct {
    VimgSftpLinks *links;
    pthread_t thread;
    gint64 began;
    gboolean ended;
} VimgSftpExtra;

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
    links->delay = CLAMP(links->delay * 2, DELAY_MIN, VIMG_SFTP_DELAY_MAX);
    links->retry_at = g_get_monotonic_time() + links->delay;
}

/* A server that drops us as soon as it has us is not to be asked ever faster.  The lock is held. */
static void
note_life(VimgSftpLinks *links, const VimgSftpLink *last)
{
    gboolean lived = g_get_monotonic_time() - last->opened >= VIMG_SFTP_DELAY_MAX;

    if (lived)
        links->delay = 0;
    else if (links->flaps)
        back_off(links);
    links->flaps = !lived;
}

void
vimg_sftp_keeper_mark_lost(VimgSftpLinks *links, VimgSftpLink *link)
{
    g_autofree char *reason = NULL;

    if (link->lost)
        return;
    link->lost = TRUE;
    pthread_cond_signal(&links->wanted);
    if (link->retired)
        return;
    links->live--;
    vimg_sftp_links_wake_all(links);
    if (links->live > 0)
        return;
    vimg_sftp_session_is_lost(link->session, &reason);
    set_failure(links, g_error_new_literal(VIMG_ERROR, (gint)VIMG_ERROR_DISCONNECTED,
                                           reason ? reason : _("the connection was closed")));
    links->since = g_get_monotonic_time();
    links->lost = TRUE;
    note_life(links, link);
}

static guint
extras_under_way(const VimgSftpLinks *links)
{
    guint n = 0;
    guint i;

    for (i = 0; i < links->extras->len; i++)
        n += !((VimgSftpExtra *)g_ptr_array_index(links->extras, i))->ended;
    return n;
}

guint
vimg_sftp_keeper_count(const VimgSftpLinks *links)
{
    guint n = extras_under_way(links);
    guint i;

    for (i = 0; i < links->all->len; i++)
        n += !((VimgSftpLink *)g_ptr_array_index(links->all, i))->retired;
    return n;
}

/* ---- opening ---------------------------------------------------------------------------- */

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
    if (session && !vimg_sftp_session_server(session)->fsync &&
        !__atomic_exchange_n(&links->noted, TRUE, __ATOMIC_RELAXED))
        vimg_slice_store_log(
            VIMG_LOG_WARNING,
            "the SFTP server has no fsync: what it took last may go with its power");
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

/* The first, or the next one after all were lost.  The lock is held, but not meanwhile. */
static void
open_first(VimgSftpLinks *links)
{
    GError *error = NULL;
    VimgSftpSession *session;

    links->opening = TRUE;
    thread_must(pthread_mutex_unlock(&links->lock));
    session = open_session(links, FALSE, &error);
    thread_must(pthread_mutex_lock(&links->lock));
    if (session)
        add_link(links, session);
    else
        add_failure(links, error);
    /* whoever needs another one asks again */
    links->want = FALSE;
    links->opening = FALSE;
    links->attempts++;
    vimg_sftp_links_wake_all(links);
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
    vimg_sftp_links_wake_all(links);
}

/* ---- further ones, all at the same time ---------------------------------------------------- */

static void *
extra_main(void *data)
{
    VimgSftpExtra *extra = data;
    VimgSftpLinks *links = extra->links;
    GError *error = NULL;
    VimgSftpSession *session;

    pthread_setname_np(pthread_self(), "sftp-more");
    session = open_session(links, TRUE, &error);
    LOCK_GUARD(&links->lock);
    gint64 retry_at = links->retry_at;
    /* one that was refused meanwhile counts: the next one waits, and goes alone */
    gboolean refused = links->failed_at >= extra->began;

    if (session)
        add_link(links, session);
    else if (links->live == 0) /* says nothing of a connection to another machine */
        g_error_free(error);
    else
        add_failure(links, error);
    if (session && refused)
        links->retry_at = retry_at;
    links->careful = !session || (links->careful && refused);
    extra->ended = TRUE;
    pthread_cond_signal(&links->wanted);
    vimg_sftp_links_wake_all(links);
    return NULL;
}

/* The lock is held.  Returns: 0 or why there is no thread. */
static int
start_extra(VimgSftpLinks *links)
{
    VimgSftpExtra *extra = g_new0(VimgSftpExtra, 1);
    int result;

    extra->links = links;
    extra->began = g_get_monotonic_time();
    result = thread_start(&extra->thread, extra_main, extra);
    if (result == 0)
        g_ptr_array_add(links->extras, extra);
    else
        g_free(extra);
    return result;
}

/*
 * All that are missing at once, as each takes a while; one after the other where the last one
 * failed, as whoever is refused many times gets locked out, or where they may go anywhere.  The
 * lock is held.
 */
static void
open_more(VimgSftpLinks *links)
{
    gboolean alone = links->careful || !links->config.connect_more;
    int result = 0;

    links->want = FALSE;
    while (result == 0 && vimg_sftp_keeper_count(links) < links->most &&
           !(alone && extras_under_way(links) > 0))
        result = start_extra(links);
    if (result != 0)
        links->retry_at = g_get_monotonic_time() + DELAY_MORE;
}

/* Ends the thread of one attempt that ended.  The lock is held, but not meanwhile. */
static gboolean
reap_extra(VimgSftpLinks *links)
{
    guint i;

    for (i = 0; i < links->extras->len; i++) {
        VimgSftpExtra *extra = g_ptr_array_index(links->extras, i);

        if (!extra->ended)
            continue;
        g_ptr_array_remove_index_fast(links->extras, i);
        thread_must(pthread_mutex_unlock(&links->lock));
        thread_must(pthread_join(extra->thread, NULL));
        g_free(extra);
        thread_must(pthread_mutex_lock(&links->lock));
        return TRUE;
    }
    return FALSE;
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* Frees one connection that was lost or retired.  The lock is held, but not meanwhile. */
static gboolean
reap(VimgSftpLinks *links)
{
    guint i;

    for (i = 0; i < links->all->len; i++) {
        VimgSftpLink *link = g_ptr_array_index(links->all, i);

        if (!link->lost && vimg_sftp_session_is_lost(link->session, NULL))
            vimg_sftp_keeper_mark_lost(links, link);
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

/*
 * Opens what is wanted and may be opened now: nothing by another way while further ones go by the
 * former.  The lock is held, but not meanwhile.
 */
static gboolean
open_wanted(VimgSftpLinks *links)
{
    gboolean more = extras_under_way(links) > 0;

    if (links->renewed < links->asked && !more) {
        renew(links);
        return TRUE;
    }
    if (links->renewed < links->asked || !links->want ||
        vimg_sftp_keeper_count(links) >= links->most || g_get_monotonic_time() < links->retry_at)
        return FALSE;
    if (links->live > 0) {
        open_more(links);
        return TRUE;
    }
    if (!more)
        open_first(links);
    return !more;
}

static void *
keeper_main(void *data)
{
    VimgSftpLinks *links = data;

    pthread_setname_np(pthread_self(), "sftp-keeper");
    thread_must(pthread_mutex_lock(&links->lock));
    while (!links->stopping || links->extras->len > 0) {
        gint64 now = g_get_monotonic_time();

        if (reap_extra(links) || reap(links) || tell(links) ||
            (!links->stopping && open_wanted(links)))
            continue;
        cond_wait_until(&links->wanted, &links->lock,
                        links->want && links->retry_at > now ? links->retry_at : now + LOOK_EVERY);
    }
    thread_must(pthread_mutex_unlock(&links->lock));
    return NULL;
}

gboolean
vimg_sftp_keeper_start(VimgSftpLinks *links)
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

gboolean
vimg_sftp_keeper_want(VimgSftpLinks *links)
{
    if (!vimg_sftp_keeper_start(links))
        return FALSE;
    links->want = TRUE;
    pthread_cond_signal(&links->wanted);
    return TRUE;
}
