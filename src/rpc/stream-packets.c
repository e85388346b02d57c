/*
 * stream-packets.c: what the packets of a stream mean: the main loop's side of streams
 *
 * A serial belongs to a stream from its call on.  Each stream gets exactly one final answer: STREAM
 * OK to a finish or an abort, or one STREAM ERROR; after it the serial is forgotten and whatever
 * comes for it is dropped.  A download that reached its end leaves a stub, which is one number, to
 * answer a finish that some clients send and others never do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/connection.h"
#include "rpc/server-private.h"
#include "rpc/upstream-private.h"
#include "util/i18n.h"
#include "util/log.h"

#define STUBS_MAX 4096 /* a client: the oldest is forgotten then */

static gpointer
key_of(guint32 serial)
{
    return GUINT_TO_POINTER(serial);
}

/* ---- the tables ------------------------------------------------------------------------- */

static VimgStream *
lookup(VimgClient *client, const VimgFrameHeader *header)
{
    VimgStream *stream = g_hash_table_lookup(client->streams, key_of(header->serial));

    if (!stream || stream->header.program != header->program ||
        stream->header.version != header->version || stream->header.procedure != header->procedure)
        return NULL;
    return stream;
}

/* The client's packets for it are dropped from now on. */
static void
forget_serial(VimgStream *stream)
{
    GHashTable *streams = stream->client->streams;

    if (g_hash_table_lookup(streams, key_of(stream->header.serial)) == stream)
        g_hash_table_remove(streams, key_of(stream->header.serial));
}

static gboolean
take_stub(VimgClient *client, const VimgFrameHeader *header)
{
    gpointer key = key_of(header->serial);
    gpointer procedure;

    if (!g_hash_table_lookup_extended(client->stubs, key, NULL, &procedure) ||
        GPOINTER_TO_INT(procedure) != header->procedure)
        return FALSE;
    g_hash_table_remove(client->stubs, key);
    g_queue_remove(&client->stub_order, key);
    return TRUE;
}

static void
make_stub(VimgStream *stream)
{
    VimgClient *client = stream->client;
    gpointer key = key_of(stream->header.serial);

    if (g_hash_table_lookup(client->streams, key) != stream)
        return;
    if (g_queue_get_length(&client->stub_order) >= STUBS_MAX)
        g_hash_table_remove(client->stubs, g_queue_pop_head(&client->stub_order));
    if (g_hash_table_insert(client->stubs, key, GINT_TO_POINTER(stream->header.procedure)))
        g_queue_push_tail(&client->stub_order, key);
    forget_serial(stream);
}

/* ---- answers ---------------------------------------------------------------------------- */

static VimgPacket *
ok_packet(const VimgFrameHeader *header)
{
    VimgFrameHeader ok = *header;

    ok.type = VIMG_FRAME_STREAM;
    ok.status = VIMG_FRAME_OK;
    return vimg_packet_new_payload(&ok, NULL, 0, 0);
}

/* Its end is awaited, and then answered. */
static void
begin_abort(VimgStream *stream)
{
    stream->state = VIMG_STREAM_ABORTING;
    vimg_stream_cancel(stream);
    vimg_stream_drop_packets(stream);
}

/* The client broke the rules of the stream: it is told so, once. */
static void
refuse_input(VimgStream *stream, VimgErrorCode code, const char *message)
{
    vimg_throw(&stream->refused, code, "%s", message);
    begin_abort(stream);
}

/* ---- events of streams ------------------------------------------------------------------ */

static void
on_consumed(VimgStream *stream, gsize cost)
{
    stream->client->stream_cost -= cost;
    vimg_keepalive_moved(&stream->client->life, g_get_monotonic_time());
    vimg_connection_update(stream->client);
}

static void
on_ready(VimgStream *stream)
{
    VimgClient *client = stream->client;

    if (vimg_connection_is_closed(client) || client->closing ||
        stream->state == VIMG_STREAM_ABORTING)
        return;
    vimg_outbox_add_stream(&client->outbox, stream);
    vimg_connection_wake(client);
}

static void
on_drained(VimgStream *stream)
{
    if (stream->state == VIMG_STREAM_SENT)
        make_stub(stream);
}

/* The last word of a stream, in the order that its state asks for. */
static void
answer_end(VimgStream *stream)
{
    VimgClient *client = stream->client;

    if (stream->state == VIMG_STREAM_ABORTING) {
        vimg_stream_drop_packets(stream);
        if (stream->refused)
            vimg_connection_send(client, vimg_packet_new(vimg_frame_new_error(
                                             &stream->header, stream->refused, stream->domain)));
        else
            vimg_connection_send(client, ok_packet(&stream->header));
    } else if (stream->failure) {
        vimg_stream_append_packet(stream, vimg_packet_new(g_steal_pointer(&stream->failure)));
    } else if (stream->upload) {
        vimg_connection_send(client, ok_packet(&stream->header));
    } else {
        stream->state = VIMG_STREAM_SENT;
        if (!stream->in_outbox)
            make_stub(stream);
        return;
    }
    forget_serial(stream);
}

static void
on_ended(VimgStream *stream)
{
    VimgClient *client = stream->client;

    vimg_stream_join(stream);
    client->stream_cost -= vimg_stream_clear_input(stream);
    if (vimg_connection_is_closed(client) || client->closing)
        forget_serial(stream);
    else
        answer_end(stream);
    g_hash_table_remove(client->server->streams, stream);
    vimg_connection_update(client);
}

static const VimgStreamEvents events = {
    .consumed = on_consumed,
    .ready = on_ready,
    .drained = on_drained,
    .ended = on_ended,
};

/* ---- beginning -------------------------------------------------------------------------- */

gboolean
vimg_streams_refuse(VimgClient *client, const VimgServerCall *call, GError **error)
{
    VimgServer *server = client->server;
    VimgStream *stream = g_hash_table_lookup(client->streams, key_of(call->header.serial));

    if (stream && stream->state != VIMG_STREAM_SENT)
        return !vimg_throw(error, VIMG_ERROR_RPC, _("serial %u belongs to a stream that goes on"),
                           call->header.serial);
    if (g_hash_table_size(server->streams) >= server->config->max_streams)
        return !vimg_throw(error, VIMG_ERROR_BUSY, _("%u uploads and downloads run already"),
                           server->config->max_streams);
    return FALSE;
}

void
vimg_streams_register(VimgClient *client, VimgServerCall *call)
{
    VimgServer *server = client->server;

    take_stub(client, &call->header);
    call->stream =
        vimg_stream_new(server->inbox, &events, client, &call->header, call->base.proc->domain);
    g_hash_table_replace(client->streams, key_of(call->header.serial),
                         vimg_stream_ref(call->stream));
    g_hash_table_add(server->streams, vimg_stream_ref(call->stream));
}

gboolean
vimg_streams_start(VimgClient *client, VimgServerCall *call, GError **error)
{
    if (!call->base.sparse && vimg_stream_has_hole(call->stream)) {
        vimg_connection_close(client);
        return vimg_throw(error, VIMG_ERROR_RPC, _("Unexpected stream hole"));
    }
    if (!vimg_stream_start(call->stream, call->base.transfer, call->base.upload, call->base.sparse,
                           error))
        return FALSE;
    call->base.transfer = NULL;
    return TRUE;
}

void
vimg_streams_started(VimgStream *stream)
{
    if (stream->aborted || (!stream->upload && stream->finishing))
        begin_abort(stream);
    else if (!stream->upload && vimg_stream_has_input(stream))
        refuse_input(stream, VIMG_ERROR_OPERATION_INVALID, _("data came for a download"));
}

void
vimg_streams_forget(VimgClient *client, VimgServerCall *call)
{
    client->stream_cost -= vimg_stream_clear_input(call->stream);
    forget_serial(call->stream);
    g_hash_table_remove(client->server->streams, call->stream);
}

/* ---- packets ---------------------------------------------------------------------------- */

gboolean
vimg_streams_has(VimgClient *client, const VimgFrameHeader *header)
{
    return lookup(client, header) || g_hash_table_contains(client->stubs, key_of(header->serial));
}

VimgReaderMode
vimg_streams_mode(VimgClient *client, const VimgFrameHeader *header)
{
    if (!lookup(client, header)) /* then it may be one of the host's */
        return vimg_upstream_is_open(client) ? VIMG_READER_COLLECT : VIMG_READER_DISCARD;
    if (header->type == VIMG_FRAME_HOLE)
        return VIMG_READER_COLLECT;
    return header->status == VIMG_FRAME_CONTINUE ? VIMG_READER_PIECES : VIMG_READER_DISCARD;
}

/* What to do with input for @stream, which may be NULL. */
static gboolean
takes_input(VimgStream *stream)
{
    if (!stream || stream->finishing || stream->aborted)
        return FALSE;
    if (stream->state == VIMG_STREAM_PENDING)
        return TRUE;
    if (stream->state != VIMG_STREAM_RUNNING)
        return FALSE;
    if (!stream->upload)
        refuse_input(stream, VIMG_ERROR_OPERATION_INVALID, _("data came for a download"));
    return stream->upload;
}

void
vimg_streams_data(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *piece)
{
    VimgStream *stream = lookup(client, header);

    if (takes_input(stream))
        client->stream_cost += vimg_stream_put_data(stream, piece);
    else
        vimg_buffer_unref(piece);
}

static void
take_hole(VimgClient *client, VimgStream *stream, const VimgBuffer *payload)
{
    g_autoptr(GError) error = NULL;
    guint64 length = 0;
    guint32 flags = 0;

    if (stream->state == VIMG_STREAM_RUNNING && !stream->sparse) {
        vimg_debug("closing a client of uid %u: hole in a stream that has none",
                   (guint)client->uid);
        vimg_connection_close(client);
        return;
    }
    if (!takes_input(stream))
        return;
    if (vimg_frame_hole_decode(payload ? payload->data : NULL, payload ? payload->size : 0, &length,
                               &flags, &error) &&
        flags != 0)
        vimg_throw(&error, VIMG_ERROR_INVALID_ARG, _("unsupported flags (0x%x) of a stream hole"),
                   flags);
    if (!error)
        client->stream_cost += vimg_stream_put_hole(stream, length);
    else if (stream->state == VIMG_STREAM_RUNNING)
        refuse_input(stream, error->code, error->message);
    else
        vimg_connection_close(client);
}

/* OK from the client: all of an upload was sent, or it wants no more of a download. */
static void
take_finish(VimgClient *client, VimgStream *stream)
{
    if (stream->finishing || stream->aborted)
        return;
    switch (stream->state) {
    case VIMG_STREAM_PENDING:
        stream->finishing = TRUE;
        client->stream_cost += vimg_stream_put_finish(stream);
        break;
    case VIMG_STREAM_RUNNING:
        if (!stream->upload) {
            begin_abort(stream);
            break;
        }
        stream->finishing = TRUE;
        client->stream_cost += vimg_stream_put_finish(stream);
        break;
    case VIMG_STREAM_SENT:
        vimg_stream_append_packet(stream, ok_packet(&stream->header));
        forget_serial(stream);
        break;
    case VIMG_STREAM_ABORTING:
        break;
    }
}

static void
take_abort(VimgStream *stream)
{
    switch (stream->state) {
    case VIMG_STREAM_PENDING:
        stream->aborted = TRUE;
        break;
    case VIMG_STREAM_RUNNING:
        begin_abort(stream);
        break;
    case VIMG_STREAM_SENT:
        vimg_stream_append_packet(stream, ok_packet(&stream->header));
        forget_serial(stream);
        break;
    case VIMG_STREAM_ABORTING:
        break;
    }
}

void
vimg_streams_packet(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload)
{
    g_autoptr(VimgBuffer) owned = payload;
    VimgStream *stream = lookup(client, header);
    gboolean more = header->type == VIMG_FRAME_HOLE || header->status == VIMG_FRAME_CONTINUE;

    if (!stream) {
        if (!more && take_stub(client, header))
            vimg_connection_send(client, ok_packet(header));
        else
            vimg_upstream_stream(client, header, g_steal_pointer(&owned));
    } else if (header->type == VIMG_FRAME_HOLE) {
        take_hole(client, stream, owned);
    } else if (header->status == VIMG_FRAME_OK) {
        take_finish(client, stream);
    } else if (header->status != VIMG_FRAME_CONTINUE) {
        take_abort(stream);
    }
}

void
vimg_streams_abort_all(VimgClient *client)
{
    GHashTableIter iter;
    gpointer value;

    vimg_outbox_drop_streams(&client->outbox);
    g_hash_table_iter_init(&iter, client->streams);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgStream *stream = value;

        if (stream->state == VIMG_STREAM_RUNNING)
            begin_abort(stream);
        else if (stream->state == VIMG_STREAM_SENT)
            g_hash_table_iter_remove(&iter);
    }
}
