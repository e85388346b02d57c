/*
 * session.c: one SFTP version 3 conversation, with many requests in flight
 *
 * The thread goes round: takes what was submitted, encodes what the window lets through, sends,
 * receives, answers; only when neither direction moves does it sleep.  The lock guards the
 * hand-over of requests and the end; it is never held during done().
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../store.h"
#include "../../thread.h"
#include "throw.h"
#include "session-private.h"
#include "wire.h"

#define PATIENCE 30000 /* milliseconds */
#define SLOW_PATIENCE 120000
#define ASK_EVERY 500 /* the same: whether what is being opened was given up */
/*
 * Under way at once.  A channel of OpenSSH takes 2 MiB a round trip: twice as much, each way, keeps
 * it full while answers come back.  The number of requests is what bounds the small ones.
 */
#define WINDOW_REQUESTS 4096
#define WINDOW_BYTES ((guint64)4 * 1024 * 1024)
/* Bytes that show, without a whole reply, that the server is there: less in 30 s is no use. */
#define TRICKLE ((guint64)4 * 1024)

struct _VimgSftpSession {
    VimgSftpServer server;
    guint patience;      /* milliseconds */
    guint slow_patience; /* the same */
    guint64 load;        /* atomic */
    int wake;            /* eventfd; ends a sleep */
    pthread_t thread;
    gboolean started;

    pthread_mutex_t lock;
    /* guarded by it */
    GQueue submitted;
    gboolean resting; /* a submission has to wake the thread */
    gboolean stopping;
    char *reason; /* why it was lost; NULL: it is not */

    /* the thread's; before it starts, those of whoever makes the session */
    VimgSftpWire wire;
    GQueue waiting;    /* for the window */
    GQueue sent;       /* in the order of sending */
    GHashTable *by_id; /* of @sent */
    guint32 next_id;
    guint64 reading, writing; /* bytes of @sent */
    gint64 alive;             /* when something came last, monotonic */
    guint64 alive_moved;      /* wire.moved at that time */
    gboolean version_known;
    gboolean greeted; /* the limits are known too */
    VimgSftpRequest limits;
};

/* ---- requests ------------------------------------------------------------------------------ */

/* The bytes that a window counts for @request; NULL: none does. */
static guint64 *
window_of(VimgSftpSession *session, const VimgSftpRequest *request)
{
    if (request->type == VIMG_SFTP_READ)
        return &session->reading;
    return request->type == VIMG_SFTP_WRITE ? &session->writing : NULL;
}

static guint64
weight_of(const VimgSftpRequest *request)
{
    gboolean has_data = request->type == VIMG_SFTP_READ || request->type == VIMG_SFTP_WRITE;

    return VIMG_SFTP_REQUEST_WEIGHT + (has_data ? request->size : 0);
}

static gboolean
fits_window(VimgSftpSession *session, const VimgSftpRequest *request)
{
    const guint64 *used = window_of(session, request);

    if (session->sent.length >= WINDOW_REQUESTS)
        return FALSE;
    return !used || *used == 0 || *used + request->size <= WINDOW_BYTES;
}

static void
answer(VimgSftpSession *session, VimgSftpRequest *request, const VimgSftpReply *reply)
{
    __atomic_sub_fetch(&session->load, weight_of(request), __ATOMIC_RELAXED);
    request->done(request, reply);
}

static void
set_alive(VimgSftpSession *session)
{
    session->alive = g_get_monotonic_time();
    session->alive_moved = session->wire.moved;
}

static void
track(VimgSftpSession *session, VimgSftpRequest *request)
{
    guint64 *used = window_of(session, request);

    if (used)
        *used += request->size;
    /* the greeting as a whole has to end in time, whatever it is made of */
    if (session->sent.length == 0 && session->greeted)
        set_alive(session);
    g_queue_push_tail_link(&session->sent, &request->link);
    g_hash_table_insert(session->by_id, GUINT_TO_POINTER(request->id), request);
}

static void
untrack(VimgSftpSession *session, VimgSftpRequest *request)
{
    guint64 *used = window_of(session, request);

    if (used)
        *used -= request->size;
    g_queue_unlink(&session->sent, &request->link);
    g_hash_table_remove(session->by_id, GUINT_TO_POINTER(request->id));
}

static guint32
new_id(VimgSftpSession *session)
{
    while (g_hash_table_contains(session->by_id, GUINT_TO_POINTER(session->next_id)))
        session->next_id++;
    return session->next_id++;
}

/* Encodes what the window and the buffer let through. */
static void
encode(VimgSftpSession *session)
{
    static const VimgSftpReply too_long = {.type = VIMG_SFTP_STATUS,
                                           .status = VIMG_SFTP_BAD_MESSAGE};
    VimgSftpRequest *request;

    while ((request = g_queue_peek_head(&session->waiting)) && fits_window(session, request)) {
        gsize room;
        guint8 *at = vimg_sftp_wire_room(&session->wire, &room);
        gsize size;

        request->id = new_id(session);
        size = vimg_sftp_encode(request, at, room);
        if (size == 0 && !vimg_sftp_wire_is_empty(&session->wire))
            return;
        g_queue_unlink(&session->waiting, &request->link);
        if (size == 0) {
            answer(session, request, &too_long);
            continue;
        }
        vimg_sftp_wire_add(&session->wire, size);
        track(session, request);
    }
}

static gboolean
send_all(VimgSftpSession *session, GError **error)
{
    do {
        encode(session);
        if (vimg_sftp_wire_is_empty(&session->wire))
            return TRUE;
        if (!vimg_sftp_wire_send(&session->wire, error))
            return FALSE;
    } while (vimg_sftp_wire_is_empty(&session->wire));
    return TRUE;
}

/* ---- replies ------------------------------------------------------------------------------- */

static gboolean
take_version(VimgSftpSession *session, const guint8 *packet, gsize size, GError **error)
{
    guint32 version;

    if (!vimg_sftp_version_parse(packet, size, &version, &session->server))
        return throw_error(error, VIMG_ERROR_DISCONNECTED, _("the server does not speak SFTP"));
    if (version != VIMG_SFTP_VERSION)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the server speaks version %1$u of SFTP, not %2$u"), version,
                           VIMG_SFTP_VERSION);
    session->version_known = TRUE;
    return TRUE;
}

static gboolean
take_reply(VimgSftpSession *session, const guint8 *packet, gsize size, GError **error)
{
    g_auto(VimgSftpReply) reply = {0};
    VimgSftpRequest *request = NULL;
    guint32 id = 0;

    if (vimg_sftp_reply_id(packet, size, &id))
        request = g_hash_table_lookup(session->by_id, GUINT_TO_POINTER(id));
    if (!request)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the server answered an SFTP request that was not made"));
    if (!vimg_sftp_reply_parse(request->type, packet, size, &reply) ||
        (reply.type == VIMG_SFTP_DATA && reply.size > request->size))
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the server sent an SFTP reply that cannot be understood"));
    untrack(session, request);
    answer(session, request, &reply);
    return TRUE;
}

/* @some: whether anything came, so that it is worth to look again. */
static gboolean
receive(VimgSftpSession *session, gboolean *some, GError **error)
{
    const guint8 *packet;
    gsize size;

    if (!vimg_sftp_wire_receive(&session->wire, some, error))
        return FALSE;
    while (*some) {
        if (!vimg_sftp_wire_take(&session->wire, &packet, &size, error))
            return FALSE;
        if (!packet)
            break;
        if (!session->version_known) {
            if (!take_version(session, packet, size, error))
                return FALSE;
            continue;
        }
        if (!take_reply(session, packet, size, error))
            return FALSE;
        set_alive(session);
    }
    return TRUE;
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void
take_submitted(VimgSftpSession *session)
{
    LOCK_GUARD(&session->lock);

    while (session->submitted.length > 0)
        g_queue_push_tail_link(&session->waiting, g_queue_pop_head_link(&session->submitted));
}

/*
 * What may wait for a disk, and for what others wrote to it.  Servers do one thing after the other,
 * so it holds up all that was sent behind it.
 */
static const gboolean is_slow[] = {
    [VIMG_SFTP_CLOSE] = TRUE,
    [VIMG_SFTP_RENAME] = TRUE,
    [VIMG_SFTP_POSIX_RENAME] = TRUE,
    [VIMG_SFTP_FSYNC] = TRUE,
};

/* Milliseconds that the server may take for the oldest request. */
static guint
patience_now(const VimgSftpSession *session)
{
    const VimgSftpRequest *oldest = session->sent.head ? session->sent.head->data : NULL;
    gboolean slow = oldest && oldest->type < G_N_ELEMENTS(is_slow) && is_slow[oldest->type];

    return slow ? session->slow_patience : session->patience;
}

/* Microseconds until the server has done nothing for too long; -1: nothing is asked of it. */
static gint64
patience_left(const VimgSftpSession *session)
{
    gint64 end = session->alive + (gint64)patience_now(session) * 1000;

    if (session->greeted && session->sent.length == 0)
        return -1;
    return MAX(end - g_get_monotonic_time(), 0);
}

/* Sleeps until a direction may move again, or something is submitted. */
static void
sleep_until_woken(VimgSftpSession *session, int timeout)
{
    struct pollfd fds[] = {
        {.fd = session->wire.stream->fd, .events = vimg_sftp_wire_events(&session->wire)},
        {.fd = session->wake, .events = POLLIN},
    };
    eventfd_t value;

    {
        LOCK_GUARD(&session->lock);

        if (session->submitted.length > 0 || session->stopping)
            return;
        session->resting = TRUE;
    }
    if (poll(fds, G_N_ELEMENTS(fds), timeout) > 0 && fds[1].revents)
        eventfd_read(session->wake, &value);
    LOCK_GUARD(&session->lock);
    session->resting = FALSE;
}

static gboolean
rest(VimgSftpSession *session, GError **error)
{
    VimgSftpStream *stream = session->wire.stream;
    gint64 left;
    int timeout;

    if (!session->greeted && vimg_sftp_stream_is_given_up(stream))
        return throw_error(error, VIMG_ERROR_ABORTED, _("cancelled by a client"));
    if (session->greeted && session->wire.moved - session->alive_moved >= TRICKLE)
        set_alive(session);
    left = patience_left(session);
    timeout = left < 0 ? -1 : (int)((left + 999) / 1000);
    if (left == 0)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the server did not answer within %u seconds"),
                           (patience_now(session) + 999) / 1000);
    if (vimg_sftp_wire_is_empty(&session->wire)) {
        int due = stream->ops->keep_alive(stream);

        if (due >= 0 && (timeout < 0 || due < timeout))
            timeout = due;
    }
    if (!session->greeted && stream->given_up)
        timeout = MIN(timeout, ASK_EVERY); /* something is asked of it */
    sleep_until_woken(session, timeout);
    return TRUE;
}

/* Once round. */
static gboolean
turn(VimgSftpSession *session, GError **error)
{
    gboolean some;

    take_submitted(session);
    if (!send_all(session, error) || !receive(session, &some, error))
        return FALSE;
    return some || rest(session, error);
}

/* Answers all that is under way or comes from now on with NULL. */
static void
lose(VimgSftpSession *session, const char *reason)
{
    VimgSftpRequest *request;

    {
        LOCK_GUARD(&session->lock);

        session->reason = g_strdup(reason);
    }
    take_submitted(session);
    while ((request = g_queue_peek_head(&session->sent))) {
        untrack(session, request);
        answer(session, request, NULL);
    }
    while ((request = g_queue_peek_head(&session->waiting))) {
        g_queue_unlink(&session->waiting, &request->link);
        answer(session, request, NULL);
    }
}

static gboolean
is_stopping(VimgSftpSession *session)
{
    LOCK_GUARD(&session->lock);

    return session->stopping;
}

static void *
session_main(void *data)
{
    VimgSftpSession *session = data;
    g_autoptr(GError) error = NULL;

    pthread_setname_np(pthread_self(), "sftp");
    while (!is_stopping(session) && turn(session, &error))
        ;
    lose(session, error ? error->message : _("the connection was closed"));
    return NULL;
}

/* ---- beginning and end --------------------------------------------------------------------- */

static void
limits_done(VimgSftpRequest *request, const VimgSftpReply *reply)
{
    VimgSftpSession *session = request->owner;

    if (reply && reply->type == VIMG_SFTP_EXTENDED_REPLY)
        vimg_sftp_limits_parse(reply, &session->server);
    session->greeted = TRUE;
}

static gboolean
greet(VimgSftpSession *session, GError **error)
{
    gsize room;
    guint8 *at = vimg_sftp_wire_room(&session->wire, &room);

    vimg_sftp_wire_add(&session->wire, vimg_sftp_encode_init(at, room));
    while (!session->version_known) {
        if (!turn(session, error))
            return FALSE;
    }
    session->greeted = !session->server.limits;
    if (session->server.limits) {
        session->limits.type = VIMG_SFTP_LIMITS;
        session->limits.done = limits_done;
        session->limits.owner = session;
        vimg_sftp_session_submit(session, &session->limits);
    }
    while (!session->greeted) {
        if (!turn(session, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
begin(VimgSftpSession *session, GError **error)
{
    int result;

    if (session->wake < 0)
        return throw_error(error, VIMG_ERROR_BUSY, "eventfd: %s", g_strerror(errno));
    if (!greet(session, error))
        return FALSE;
    result = thread_start(&session->thread, session_main, session);
    if (result != 0)
        return throw_error(error, VIMG_ERROR_BUSY, _("cannot start a thread: %s"),
                           g_strerror(result));
    session->started = TRUE;
    return TRUE;
}

VimgSftpSession *
vimg_sftp_session_new_patient(VimgSftpStream *stream, guint patience, guint slow, GError **error)
{
    g_autoptr(VimgSftpSession) session = g_new0(VimgSftpSession, 1);

    session->patience = patience;
    session->slow_patience = slow;
    session->alive = g_get_monotonic_time();
    session->by_id = g_hash_table_new(NULL, NULL);
    thread_must(pthread_mutex_init(&session->lock, NULL));
    vimg_sftp_wire_init(&session->wire, stream);
    session->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!begin(session, error))
        return NULL;
    return g_steal_pointer(&session);
}

VimgSftpSession *
vimg_sftp_session_new(VimgSftpStream *stream, GError **error)
{
    return vimg_sftp_session_new_patient(stream, PATIENCE, SLOW_PATIENCE, error);
}

static void
stop(VimgSftpSession *session)
{
    LOCK_GUARD(&session->lock);

    session->stopping = TRUE;
    eventfd_write(session->wake, 1);
}

void
vimg_sftp_session_heed(VimgSftpSession *session)
{
    if (vimg_sftp_stream_is_given_up(session->wire.stream))
        stop(session);
}

void
vimg_sftp_session_free(VimgSftpSession *session)
{
    if (!session)
        return;
    if (session->started) {
        stop(session);
        thread_must(pthread_join(session->thread, NULL));
    }
    if (session->wake >= 0)
        close(session->wake);
    vimg_sftp_wire_clear(&session->wire);
    pthread_mutex_destroy(&session->lock);
    g_hash_table_unref(session->by_id);
    g_free(session->reason);
    g_free(session);
}

/* ---- from any thread ----------------------------------------------------------------------- */

const VimgSftpServer *
vimg_sftp_session_server(const VimgSftpSession *session)
{
    return &session->server;
}

void
vimg_sftp_session_note_directories(VimgSftpSession *session, gboolean opened)
{
    VimgSftpAble able = opened ? VIMG_SFTP_YES : VIMG_SFTP_NO;

    if (session->server.directories == able)
        return;
    session->server.directories = able;
    if (!opened)
        vimg_slice_store_log(
            VIMG_LOG_WARNING,
            "the SFTP server opens no directories: names it made last may go with its power");
}

/* FALSE: the session is lost. */
static gboolean
hand_over(VimgSftpSession *session, VimgSftpRequest *request)
{
    LOCK_GUARD(&session->lock);

    if (session->reason)
        return FALSE;
    __atomic_add_fetch(&session->load, weight_of(request), __ATOMIC_RELAXED);
    request->link = (GList){.data = request};
    g_queue_push_tail_link(&session->submitted, &request->link);
    /* with the lock held: once it is answered, the session may be gone */
    if (session->resting)
        eventfd_write(session->wake, 1);
    session->resting = FALSE;
    return TRUE;
}

void
vimg_sftp_session_submit(VimgSftpSession *session, VimgSftpRequest *request)
{
    if (!hand_over(session, request))
        request->done(request, NULL);
}

gboolean
vimg_sftp_session_is_lost(VimgSftpSession *session, char **reason)
{
    LOCK_GUARD(&session->lock);

    if (session->reason && reason)
        *reason = g_strdup(session->reason);
    return session->reason != NULL;
}

guint64
vimg_sftp_session_load(VimgSftpSession *session)
{
    return __atomic_load_n(&session->load, __ATOMIC_RELAXED);
}
