/*
 * connection.c: the main loop's side of a client: its socket and its calls
 *
 * Nothing here waits.  Everything that is to be written is queued and goes out when the loop comes
 * to the client's source; a client is never closed while its packets are being read, but after.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>

#include "rpc/connection.h"
#include "rpc/merge.h"
#include "rpc/server-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define CLOSE_TIMEOUT (10 * G_USEC_PER_SEC) /* for a client to read what it was still sent */
#define OPEN_TIMEOUT (60 * G_USEC_PER_SEC)  /* for a client to open what it connected to */

gboolean
vimg_connection_is_closed(VimgClient *client)
{
    return client->watch.source == NULL;
}

void
vimg_connection_wake(VimgClient *client)
{
    client->watch.woken = TRUE;
}

void
vimg_connection_send(VimgClient *client, VimgPacket *packet)
{
    if (vimg_connection_is_closed(client) || client->closing) {
        vimg_packet_free(packet);
        return;
    }
    vimg_outbox_push(&client->outbox, packet);
    vimg_connection_wake(client);
}

void
vimg_connection_push(VimgClient *client, VimgPacket *packet)
{
    if (vimg_connection_is_closed(client) || client->closing)
        vimg_packet_free(packet);
    else
        vimg_outbox_push(&client->outbox, packet);
}

/* ---- reading on or not ------------------------------------------------------------------ */

/* For a reason that is not just a long call. */
static gboolean
is_stalled(VimgClient *client)
{
    return client->streams_full ||
           vimg_outbox_bytes(&client->outbox) >= client->server->config->max_client_bytes;
}

static gboolean
must_pause(VimgClient *client)
{
    const VimgDaemonConfig *config = client->server->config;

    return client->closing || client->ends || client->waiting || is_stalled(client) ||
           vimg_upstream_is_full(client) || client->n_calls >= config->max_client_requests ||
           client->call_bytes >= config->max_client_bytes;
}

void
vimg_connection_update(VimgClient *client)
{
    guint64 limit = client->server->config->max_stream_queue;
    gboolean paused;

    if (vimg_connection_is_closed(client))
        return;
    if (client->stream_cost >= limit)
        client->streams_full = TRUE;
    else if (client->stream_cost <= limit / 2)
        client->streams_full = FALSE;
    paused = must_pause(client);
    if (paused == client->paused)
        return;
    client->paused = paused;
    vimg_keepalive_pause(&client->life, paused, g_get_monotonic_time());
    vimg_connection_wake(client);
}

/* ---- calls ------------------------------------------------------------------------------ */

void
vimg_connection_finish(VimgClient *client)
{
    if (vimg_connection_is_closed(client))
        return;
    client->closing = TRUE;
    client->closing_since = g_get_monotonic_time();
    g_clear_pointer(&client->waiting, vimg_server_call_free);
    vimg_streams_abort_all(client);
    vimg_connection_wake(client);
}

static gboolean
is_end(const VimgServerCall *call)
{
    return call->base.proc && (call->base.proc->flags & VIMG_PROC_CLOSES);
}

/* Its socket has room for that, or it does not read.  @packet: (transfer full) */
static void
say_last(VimgClient *client, VimgPacket *packet)
{
    VimgOutbox outbox;

    vimg_outbox_init(&outbox);
    vimg_outbox_push(&outbox, packet);
    vimg_outbox_flush(&outbox, client->last);
    vimg_outbox_clear(&outbox);
}

static void
say(VimgClient *client, VimgPacket *packet, gboolean failed)
{
    if (client->last >= 0 && !failed)
        say_last(client, packet);
    else
        vimg_connection_send(client, packet);
}

/* @call: (transfer full) */
static void
answer(VimgClient *client, VimgServerCall *call)
{
    gboolean ends = is_end(call);
    gboolean closes = ends && !call->failed;

    if (ends)
        client->ends = FALSE;
    client->n_calls--;
    client->call_bytes -= call->bytes;
    vimg_keepalive_moved(&client->life, g_get_monotonic_time());
    say(client, vimg_server_call_take_reply(call), call->failed);
    vimg_server_call_free(call);
    if (closes)
        vimg_connection_finish(client);
}

static void
call_done(gpointer data)
{
    vimg_connection_call_done(data);
}

static void run_call(VimgClient *client, VimgServerCall *call);

/*
 * It was run, and perhaps found to be the host's: then the answer that it has, of a lookup, is for
 * the case that there is no host after all.  @call: (transfer full)
 */
static void
answer_or_pass(VimgClient *client, VimgServerCall *call)
{
    if (!call->base.pass) {
        answer(client, call);
        return;
    }
    call->base.pass = FALSE;
    call->base.side = VIMG_SIDE_OURS;
    if (vimg_upstream_forward(client, call))
        return;
    if (call->failed || vimg_connection_is_closed(client) || client->closing)
        answer(client, call);
    else
        run_call(client, call);
}

/* Here.  @call: (transfer full), prepared */
static void
run_call(VimgClient *client, VimgServerCall *call)
{
    VimgServer *server = client->server;
    g_autoptr(GError) error = NULL;

    if ((call->base.proc->flags & VIMG_PROC_STREAM) && vimg_streams_refuse(client, call, &error)) {
        vimg_server_call_fail(call, error);
        answer(client, call);
        return;
    }
    if (vimg_server_call_is_inline(call)) {
        vimg_server_call_run(call);
        answer_or_pass(client, call);
        return;
    }
    if (call->base.proc->flags & VIMG_PROC_STREAM)
        vimg_streams_register(client, call);
    client->ends |= is_end(call);
    g_queue_push_tail_link(&client->submitted, &call->link);
    vimg_server_call_submit(call, server->scheduler, server->inbox, call_done);
}

/* @call: (transfer full) */
static void
begin_call(VimgClient *client, VimgServerCall *call)
{
    VimgServer *server = client->server;
    g_autoptr(GError) error = NULL;

    if (!vimg_server_call_prepare(call, server->model, server->programs, &error))
        vimg_server_call_fail(call, error);
    if (call->hosts && vimg_upstream_forward(client, call))
        return;
    if (call->failed)
        answer(client, call);
    else
        run_call(client, call);
}

void
vimg_connection_resume(VimgClient *client, VimgServerCall *call, const GError *error)
{
    g_autoptr(GError) alone = NULL;

    client->n_calls++;
    client->call_bytes += call->bytes;
    /* "not found" is known only where there is no host at all */
    if (!error && !vimg_merge_may_run_alone(&call->base, &alone))
        error = alone;
    if (error)
        vimg_server_call_fail(call, error);
    if (call->failed || vimg_connection_is_closed(client) || client->closing)
        answer(client, call);
    else
        run_call(client, call);
}

/*
 * Until the connection is open its calls run one after the other, so that a client may send
 * AUTH_LIST, CONNECT_OPEN and its first calls in one go.
 */
static void
take_call(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload, gsize offset)
{
    VimgServerCall *call = vimg_server_call_new(client, header, payload, offset);
    gboolean wait = client->n_calls > 0 && !vimg_client_get_uri(client);
    int fds[VIMG_FRAME_FDS_MAX];

    if (header->type == VIMG_FRAME_CALL_WITH_FDS)
        vimg_server_call_add_fds(call, fds, vimg_reader_take_fds(&client->reader, fds));
    client->n_calls++;
    client->call_bytes += call->bytes;
    if (wait)
        client->waiting = call;
    else
        begin_call(client, call);
}

/*
 * Nobody waits for the answers.  Calls that no worker has begun are taken back at once, because
 * behind a storage that hangs they would pile up, connection after connection.
 */
static void
withdraw_calls(VimgClient *client)
{
    GList *link, *next;

    for (link = client->submitted.head; link; link = next) {
        VimgServerCall *call = link->data;

        next = link->next;
        if (!call->scheduler || !vimg_scheduler_remove(call->scheduler, &call->task))
            continue;
        g_queue_unlink(&client->submitted, &call->link);
        if (call->stream)
            vimg_streams_forget(client, call);
        client->n_calls--;
        client->call_bytes -= call->bytes;
        vimg_server_call_free(call);
    }
}

/* The handler succeeded.  Returns: FALSE if the call is to fail all the same. */
static gboolean
begin_stream(VimgClient *client, VimgServerCall *call, GError **error)
{
    if (vimg_connection_is_closed(client) || client->closing)
        return vimg_throw(error, VIMG_ERROR_ABORTED, _("the client has gone"));
    return vimg_streams_start(client, call, error);
}

void
vimg_connection_call_done(VimgServerCall *call)
{
    g_autoptr(VimgClient) client = vimg_client_ref(call->client);
    g_autoptr(VimgStream) stream = call->stream ? vimg_stream_ref(call->stream) : NULL;
    g_autoptr(GError) error = NULL;
    gboolean begun;

    g_queue_unlink(&client->submitted, &call->link);
    if (stream && !call->failed && !begin_stream(client, call, &error))
        vimg_server_call_fail(call, error);
    begun = stream && !call->failed;
    if (stream && !begun) {
        vimg_streams_forget(client, call);
        vimg_server_dispose(client->server, g_steal_pointer(&call->base.transfer));
    }
    answer_or_pass(client, call);
    if (begun)
        vimg_streams_started(stream);
    if (client->waiting)
        begin_call(client, g_steal_pointer(&client->waiting));
    vimg_upstream_flush(client);
    /* one at a time it goes out at once, several in one message when the loop comes to them */
    if (client->n_calls == 0)
        vimg_connection_flush(client);
    else
        vimg_connection_update(client);
}

/* ---- packets ---------------------------------------------------------------------------- */

static void
take_keepalive(VimgClient *client, const VimgFrameHeader *header)
{
    VimgFrameHeader pong = *header;

    if (header->procedure != VIMG_KEEPALIVE_PING || header->version != 1)
        return;
    pong.procedure = VIMG_KEEPALIVE_PONG;
    vimg_connection_send(client, vimg_packet_new_payload(&pong, NULL, 0, 0));
}

static gboolean
is_forwarded(VimgClient *client, const VimgFrameHeader *header)
{
    return vimg_upstream_is_open(client) && !vimg_streams_has(client, header);
}

static VimgReaderMode
on_mode(gpointer data, const VimgFrameHeader *header)
{
    switch (header->type) {
    case VIMG_FRAME_CALL:
    case VIMG_FRAME_CALL_WITH_FDS:
        return VIMG_READER_COLLECT;
    case VIMG_FRAME_STREAM:
    case VIMG_FRAME_HOLE:
        return is_forwarded(data, header) ? vimg_upstream_mode(header)
                                          : vimg_streams_mode(data, header);
    default:
        return VIMG_READER_DISCARD;
    }
}

static gboolean
may_read_on(VimgClient *client)
{
    vimg_connection_update(client);
    return !vimg_connection_is_closed(client) && !client->paused;
}

static gboolean
on_piece(gpointer data, const VimgFrameHeader *header, VimgBuffer *piece)
{
    VimgClient *client = data;

    vimg_keepalive_seen(&client->life, g_get_monotonic_time());
    vimg_streams_data(client, header, piece);
    return may_read_on(client);
}

static gboolean
on_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgClient *client = data;
    g_autoptr(VimgBuffer) owned = payload;

    vimg_keepalive_seen(&client->life, g_get_monotonic_time());
    switch (header->type) {
    case VIMG_FRAME_CALL_WITH_FDS: /* their number comes first */
        take_call(client, header, g_steal_pointer(&owned), sizeof(guint32));
        break;
    case VIMG_FRAME_CALL:
        take_call(client, header, g_steal_pointer(&owned), 0);
        break;
    case VIMG_FRAME_MESSAGE:
        if (header->program == VIMG_PROGRAM_KEEPALIVE)
            take_keepalive(client, header);
        break;
    case VIMG_FRAME_STREAM:
    case VIMG_FRAME_HOLE:
        if (is_forwarded(client, header))
            vimg_upstream_stream(client, header, g_steal_pointer(&owned));
        else
            vimg_streams_packet(client, header, g_steal_pointer(&owned));
        break;
    default: /* dropped, as stock does */
        break;
    }
    return may_read_on(client);
}

static const VimgReaderFuncs reader_funcs = {
    .mode = on_mode,
    .piece = on_piece,
    .packet = on_packet,
};

/* ---- the socket ------------------------------------------------------------------------- */

/* Returns: FALSE if the client is to be closed. */
static gboolean
read_packets(VimgClient *client)
{
    VimgReaderResult result = vimg_reader_read(&client->reader, client->watch.fd);

    client->stopped = result == VIMG_READER_STOPPED;
    switch (result) {
    case VIMG_READER_AGAIN:
    case VIMG_READER_STOPPED:
    case VIMG_READER_YIELD: /* the socket still has some, so the loop comes back */
        return TRUE;
    case VIMG_READER_BROKEN:
        vimg_debug("closing a client of uid %u: bad length of a packet", (guint)client->uid);
        return FALSE;
    case VIMG_READER_EOF:
        return FALSE;
    }
    return FALSE;
}

/* Returns: FALSE if the client is to be closed. */
static gboolean
write_packets(VimgClient *client)
{
    guint64 before = client->outbox.written;
    GIOCondition events = 0;

    switch (vimg_outbox_flush(&client->outbox, client->watch.fd)) {
    case VIMG_OUTBOX_FAILED:
        return FALSE;
    case VIMG_OUTBOX_EMPTY:
        if (client->closing)
            return FALSE;
        break;
    case VIMG_OUTBOX_MORE:
        events |= G_IO_OUT;
        break;
    }
    /* a client that reads its answers slowly does read them; our PINGs do not move an upload */
    if (client->outbox.written != before && !client->streams_full)
        vimg_keepalive_moved(&client->life, g_get_monotonic_time());
    vimg_connection_update(client);
    if (!client->paused)
        events |= G_IO_IN;
    vimg_watch_await(&client->watch, events);
    /* what it was woken for is done, but to read on */
    client->watch.woken = client->stopped && !client->paused;
    vimg_upstream_update(client);
    return TRUE;
}

void
vimg_connection_flush(VimgClient *client)
{
    if (!vimg_connection_is_closed(client) && !write_packets(client))
        vimg_connection_close(client);
}

/*
 * Reads, and passes on to the host what came of it.  As long as there is room there for what it
 * sends a client need not wait for its next turn.  Returns: whether there is more to read now.
 */
static gboolean
take_turn(gpointer data)
{
    VimgClient *client = data;

    if (!client->paused && !read_packets(client)) {
        vimg_connection_close(client);
        return FALSE;
    }
    vimg_upstream_flush(client);
    return !vimg_connection_is_closed(client) && client->stopped && !client->paused;
}

static void
on_ready(gpointer data, GIOCondition seen)
{
    g_autoptr(VimgClient) client = vimg_client_ref(data);

    /* a hung-up socket is always "ready": with nobody reading it, the loop would spin */
    if ((seen & (G_IO_ERR | G_IO_NVAL)) || (client->paused && (seen & G_IO_HUP))) {
        vimg_connection_close(client);
        return;
    }
    vimg_watch_turns(&client->watch, take_turn);
    vimg_connection_flush(client);
}

void
vimg_connection_open(VimgClient *client)
{
    VimgServer *server = client->server;

    client->since = g_get_monotonic_time();
    vimg_keepalive_init(&client->life, client->since);
    vimg_reader_init(&client->reader, &reader_funcs, client);
    vimg_reader_set_pipes(&client->reader, server->pipes);
    if (server->hooks.connected)
        client->data = server->hooks.connected(client);
    vimg_watch_begin(&client->watch, client->watch.fd, server->context, on_ready, client);
    vimg_server_add_client(server, client);
}

void
vimg_connection_close(VimgClient *client)
{
    VimgServer *server = client->server;

    if (vimg_connection_is_closed(client))
        return;
    __atomic_store_n(&client->gone, 1, __ATOMIC_RELEASE);
    vimg_streams_abort_all(client);
    g_clear_pointer(&client->waiting, vimg_server_call_free);
    withdraw_calls(client);
    vimg_watch_end(&client->watch);
    vimg_upstream_close(client);
    vimg_reader_clear(&client->reader);
    vimg_outbox_clear(&client->outbox);
    if (server->hooks.disconnected)
        server->hooks.disconnected(client, client->data);
    vimg_server_remove_client(server, client);
}

gboolean
vimg_connection_close_last(VimgClient *client)
{
    vimg_autofd int fd = -1;

    if (vimg_connection_is_closed(client))
        return FALSE;
    /* nothing may come behind half a packet */
    if (vimg_outbox_flush(&client->outbox, client->watch.fd) == VIMG_OUTBOX_EMPTY)
        fd = fcntl(client->watch.fd, F_DUPFD_CLOEXEC, 0);
    vimg_connection_close(client);
    if (vimg_connection_runs(client))
        client->last = vimg_steal_fd(&fd);
    return vimg_connection_runs(client);
}

gboolean
vimg_connection_runs(VimgClient *client)
{
    return client->submitted.length > 0;
}

void
vimg_connection_tick(VimgClient *client, gint64 now)
{
    static const VimgFrameHeader ping = {.program = VIMG_PROGRAM_KEEPALIVE,
                                         .version = 1,
                                         .procedure = VIMG_KEEPALIVE_PING,
                                         .type = VIMG_FRAME_MESSAGE};

    if (client->closing) {
        if (now - client->closing_since > CLOSE_TIMEOUT)
            vimg_connection_close(client);
        return;
    }
    vimg_upstream_tick(client, now);
    if (vimg_connection_is_closed(client) || client->closing)
        return;
    /* nobody's places are held by those who want nothing; one that opened may be idle for ever */
    if (now - client->since > OPEN_TIMEOUT && !vimg_client_get_uri(client)) {
        vimg_info("closing a client of uid %u that opens nothing", (guint)client->uid);
        vimg_connection_close(client);
        return;
    }
    switch (vimg_keepalive_check(&client->life, &client->server->limits,
                                 vimg_client_has_keepalive(client), is_stalled(client), now)) {
    case VIMG_KEEPALIVE_FINE:
        break;
    case VIMG_KEEPALIVE_ASK:
        vimg_connection_send(client, vimg_packet_new_payload(&ping, NULL, 0, 0));
        break;
    case VIMG_KEEPALIVE_DEAD:
        vimg_info("closing a client of uid %u that %s", (guint)client->uid,
                  client->paused ? "waited too long for its stream" : "does not answer");
        vimg_connection_close(client);
        break;
    }
}
