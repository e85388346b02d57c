/*
 * upstream-call.c: calls of our own to the host's daemon
 *
 * Whoever asks and the connection hold a reference each: who gives up first leaves the other its
 * own.  A worker that asks waits; the main loop is called back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/connection.h"
#include "rpc/server-private.h"
#include "rpc/upstream-private.h"
#include "util/i18n.h"
#include "util/wipe.h"
#include "wire/remote.h"

/* Microseconds for which a host that did not answer is left alone. */
#define SILENCE (10 * G_USEC_PER_SEC)
#define QUESTIONS_MAX 4 /* of one client on their way; libvirt takes five of its calls */
#define TURN_TIMES 4    /* its timeout: so long one waits for its turn */

struct _VimgUpstreamCall {
    gint refs;
    VimgClient *client; /* a reference */
    VimgBuffer *frame;  /* until it is sent: a whole packet, but for its serial */
    gint32 procedure;
    gint64 since; /* it was made, or sent if somebody is notified */
    gint64 until; /* one that waits for its turn is given up */
    gint64 timeout;
    gboolean counted;              /* main loop: it is one of the client's questions */
    void (*notify)(gpointer data); /* NULL: a worker waits */
    gpointer data;

    VimgMutex lock;
    VimgCond changed;
    gboolean done; /* under lock, as what follows */
    gint64 took;
    VimgUpstreamResult result;
    VimgBuffer *payload;
    GError *error;
};

static VimgUpstreamCall *
call_ref(VimgUpstreamCall *call)
{
    __atomic_add_fetch(&call->refs, 1, __ATOMIC_RELAXED);
    return call;
}

void
vimg_upstream_call_unref(VimgUpstreamCall *call)
{
    if (!call || __atomic_sub_fetch(&call->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vimg_client_unref(call->client);
    vimg_buffer_wipe(call->frame);
    vimg_buffer_wipe(call->payload);
    g_clear_error(&call->error);
    vimg_cond_clear(&call->changed);
    vimg_mutex_clear(&call->lock);
    g_free(call);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgUpstreamCall, vimg_upstream_call_unref)

/* ---- main loop ---------------------------------------------------------------------------- */

/* @payload, @error: (transfer full) */
static void
finish(VimgUpstreamCall *call, VimgUpstreamResult result, VimgBuffer *payload, GError *error)
{
    VIMG_LOCK_GUARD(&call->lock);

    if (call->done) { /* in vain, and too late */
        vimg_buffer_wipe(payload);
        g_clear_error(&error);
        return;
    }
    call->done = TRUE;
    call->took = g_get_monotonic_time() - call->since;
    call->result = result;
    call->payload = payload;
    call->error = error;
    if (call->notify)
        vimg_inbox_post(call->client->server->inbox, call->notify, call->data);
    else
        vimg_cond_signal(&call->changed);
}

void
vimg_upstream_call_failed(VimgUpstreamCall *call, const GError *error)
{
    GError *absent = NULL;

    if (error) {
        finish(call, VIMG_UPSTREAM_FAILED, NULL, g_error_copy(error));
        return;
    }
    vimg_throw(&absent, VIMG_ERROR_NO_SUPPORT, _("this host runs no libvirt daemon"));
    finish(call, VIMG_UPSTREAM_ABSENT, NULL, absent);
}

void
vimg_upstream_call_answered(VimgUpstreamCall *call, const VimgFrameHeader *header,
                            VimgBuffer *payload)
{
    g_autoptr(VimgBuffer) owned = payload;
    GError *error = NULL;

    if (header->status == VIMG_FRAME_OK && header->procedure == call->procedure) {
        finish(call, VIMG_UPSTREAM_ANSWERED, g_steal_pointer(&owned), NULL);
    } else if (header->status == VIMG_FRAME_ERROR) {
        vimg_frame_throw(payload, &error);
        finish(call, error->domain == VIMG_VIR_ERROR ? VIMG_UPSTREAM_REFUSED : VIMG_UPSTREAM_FAILED,
               NULL, error);
    } else {
        vimg_throw(&error, VIMG_ERROR_RPC, _("the host's libvirt daemon answered another call"));
        finish(call, VIMG_UPSTREAM_FAILED, NULL, error);
    }
}

/* Serials begin anew before they run out; one still in use is passed over. */
static guint32
next_serial(VimgUpstream *upstream)
{
    guint32 serial;

    do {
        serial = upstream->serial++;
        upstream->serial |= VIMG_UPSTREAM_SERIAL;
    } while (g_hash_table_contains(upstream->calls, GUINT_TO_POINTER(serial)));
    return serial;
}

static void
count(VimgUpstreamCall *call)
{
    call->counted = TRUE;
    call->client->n_questions++;
    call->since = g_get_monotonic_time();
}

static void
call_send(VimgUpstream *upstream, VimgUpstreamCall *call)
{
    VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE,
                              .version = 1,
                              .procedure = call->procedure,
                              .type = VIMG_FRAME_CALL,
                              .serial = next_serial(upstream)};
    VimgBuffer *frame = g_steal_pointer(&call->frame);
    VimgPacket *packet;

    if (call->notify)
        count(call);
    vimg_frame_head_encode(&header, frame->size - VIMG_FRAME_MIN, frame->data);
    packet = vimg_packet_new(frame);
    packet->secret = TRUE;
    g_hash_table_insert(upstream->calls, GUINT_TO_POINTER(header.serial), call_ref(call));
    vimg_upstream_spin(vimg_client_number(upstream->client));
    vimg_upstream_push(upstream, packet);
}

/* A worker is a turn in itself. */
static gboolean
has_turn(const VimgUpstreamCall *call)
{
    return !call->notify || call->client->n_questions < QUESTIONS_MAX;
}

static void
remove_waiting(VimgUpstream *upstream, GList *link)
{
    vimg_upstream_call_unref(link->data);
    g_queue_delete_link(&upstream->waiting_calls, link);
}

void
vimg_upstream_calls_send(VimgUpstream *upstream)
{
    GList *next;

    for (GList *link = upstream->waiting_calls.head; link; link = next) {
        next = link->next;
        if (!has_turn(link->data))
            continue;
        call_send(upstream, link->data);
        remove_waiting(upstream, link);
    }
}

/* @waited: microseconds */
static void
throw_late(gint64 waited, GError **error)
{
    vimg_throw(
        error, VIMG_ERROR_TIMEOUT,
        _("the host's libvirt daemon did not answer within %u seconds; if it hangs, restart it"),
        (guint)(waited / G_USEC_PER_SEC));
}

static void
finish_late(VimgUpstreamCall *call, gint64 waited)
{
    GError *error = NULL;

    throw_late(waited, &error);
    finish(call, VIMG_UPSTREAM_FAILED, NULL, error);
}

/* Returns: it ends.  The host that answers others in time is not late, but it may be too slow. */
static gboolean
check_waiting(VimgUpstreamCall *call, gint64 heard, gint64 now)
{
    gboolean silent = now - MAX(call->since, heard) >= call->timeout;

    if (!call->notify || (!silent && now < call->until))
        return FALSE;
    finish_late(call, silent ? call->timeout : TURN_TIMES * call->timeout);
    return TRUE;
}

void
vimg_upstream_calls_tick(VimgUpstream *upstream, gint64 now)
{
    GHashTableIter iter;
    gpointer value;
    GList *next;

    for (GList *link = upstream->waiting_calls.head; link; link = next) {
        next = link->next;
        if (check_waiting(link->data, upstream->heard, now))
            remove_waiting(upstream, link);
    }
    g_hash_table_iter_init(&iter, upstream->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgUpstreamCall *call = value;

        /* a worker sees to that itself; it stays in the table, for its answer to be known */
        if (call->notify && now - call->since >= call->timeout)
            finish_late(call, call->timeout);
    }
}

/* @call: (transfer full).  Nothing is written before the next flush. */
static void
start(VimgUpstreamCall *call)
{
    VimgClient *client = call->client;
    g_autoptr(VimgUpstreamCall) owned = call;
    g_autoptr(GError) error = NULL;
    VimgUpstream *upstream;

    if (vimg_connection_is_closed(client)) {
        vimg_throw(&error, VIMG_ERROR_ABORTED, _("the client has gone"));
        vimg_upstream_call_failed(call, error);
        return;
    }
    upstream = vimg_upstream_get(client);
    if (upstream->open && has_turn(call))
        call_send(upstream, call);
    else
        g_queue_push_tail(&upstream->waiting_calls, g_steal_pointer(&owned));
}

/* Takes the reference that was posted. */
static void
begin(gpointer data)
{
    g_autoptr(VimgUpstreamCall) call = data;

    start(call_ref(call));
    vimg_upstream_flush(call->client);
}

/* ---- who asks ----------------------------------------------------------------------------- */

/* Returns: FALSE if nobody answered before @deadline; then nobody will. */
static gboolean
wait_for(VimgUpstreamCall *call, gint64 deadline)
{
    VIMG_LOCK_GUARD(&call->lock);

    /* a client that went after the post was looked at: nothing ends the call then */
    while (!call->done && !__atomic_load_n(&call->client->gone, __ATOMIC_ACQUIRE))
        if (!vimg_cond_wait_until(&call->changed, &call->lock, deadline))
            break;
    return call->done;
}

static VimgUpstreamCall *
call_new(VimgClient *client, gint32 procedure, gint64 timeout)
{
    VimgUpstreamCall *call = g_new0(VimgUpstreamCall, 1);

    call->refs = 1;
    call->client = vimg_client_ref(client);
    call->procedure = procedure;
    call->since = g_get_monotonic_time();
    call->until = call->since + TURN_TIMES * timeout;
    call->timeout = timeout;
    vimg_mutex_init(&call->lock);
    vimg_cond_init(&call->changed);
    return call;
}

/* Returns: FALSE, finished, if there is nobody to ask or it cannot be said. */
static gboolean
encode(VimgUpstreamCall *call, xdrproc_t args_proc, gconstpointer args)
{
    const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE, .procedure = call->procedure};
    GError *error = NULL;

    if (!vimg_upstream_is_configured(call->client)) {
        vimg_upstream_call_failed(call, NULL);
        return FALSE;
    }
    call->frame = vimg_frame_new_xdr(&header, args_proc, args, &error);
    if (!call->frame)
        finish(call, VIMG_UPSTREAM_FAILED, NULL, error);
    return call->frame != NULL;
}

static VimgUpstreamResult
take_result(VimgUpstreamCall *call, xdrproc_t ret_proc, gpointer ret, GError **error)
{
    const VimgBuffer *payload = call->payload;

    if (call->result != VIMG_UPSTREAM_ANSWERED) {
        g_propagate_error(error, g_steal_pointer(&call->error));
        return call->result;
    }
    return vimg_xdr_decode(ret_proc, ret, payload ? payload->data : NULL,
                           payload ? payload->size : 0, error)
               ? VIMG_UPSTREAM_ANSWERED
               : VIMG_UPSTREAM_FAILED;
}

VimgUpstreamResult
vimg_upstream_call(VimgClient *client, gint32 procedure, xdrproc_t args_proc, gconstpointer args,
                   xdrproc_t ret_proc, gpointer ret, gint64 timeout, GError **error)
{
    g_autoptr(VimgUpstreamCall) call = call_new(client, procedure, timeout);

    if (encode(call, args_proc, args))
        vimg_inbox_post(client->server->inbox, begin, call_ref(call));
    if (wait_for(call, call->since + timeout))
        return take_result(call, ret_proc, ret, error);
    throw_late(timeout, error);
    return VIMG_UPSTREAM_FAILED;
}

/* ---- in two steps ------------------------------------------------------------------------- */

VimgUpstreamCall *
vimg_upstream_ask(VimgClient *client, gint32 procedure, xdrproc_t args_proc, gconstpointer args,
                  gint64 timeout, void (*done)(gpointer data), gpointer data)
{
    VimgUpstreamCall *call = call_new(client, procedure, timeout);

    call->notify = done;
    call->data = data;
    if (encode(call, args_proc, args))
        start(call_ref(call));
    return call;
}

void
vimg_upstream_next(VimgUpstreamCall *call)
{
    VimgClient *client = call ? call->client : NULL;

    if (!call || !call->counted)
        return;
    call->counted = FALSE;
    client->n_questions--;
    if (!vimg_upstream_is_open(client))
        return;
    vimg_upstream_calls_send(client->upstream);
    vimg_upstream_flush(client);
}

VimgUpstreamResult
vimg_upstream_take(VimgUpstreamCall *call, xdrproc_t ret_proc, gpointer ret, gint64 *took,
                   GError **error)
{
    VIMG_LOCK_GUARD(&call->lock);

    *took = call->took;
    return take_result(call, ret_proc, ret, error);
}

gsize
vimg_upstream_size(VimgUpstreamCall *call)
{
    VIMG_LOCK_GUARD(&call->lock);

    return call->payload ? call->payload->size : 0;
}

/* ---- a host that does not answer ---------------------------------------------------------- */

void
vimg_upstream_note_late(VimgClient *client)
{
    __atomic_store_n(&client->host_silent, g_get_monotonic_time() + SILENCE, __ATOMIC_RELAXED);
}

void
vimg_upstream_note_answer(VimgClient *client)
{
    __atomic_store_n(&client->host_silent, 0, __ATOMIC_RELAXED);
}

/* The next one to ask after a while is the one who waits. */
gboolean
vimg_upstream_may_wait(VimgClient *client)
{
    gint64 until = __atomic_load_n(&client->host_silent, __ATOMIC_RELAXED);
    gint64 now = g_get_monotonic_time();

    return until == 0 ||
           (now >= until && __atomic_compare_exchange_n(&client->host_silent, &until, now + SILENCE,
                                                        FALSE, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

guint
vimg_upstream_losses(VimgClient *client)
{
    return __atomic_load_n(&client->host_losses, __ATOMIC_RELAXED);
}
