/*
 * upstream-call.c: calls of our own workers to the host's daemon
 *
 * A worker and the main loop hold a reference each: whoever gives up first leaves the other its
 * own.
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

struct _VimgUpstreamCall {
    gint refs;
    VimgClient *client; /* a reference */
    VimgBuffer *frame;  /* until it is sent: a whole packet, but for its serial */
    gint32 procedure;

    VimgMutex lock;
    VimgCond changed;
    gboolean done; /* under lock, as what follows */
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

    call->done = TRUE;
    call->result = result;
    call->payload = payload;
    call->error = error;
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

void
vimg_upstream_call_send(VimgUpstream *upstream, VimgUpstreamCall *call)
{
    VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE,
                              .version = 1,
                              .procedure = call->procedure,
                              .type = VIMG_FRAME_CALL,
                              .serial = next_serial(upstream)};
    VimgBuffer *frame = g_steal_pointer(&call->frame);
    VimgPacket *packet;

    vimg_frame_head_encode(&header, frame->size - VIMG_FRAME_MIN, frame->data);
    packet = vimg_packet_new(frame);
    packet->secret = TRUE;
    g_hash_table_insert(upstream->calls, GUINT_TO_POINTER(header.serial), call_ref(call));
    vimg_upstream_push(upstream, packet);
}

/* Takes the reference that was posted. */
static void
begin(gpointer data)
{
    g_autoptr(VimgUpstreamCall) call = data;
    VimgClient *client = call->client;
    g_autoptr(GError) error = NULL;
    VimgUpstream *upstream;

    if (vimg_connection_is_closed(client)) {
        vimg_throw(&error, VIMG_ERROR_ABORTED, _("the client has gone"));
        vimg_upstream_call_failed(call, error);
        return;
    }
    upstream = vimg_upstream_get(client);
    if (!upstream->open) {
        g_queue_push_tail(&upstream->waiting_calls, g_steal_pointer(&call));
        return;
    }
    vimg_upstream_call_send(upstream, call);
    vimg_upstream_flush(client);
}

/* ---- workers ------------------------------------------------------------------------------ */

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
call_new(VimgClient *client, gint32 procedure, VimgBuffer *frame)
{
    VimgUpstreamCall *call = g_new0(VimgUpstreamCall, 1);

    call->refs = 1;
    call->client = vimg_client_ref(client);
    call->procedure = procedure;
    call->frame = frame;
    vimg_mutex_init(&call->lock);
    vimg_cond_init(&call->changed);
    return call;
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
    const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE, .procedure = procedure};
    gint64 deadline = g_get_monotonic_time() + timeout;
    g_autoptr(VimgUpstreamCall) call = NULL;
    VimgBuffer *frame;

    if (!vimg_upstream_is_configured(client)) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT, _("this host runs no libvirt daemon"));
        return VIMG_UPSTREAM_ABSENT;
    }
    frame = vimg_frame_new_xdr(&header, args_proc, args, error);
    if (!frame)
        return VIMG_UPSTREAM_FAILED;
    call = call_new(client, procedure, frame);
    vimg_inbox_post(client->server->inbox, begin, call_ref(call));
    if (wait_for(call, deadline))
        return take_result(call, ret_proc, ret, error);
    vimg_throw(
        error, VIMG_ERROR_TIMEOUT,
        _("the host's libvirt daemon did not answer within %u seconds; if it hangs, restart it"),
        (guint)(timeout / G_USEC_PER_SEC));
    return VIMG_UPSTREAM_FAILED;
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
