/*
 * upstream.c: one client's connection to the host's daemon: its socket and what is under way on it
 *
 * Packets pass as they are, by reference, from the reader of one side to the outbox of the other,
 * and are written in the same turn of the loop.  Neither side is read while the other is behind.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "rpc/connection.h"
#include "rpc/server-private.h"
#include "rpc/upstream-private.h"
#include "util/i18n.h"
#include "util/log.h"

#define CALLS_MAX 1024      /* of one client, not answered; libvirt takes five of them */
#define FDS_MAX 64          /* open files of one client that wait to be passed on */
#define BEHIND (256 * 1024) /* bytes queued for one side at which the other must wait */
#define LOOK_PAUSE_MAX (8 * G_USEC_PER_SEC)
#define SOCKET_BUFFER (1024 * 1024) /* of the kernel's, for packets on their way to the host */

static gpointer
key_of(guint32 serial)
{
    return GUINT_TO_POINTER(serial);
}

static VimgUpstream *
upstream_of(VimgClient *client)
{
    return client->upstream && client->upstream->open ? client->upstream : NULL;
}

/* ---- life --------------------------------------------------------------------------------- */

VimgUpstream *
vimg_upstream_ref(VimgUpstream *upstream)
{
    upstream->refs++;
    return upstream;
}

void
vimg_upstream_unref(VimgUpstream *upstream)
{
    if (!upstream || --upstream->refs > 0)
        return;
    g_hash_table_unref(upstream->pending);
    g_hash_table_unref(upstream->streams);
    g_hash_table_unref(upstream->calls);
    g_clear_error(&upstream->hello_error);
    g_free(upstream);
}

static VimgUpstream *
upstream_new(VimgClient *client)
{
    VimgUpstream *upstream = g_new0(VimgUpstream, 1);

    upstream->refs = 1;
    upstream->client = client;
    upstream->serial = VIMG_UPSTREAM_SERIAL;
    g_queue_init(&upstream->waiting);
    g_queue_init(&upstream->waiting_calls);
    vimg_outbox_init(&upstream->outbox);
    upstream->pending = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    upstream->streams = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    upstream->calls = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                            (GDestroyNotify)vimg_upstream_call_unref);
    return upstream;
}

VimgUpstream *
vimg_upstream_get(VimgClient *client)
{
    if (!client->upstream) {
        client->upstream = upstream_new(client);
        vimg_upstream_open(client->upstream);
    }
    return client->upstream;
}

void
vimg_upstream_detach(VimgUpstream *upstream)
{
    if (upstream->watch.source) {
        vimg_watch_end(&upstream->watch);
        vimg_reader_clear(&upstream->reader);
        vimg_outbox_clear(&upstream->outbox);
    }
    upstream->open = FALSE;
    if (!upstream->client)
        return;
    upstream->client->upstream = NULL;
    upstream->client = NULL;
    vimg_upstream_unref(upstream);
}

void
vimg_upstream_close(VimgClient *client)
{
    g_autoptr(VimgUpstream) upstream = NULL;
    g_autoptr(GError) error = NULL;

    if (!client->upstream)
        return;
    upstream = vimg_upstream_ref(client->upstream);
    vimg_throw(&error, VIMG_ERROR_ABORTED, _("the client has gone"));
    vimg_upstream_lost(upstream, error);
}

gboolean
vimg_upstream_is_open(VimgClient *client)
{
    return upstream_of(client) != NULL;
}

gboolean
vimg_upstream_is_full(VimgClient *client)
{
    const VimgUpstream *upstream = client->upstream;

    return upstream && (upstream->full || upstream->waiting_stream);
}

/* ---- to the host -------------------------------------------------------------------------- */

void
vimg_upstream_none_waits(VimgUpstream *upstream)
{
    upstream->waiting_bytes = 0;
    upstream->waiting_fds = 0;
    upstream->waiting_stream = FALSE;
}

void
vimg_upstream_push(VimgUpstream *upstream, VimgPacket *packet)
{
    vimg_outbox_push(&upstream->outbox, packet);
}

static void
note_pending(VimgUpstream *upstream, const VimgFrameHeader *reply)
{
    VimgUpstreamPending *pending = g_hash_table_lookup(upstream->pending, key_of(reply->serial));

    if (!pending) {
        pending = g_new0(VimgUpstreamPending, 1);
        g_hash_table_insert(upstream->pending, key_of(reply->serial), pending);
    }
    pending->header = *reply;
    pending->n++;
    upstream->n_pending++;
}

void
vimg_upstream_send(VimgUpstream *upstream, VimgServerCall *call)
{
    note_pending(upstream, &call->header);
    vimg_upstream_spin(vimg_client_number(upstream->client));
    vimg_upstream_push(upstream, vimg_server_call_take_packet(call));
    vimg_server_call_free(call);
}

/* A daemon that hangs must not fill our memory, and the client's other calls go on. */
static gboolean
is_too_much(VimgUpstream *upstream, const VimgServerCall *call, GError **error)
{
    guint64 limit = upstream->client->server->config->max_client_bytes;
    guint n = upstream->n_pending + upstream->waiting.length;
    gsize bytes = upstream->waiting_bytes + vimg_outbox_bytes(&upstream->outbox) + call->bytes;
    guint fds = upstream->waiting_fds + upstream->outbox.n_fds + call->n_fds;

    if (n < CALLS_MAX && bytes <= limit + BEHIND && (call->n_fds == 0 || fds <= FDS_MAX))
        return FALSE;
    vimg_throw(error, VIMG_ERROR_BUSY,
               _("%u calls of this connection wait for the host's libvirt daemon already"), n);
    return TRUE;
}

gboolean
vimg_upstream_forward(VimgClient *client, VimgServerCall *call)
{
    g_autoptr(GError) error = NULL;
    VimgUpstream *upstream;

    if (!client->server->host || vimg_connection_is_closed(client) || client->closing)
        return FALSE;
    upstream = vimg_upstream_get(client);
    if (is_too_much(upstream, call, &error)) {
        vimg_server_call_fail(call, error);
        return FALSE;
    }
    client->n_calls--;
    client->call_bytes -= call->bytes;
    if (upstream->open) {
        vimg_upstream_send(upstream, call);
    } else {
        g_queue_push_tail_link(&upstream->waiting, &call->link);
        upstream->waiting_bytes += call->bytes;
        upstream->waiting_fds += call->n_fds;
        upstream->waiting_stream |= vimg_upstream_effect(&call->header) == VIMG_UPSTREAM_STREAM;
    }
    return TRUE;
}

/* Only data may pass unseen: what ends a stream is noted. */
VimgReaderMode
vimg_upstream_mode(const VimgFrameHeader *header)
{
    return header->type == VIMG_FRAME_STREAM && header->status == VIMG_FRAME_CONTINUE
               ? VIMG_READER_PASS
               : VIMG_READER_COLLECT;
}

/* The one that @reader has come to the end of, as it came. */
static VimgPacket *
passed_packet(VimgReader *reader, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgPipe *pipe = vimg_reader_take_pipe(reader);

    return pipe ? vimg_packet_new_pipe(pipe)
                : vimg_packet_new_payload(header, payload, 0, payload ? payload->size : 0);
}

/* The client's own serials are its business: what belongs to no stream there is dropped there. */
void
vimg_upstream_stream(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload)
{
    g_autoptr(VimgBuffer) owned = payload;
    VimgUpstream *upstream = upstream_of(client);

    if (!upstream)
        return;
    vimg_upstream_push(upstream, passed_packet(&client->reader, header, owned));
    if (vimg_outbox_bytes(&upstream->outbox) >= BEHIND)
        upstream->full = TRUE;
}

/* The client has room for what comes of it; of the hello nothing does. */
static gboolean
may_read(const VimgUpstream *upstream)
{
    return !upstream->open || vimg_outbox_bytes(&upstream->client->outbox) < BEHIND;
}

static void
set_events(VimgUpstream *upstream, gboolean more)
{
    GIOCondition events = (more ? G_IO_OUT : 0) | (may_read(upstream) ? G_IO_IN : 0);

    vimg_watch_await(&upstream->watch, events);
}

static void
lose(VimgUpstream *upstream)
{
    g_autoptr(GError) error = NULL;

    if (!upstream->open) {
        vimg_throw(
            &error, VIMG_ERROR_FAILED,
            _("the host's libvirt daemon ended the connection before it was open; its log says why"));
        vimg_upstream_fail(upstream, error);
        return;
    }
    vimg_throw(
        &error, VIMG_ERROR_FAILED,
        _("the host's libvirt daemon ended the connection; it is connected again by the next call, once it runs"));
    vimg_upstream_lost(upstream, error);
}

void
vimg_upstream_flush(VimgClient *client)
{
    VimgUpstream *upstream = client->upstream;
    VimgOutboxResult result;

    if (!upstream || !upstream->watch.source)
        return;
    result = vimg_outbox_flush(&upstream->outbox, upstream->watch.fd);
    if (result == VIMG_OUTBOX_FAILED) {
        lose(upstream);
        return;
    }
    if (upstream->full && vimg_outbox_bytes(&upstream->outbox) <= BEHIND / 2) {
        upstream->full = FALSE;
        vimg_connection_update(client);
    }
    set_events(upstream, result == VIMG_OUTBOX_MORE);
}

/* ---- from the host ------------------------------------------------------------------------ */

static VimgReaderMode
on_mode(gpointer data, const VimgFrameHeader *header)
{
    switch (header->type) {
    case VIMG_FRAME_REPLY:
    case VIMG_FRAME_REPLY_WITH_FDS:
    case VIMG_FRAME_MESSAGE:
    case VIMG_FRAME_STREAM:
    case VIMG_FRAME_HOLE:
        return vimg_upstream_mode(header);
    default:
        return VIMG_READER_DISCARD;
    }
}

/* It succeeded, and there may be something at the host's daemon now that is not over. */
static void
note_effect(VimgUpstream *upstream, const VimgFrameHeader *reply)
{
    VimgFrameHeader stream = *reply;

    switch (vimg_upstream_effect(reply)) {
    case VIMG_UPSTREAM_STREAM:
        stream.type = VIMG_FRAME_STREAM;
        g_hash_table_insert(upstream->streams, key_of(reply->serial),
                            g_memdup2(&stream, sizeof(stream)));
        break;
    case VIMG_UPSTREAM_REGISTERS:
        upstream->registered++;
        break;
    case VIMG_UPSTREAM_DEREGISTERS:
        upstream->registered -= upstream->registered > 0;
        break;
    case VIMG_UPSTREAM_NOTHING:
        break;
    }
}

/* Returns: whether the client waits for it. */
static gboolean
take_pending(VimgUpstream *upstream, const VimgFrameHeader *header)
{
    VimgUpstreamPending *pending = g_hash_table_lookup(upstream->pending, key_of(header->serial));

    if (!pending)
        return FALSE;
    upstream->n_pending--;
    if (--pending->n == 0)
        g_hash_table_remove(upstream->pending, key_of(header->serial));
    if (header->status == VIMG_FRAME_OK)
        note_effect(upstream, header);
    return TRUE;
}

/* @payload: (transfer full), may be NULL. */
static void
to_client(VimgUpstream *upstream, const VimgFrameHeader *header, VimgBuffer *payload)
{
    g_autoptr(VimgBuffer) owned = payload;
    VimgPacket *packet = passed_packet(&upstream->reader, header, owned);
    int fds[VIMG_FRAME_FDS_MAX];

    if (header->type == VIMG_FRAME_REPLY_WITH_FDS)
        vimg_packet_add_fds(packet, fds, vimg_reader_take_fds(&upstream->reader, fds));
    /* one may be of a secret */
    packet->secret = header->type != VIMG_FRAME_STREAM;
    vimg_connection_push(upstream->client, packet);
}

/* @payload: (transfer full), may be NULL. */
static void
pass_answer(VimgUpstream *upstream, const VimgFrameHeader *header, VimgBuffer *payload)
{
    const VimgServerHooks *hooks = &upstream->client->server->hooks;
    g_autoptr(GError) error = NULL;

    if (header->status == VIMG_FRAME_OK && hooks->host_answer)
        error = hooks->host_answer(upstream->client, header, payload);
    if (!error) {
        to_client(upstream, header, payload);
        return;
    }
    vimg_buffer_unref(payload);
    vimg_connection_push(upstream->client,
                         vimg_packet_new(vimg_frame_new_error(header, error, VIR_FROM_RPC)));
}

static void
take_reply(VimgUpstream *upstream, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgUpstreamCall *call = NULL;

    /* also late: it is worth asking again */
    if (header->serial >= VIMG_UPSTREAM_SERIAL) {
        vimg_upstream_note_answer(upstream->client);
        upstream->heard = g_get_monotonic_time();
    }
    if (header->serial >= VIMG_UPSTREAM_SERIAL &&
        g_hash_table_steal_extended(upstream->calls, key_of(header->serial), NULL,
                                    (gpointer *)&call)) {
        vimg_upstream_call_answered(call, header, payload);
        vimg_upstream_call_unref(call);
    } else if (take_pending(upstream, header)) {
        vimg_upstream_spin(vimg_client_number(upstream->client));
        pass_answer(upstream, header, payload);
    } else {
        vimg_debug("the host's daemon answered serial %u, which nobody waits for", header->serial);
        vimg_buffer_unref(payload);
    }
}

static void
take_stream(VimgUpstream *upstream, const VimgFrameHeader *header, VimgBuffer *payload)
{
    if (header->type == VIMG_FRAME_STREAM && header->status != VIMG_FRAME_CONTINUE)
        g_hash_table_remove(upstream->streams, key_of(header->serial));
    to_client(upstream, header, payload);
}

static void
take_message(VimgUpstream *upstream, const VimgFrameHeader *header, VimgBuffer *payload)
{
    const VimgServerHooks *hooks = &upstream->client->server->hooks;
    VimgFrameHeader pong = *header;

    if (header->program == VIMG_PROGRAM_KEEPALIVE) {
        vimg_buffer_unref(payload);
        pong.procedure = VIMG_KEEPALIVE_PONG;
        if (header->procedure == VIMG_KEEPALIVE_PING)
            vimg_upstream_push(upstream, vimg_packet_new_payload(&pong, NULL, 0, 0));
    } else if (hooks->host_message && !hooks->host_message(upstream->client, header, payload)) {
        vimg_buffer_unref(payload);
    } else {
        to_client(upstream, header, payload);
    }
}

static gboolean
on_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgUpstream *upstream = data;

    if (!upstream->open)
        return vimg_upstream_take_hello(upstream, header, payload);
    switch (header->type) {
    case VIMG_FRAME_REPLY:
    case VIMG_FRAME_REPLY_WITH_FDS:
        take_reply(upstream, header, payload);
        break;
    case VIMG_FRAME_STREAM:
    case VIMG_FRAME_HOLE:
        take_stream(upstream, header, payload);
        break;
    case VIMG_FRAME_MESSAGE:
        take_message(upstream, header, payload);
        break;
    default:
        vimg_buffer_unref(payload);
    }
    return upstream->client && may_read(upstream);
}

static const VimgReaderFuncs reader_funcs = {.mode = on_mode, .packet = on_packet};

/* Reads, and writes to both sides what came of it.  Returns: whether there is more to read now. */
static gboolean
take_turn(gpointer data)
{
    VimgUpstream *upstream = data;
    VimgClient *client = upstream->client;
    VimgReaderResult result = VIMG_READER_AGAIN;

    if (may_read(upstream)) {
        result = vimg_reader_read(&upstream->reader, upstream->watch.fd);
        upstream->stopped = result == VIMG_READER_STOPPED;
    }
    if (!upstream->client)
        return FALSE;
    if (result == VIMG_READER_EOF || result == VIMG_READER_BROKEN)
        lose(upstream);
    else if (!upstream->open)
        vimg_upstream_end_hello(upstream);
    vimg_connection_flush(client);
    vimg_upstream_flush(client);
    return upstream->client && upstream->stopped && may_read(upstream);
}

void
vimg_upstream_update(VimgClient *client)
{
    VimgUpstream *upstream = client->upstream;

    if (upstream && upstream->watch.source &&
        (upstream->stopped || !(upstream->watch.events & G_IO_IN)) && may_read(upstream))
        upstream->watch.woken = TRUE;
}

static void
on_ready(gpointer data, GIOCondition seen)
{
    g_autoptr(VimgUpstream) upstream = vimg_upstream_ref(data);
    VimgClient *client = vimg_client_ref(upstream->client); /* whatever the turns let go of */

    /* what it still sent is read first, unless nobody may read it: then the loop would spin */
    if ((seen & (G_IO_ERR | G_IO_NVAL)) || ((seen & G_IO_HUP) && !may_read(upstream)))
        lose(upstream);
    else
        vimg_watch_turns(&upstream->watch, take_turn);
    vimg_client_unref(client);
}

void
vimg_upstream_connected(VimgUpstream *upstream, int fd)
{
    vimg_server_widen(fd, SOCKET_BUFFER);
    vimg_reader_init(&upstream->reader, &reader_funcs, upstream);
    vimg_reader_set_pipes(&upstream->reader, upstream->client->server->pipes);
    vimg_watch_begin(&upstream->watch, fd, upstream->client->server->context, on_ready, upstream);
}

/* ---- the clock ---------------------------------------------------------------------------- */

/* Whoever only listens does not ask for anything that would find the host's daemon again. */
static void
look_again(VimgClient *client, gint64 now)
{
    const VimgServerHooks *hooks = &client->server->hooks;

    if (now < client->host_again || !hooks->host_wanted || !hooks->host_wanted(client) ||
        !vimg_upstream_is_configured(client))
        return;
    client->host_pause = CLAMP(2 * client->host_pause, G_USEC_PER_SEC, LOOK_PAUSE_MAX);
    client->host_again = now + client->host_pause;
    vimg_upstream_get(client);
}

static void
check_hello(VimgUpstream *upstream, gint64 now)
{
    g_autoptr(GError) error = NULL;

    if (!upstream->watch.source || now < upstream->hello_until)
        return;
    vimg_throw(&error, VIMG_ERROR_TIMEOUT,
               _("the host's libvirt daemon does not answer; if it hangs, restart it"));
    vimg_upstream_fail(upstream, error);
}

void
vimg_upstream_tick(VimgClient *client, gint64 now)
{
    VimgUpstream *upstream = upstream_of(client);
    gint64 patience = (gint64)client->server->config->stream_stall_timeout * G_USEC_PER_SEC;
    g_autoptr(GError) error = NULL;

    if (!client->upstream)
        look_again(client, now);
    else
        vimg_upstream_calls_tick(client->upstream, now);
    if (client->upstream && !upstream)
        check_hello(client->upstream, now);
    if (!upstream)
        return;
    client->host_pause = 0;
    if (!upstream->full || upstream->outbox.written != upstream->written) {
        upstream->written = upstream->outbox.written;
        upstream->stuck_since = now;
    } else if (now - upstream->stuck_since > patience) {
        vimg_throw(
            &error, VIMG_ERROR_FAILED,
            _("the host's libvirt daemon has taken nothing for %u seconds; if it hangs, restart it"),
            client->server->config->stream_stall_timeout);
        vimg_upstream_lost(upstream, error);
    }
}
