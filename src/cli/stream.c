/*
 * stream.c: the content of one image on its way to a daemon or from it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/daemon-private.h"
#include "cli/stream.h"
#include "util/error.h"
#include "util/i18n.h"
#include "wire/remote.h"

#define SPARSE 1                      /* flag of both procedures */
#define PATIENCE (5 * G_USEC_PER_SEC) /* with a daemon that is told to stop */

struct _VimgStream {
    VimgDaemon *daemon; /* borrowed */
    VimgFrameHeader header;
    gboolean upload;
    gboolean sparse;
    gboolean aborting; /* what still comes is of no use */
    VimgBuffer *data;  /* what came last and was not taken yet, or */
    guint64 hole;
    gboolean at_end; /* of what a download brings */
    gboolean ended;  /* the last word was said: @error, or else all is well */
    GError *error;
};

/* ---- what comes ------------------------------------------------------------------------- */

static GError *
nonsense(void)
{
    return g_error_new_literal(VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN,
                               _("the daemon's answer cannot be understood"));
}

static void
take_end(VimgStream *stream, GError *error)
{
    stream->ended = TRUE;
    stream->error = error;
}

/* Data and holes belong to a download that has not ended, and holes to a sparse one. */
static void
take_content(VimgStream *stream, const VimgFrameHeader *header, VimgBuffer *payload)
{
    guint32 flags;
    gboolean hole = header->type == VIMG_FRAME_HOLE;

    if (stream->aborting)
        return;
    if (stream->upload || stream->at_end || (hole && !stream->sparse))
        take_end(stream, nonsense());
    else if (!hole && !payload)
        stream->at_end = TRUE;
    else if (!hole)
        stream->data = vimg_buffer_ref(payload);
    else if (!payload ||
             !vimg_frame_hole_decode(payload->data, payload->size, &stream->hole, &flags, NULL))
        take_end(stream, nonsense());
}

/* Returns: FALSE, so that each piece is taken before the next one is read. */
static gboolean
take_packet(const VimgFrameHeader *header, VimgBuffer *payload, gpointer data)
{
    g_autoptr(VimgBuffer) owned = payload;
    VimgStream *stream = data;

    if (stream->ended)
        return FALSE;
    if (header->status == VIMG_FRAME_CONTINUE)
        take_content(stream, header, owned);
    else if (header->type == VIMG_FRAME_STREAM && header->status == VIMG_FRAME_OK)
        take_end(stream, NULL);
    else
        take_end(stream,
                 header->status == VIMG_FRAME_ERROR ? vimg_daemon_error_decode(owned) : nonsense());
    return FALSE;
}

/* ---- life ------------------------------------------------------------------------------- */

VimgStream *
vimg_stream_new(VimgDaemon *daemon, gint32 procedure, const vimg_remote_vol *vol, guint64 offset,
                gboolean sparse, GError **error)
{
    g_autoptr(VimgStream) stream = g_new0(VimgStream, 1);
    vimg_remote_vol_stream_args args = {*vol, offset, 0, sparse ? SPARSE : 0};
    gint32 serial;

    g_return_val_if_fail(!daemon->stream, NULL);
    stream->daemon = daemon;
    stream->upload = procedure == VIMG_REMOTE_VOL_UPLOAD;
    stream->sparse = sparse;
    serial = vimg_daemon_start(daemon, VIMG_PROGRAM_REMOTE, procedure,
                               (xdrproc_t)xdr_vimg_remote_vol_stream_args, &args, error);
    if (serial < 0)
        return NULL;
    stream->header = (VimgFrameHeader){.program = VIMG_PROGRAM_REMOTE,
                                       .version = 1,
                                       .procedure = procedure,
                                       .type = VIMG_FRAME_STREAM,
                                       .serial = (guint32)serial,
                                       .status = VIMG_FRAME_CONTINUE};
    /* its first packets may come with the reply */
    daemon->stream = take_packet;
    daemon->stream_data = stream;
    daemon->stream_procedure = procedure;
    daemon->stream_serial = (guint32)serial;
    if (!vimg_daemon_finish(daemon, serial, NULL, NULL, error))
        return NULL;
    return g_steal_pointer(&stream);
}

void
vimg_stream_free(VimgStream *stream)
{
    if (!stream)
        return;
    if (stream->daemon->stream_data == stream) {
        stream->daemon->stream = NULL;
        stream->daemon->stream_data = NULL;
        stream->daemon->tick = NULL;
    }
    vimg_buffer_unref(stream->data);
    g_clear_error(&stream->error);
    g_free(stream);
}

void
vimg_stream_set_tick(VimgStream *stream, VimgStreamTickFunc tick, gpointer data)
{
    stream->daemon->tick = tick;
    stream->daemon->tick_data = data;
}

static gboolean
goes_on(VimgStream *stream, GError **error)
{
    VimgDaemon *daemon = stream->daemon;

    return !daemon->tick || daemon->tick(daemon->tick_data) ||
           vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("interrupted"));
}

/* ---- upload ----------------------------------------------------------------------------- */

static gboolean
send_packet(VimgStream *stream, const VimgFrameHeader *header, const guint8 *payload, gsize size,
            VimgDaemonFile *file, GError **error)
{
    guint8 head[VIMG_FRAME_MIN];
    struct iovec iov[] = {{head, sizeof(head)}, {(guint8 *)payload, size}};

    vimg_frame_head_encode(header, size + (file ? file->size : 0), head);
    return vimg_daemon_send(stream->daemon, iov, size > 0 ? 2 : 1, file, error);
}

/* Whether the daemon still wants it, of which it says nothing. */
static gboolean
is_wanted(VimgStream *stream, GError **error)
{
    if (!stream->ended && !vimg_daemon_wait(stream->daemon, 0, error))
        return FALSE;
    if (!stream->ended)
        return goes_on(stream, error);
    g_propagate_error(error, stream->error ? g_error_copy(stream->error) : nonsense());
    return FALSE;
}

gboolean
vimg_stream_send_file(VimgStream *stream, int fd, guint64 offset, gsize size, GError **error)
{
    VimgDaemonFile file = {fd, offset, size};

    g_return_val_if_fail(size <= VIMG_STREAM_PACKET, FALSE);
    return is_wanted(stream, error) && send_packet(stream, &stream->header, NULL, 0, &file, error);
}

gboolean
vimg_stream_send_data(VimgStream *stream, const void *data, gsize size, GError **error)
{
    g_return_val_if_fail(size <= VIMG_STREAM_PACKET, FALSE);
    return is_wanted(stream, error) &&
           send_packet(stream, &stream->header, data, size, NULL, error);
}

gboolean
vimg_stream_send_hole(VimgStream *stream, guint64 length, GError **error)
{
    VimgFrameHeader header = stream->header;
    g_autoptr(VimgBuffer) frame = NULL;
    struct iovec iov;

    header.type = VIMG_FRAME_HOLE;
    frame = vimg_frame_new_hole(&header, length);
    if (!frame)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("invalid length of a stream hole"));
    iov = (struct iovec){frame->data, frame->size};
    return is_wanted(stream, error) && vimg_daemon_send(stream->daemon, &iov, 1, NULL, error);
}

/* ---- download --------------------------------------------------------------------------- */

static gboolean
wait_for_content(VimgStream *stream, GError **error)
{
    while (!stream->data && !stream->hole && !stream->at_end && !stream->ended) {
        if (!vimg_daemon_wait(stream->daemon, VIMG_DAEMON_TICK, error) || !goes_on(stream, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_stream_receive(VimgStream *stream, VimgStreamPiece *piece, GError **error)
{
    *piece = (VimgStreamPiece){0};
    if (!goes_on(stream, error) || !wait_for_content(stream, error))
        return FALSE;
    if (stream->ended) {
        g_propagate_error(error, stream->error ? g_error_copy(stream->error) : nonsense());
        return FALSE;
    }
    piece->data = g_steal_pointer(&stream->data);
    piece->length = piece->data ? piece->data->size : stream->hole;
    stream->hole = 0;
    return TRUE;
}

/* ---- the end ---------------------------------------------------------------------------- */

static gboolean
send_end(VimgStream *stream, VimgFrameStatus status, GError **error)
{
    VimgFrameHeader header = stream->header;

    header.status = status;
    return send_packet(stream, &header, NULL, 0, NULL, error);
}

gboolean
vimg_stream_finish(VimgStream *stream, GError **error)
{
    if (!stream->ended && !send_end(stream, VIMG_FRAME_OK, error))
        return FALSE;
    while (!stream->ended) {
        if (!vimg_daemon_wait(stream->daemon, VIMG_DAEMON_TICK, error) || !goes_on(stream, error))
            return FALSE;
    }
    if (stream->error)
        g_propagate_error(error, g_error_copy(stream->error));
    return !stream->error;
}

gboolean
vimg_stream_abort(VimgStream *stream, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;

    stream->aborting = TRUE;
    g_clear_pointer(&stream->data, vimg_buffer_unref);
    if (!stream->ended && !send_end(stream, VIMG_FRAME_ERROR, error))
        return FALSE;
    while (!stream->ended) {
        if (!vimg_daemon_wait(stream->daemon, VIMG_DAEMON_TICK, error))
            return FALSE;
        if (g_get_monotonic_time() > deadline)
            return vimg_throw(error, VIMG_ERROR_TIMEOUT, "%s", _("the daemon does not stop"));
    }
    return TRUE;
}
