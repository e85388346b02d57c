/*
 * primary-sink.c: content on its way into a volume of the host, the first piece last
 *
 * The host's daemon shows a volume from when it is made, and knows no state "unfinished".  What
 * stands at the beginning of a disk is what everybody looks for first, so that is written when all
 * the rest is there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/primary-file.h"
#include "host/primary-private.h"
#include "host/primary-queue.h"

#define HEAD VIMG_HOST_HEAD
#define PIECE ((gsize)1024 * 1024) /* bytes handed over at once */
#define GRAIN ((gsize)65536)       /* bytes; zeros of less are written */

/* Each way to write; .open begins at an offset, and all that follows is in order. */
typedef struct {
    gboolean (*open)(VimgHostSink *sink, guint64 offset, guint64 length, GError **error);
    gboolean (*write)(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                      GError **error);
    gboolean (*hole)(VimgHostSink *sink, guint64 length, GError **error);
    gboolean (*close)(VimgHostSink *sink, GError **error); /* it is closed whatever comes of it */
    void (*abort)(VimgHostSink *sink);
} Way;

struct _VimgHostSink {
    const Way *way;
    virConnectPtr connect;
    virStorageVolPtr vol;
    const VimgHostEntry *entry;
    virStreamPtr stream;
    VimgHostQueue *queue; /* what the stream is still to be given */
    VimgHostFile *file;
    virStreamPtr held; /* for the first piece */
    VimgForeign *foreign;
    VimgTransfer *source;
    VimgForeignWriter *writer;
    gboolean open;
    VimgBuffer *head;
    gsize n_head;
};

/* ---- by a stream of libvirt ----------------------------------------------------------------- */

/* In the thread of the queue. */
static gboolean
stream_send(gpointer data, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    VimgHostSink *sink = data;
    const char *bytes = buffer ? (const char *)buffer->data + offset : NULL;

    if (!buffer)
        return virStreamSendHole(sink->stream, (long long)size, 0) == 0 || vimg_host_throw(error);
    while (size > 0) {
        int sent = virStreamSend(sink->stream, bytes, (size_t)MIN(size, PIECE));

        if (sent < 0)
            return vimg_host_throw(error);
        bytes += sent;
        size -= (guint64)sent;
    }
    return TRUE;
}

/* Returns: (transfer full) */
static virStreamPtr
connect_stream(VimgHostSink *sink, guint64 offset, guint64 length, GError **error)
{
    /* what is sent at last must not cut off what is behind it, as holes do there */
    guint flags = length == 0 ? VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM : 0;
    virStreamPtr stream = virStreamNew(sink->connect, 0);

    if (stream && virStorageVolUpload(sink->vol, stream, offset, length, flags) == 0)
        return stream;
    vimg_host_throw(error);
    if (stream)
        virStreamFree(stream);
    return NULL;
}

/* Takes @stream over; NULL: @error is set */
static gboolean
stream_start(VimgHostSink *sink, virStreamPtr stream, GError **error)
{
    if (!stream)
        return FALSE;
    sink->stream = stream;
    sink->queue = vimg_host_queue_new(stream_send, sink, error);
    if (sink->queue)
        return TRUE;
    virStreamAbort(stream);
    g_clear_pointer(&sink->stream, virStreamFree);
    return FALSE;
}

static gboolean
stream_open(VimgHostSink *sink, guint64 offset, guint64 length, GError **error)
{
    return stream_start(sink, connect_stream(sink, offset, length, error), error);
}

/* What came of it; nothing more is sent. */
static gboolean
stream_settle(VimgHostSink *sink, gboolean all, GError **error)
{
    return vimg_host_queue_end(g_steal_pointer(&sink->queue), all, error);
}

static void
stream_abort(VimgHostSink *sink)
{
    if (sink->queue)
        stream_settle(sink, FALSE, NULL);
    virStreamAbort(sink->stream);
    g_clear_pointer(&sink->stream, virStreamFree);
}

static gboolean
stream_push(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    return vimg_host_queue_push(sink->queue, buffer, offset, size) ||
           stream_settle(sink, FALSE, error);
}

static gboolean
stream_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return stream_push(sink, buffer, offset, size, error);
}

static gboolean
stream_hole(VimgHostSink *sink, guint64 length, GError **error)
{
    return stream_push(sink, NULL, 0, length, error);
}

static gboolean
stream_close(VimgHostSink *sink, GError **error)
{
    gboolean ok;

    if (!stream_settle(sink, TRUE, error)) {
        stream_abort(sink);
        return FALSE;
    }
    ok = virStreamFinish(sink->stream) == 0 || vimg_host_throw(error);
    g_clear_pointer(&sink->stream, virStreamFree);
    return ok;
}

static const Way by_stream = {stream_open, stream_write, stream_hole, stream_close, stream_abort};

/* ---- where it lies ------------------------------------------------------------------------ */

static gboolean
file_open(VimgHostSink *sink, int fd, GError **error)
{
    sink->file = vimg_host_file_new(fd, HEAD, virStorageVolGetName(sink->vol), error);
    return sink->file != NULL;
}

static gboolean
file_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return vimg_host_file_push(sink->file, buffer, offset, size, error);
}

static gboolean
file_hole(VimgHostSink *sink, guint64 length, GError **error)
{
    return vimg_host_file_push(sink->file, NULL, 0, length, error);
}

static gboolean
file_close(VimgHostSink *sink, GError **error)
{
    return vimg_host_file_close(g_steal_pointer(&sink->file), error);
}

static void
file_abort(VimgHostSink *sink)
{
    vimg_host_file_abort(g_steal_pointer(&sink->file));
}

/* It is opened by itself. */
static const Way by_file = {NULL, file_write, file_hole, file_close, file_abort};

/* ---- by a backend of ours ------------------------------------------------------------------- */

static gboolean
foreign_open(VimgHostSink *sink, guint64 offset, guint64 length, GError **error)
{
    sink->writer = vimg_foreign_writer_new(sink->foreign, virStorageVolGetName(sink->vol), offset,
                                           sink->source, error);
    return sink->writer != NULL;
}

static gboolean
foreign_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return vimg_foreign_write(sink->writer, buffer, offset, size, error);
}

static gboolean
foreign_hole(VimgHostSink *sink, guint64 length, GError **error)
{
    return vimg_foreign_write(sink->writer, NULL, 0, length, error);
}

static gboolean
foreign_close(VimgHostSink *sink, GError **error)
{
    return vimg_foreign_finish(g_steal_pointer(&sink->writer), error);
}

static void
foreign_abort(VimgHostSink *sink)
{
    vimg_foreign_abort(g_steal_pointer(&sink->writer));
}

static const Way by_backend = {foreign_open, foreign_write, foreign_hole, foreign_close,
                               foreign_abort};

/* ---- both --------------------------------------------------------------------------------- */

VimgHostSink *
vimg_host_sink_new(virConnectPtr connect, virStorageVolPtr vol, const VimgHostEntry *entry,
                   VimgForeign *foreign, VimgTransfer *source)
{
    VimgHostSink *sink = g_new0(VimgHostSink, 1);

    sink->way = foreign ? &by_backend : &by_stream;
    sink->connect = connect;
    sink->vol = vol;
    sink->entry = entry;
    sink->foreign = foreign;
    sink->source = source;
    sink->head = vimg_buffer_new(HEAD);
    memset(sink->head->data, 0, HEAD);
    return sink;
}

void
vimg_host_sink_free(VimgHostSink *sink)
{
    if (!sink)
        return;
    if (sink->open)
        sink->way->abort(sink);
    if (sink->held) {
        virStreamAbort(sink->held);
        virStreamFree(sink->held);
    }
    vimg_buffer_unref(sink->head);
    g_free(sink);
}

/*
 * The stream for the first piece is opened before the rest comes: so it leads to that very volume,
 * whoever deletes it and makes another of its name meanwhile.
 */
static gboolean
open_rest(VimgHostSink *sink, GError **error)
{
    int fd;

    if (sink->foreign)
        return sink->way->open(sink, HEAD, 0, error);
    sink->held = connect_stream(sink, 0, HEAD, error);
    if (!sink->held)
        return FALSE;
    fd = vimg_host_journal_open(sink->entry, sink->vol);
    sink->way = fd < 0 ? &by_stream : &by_file;
    return fd < 0 ? stream_open(sink, HEAD, 0, error) : file_open(sink, fd, error);
}

static gboolean
need_open(VimgHostSink *sink, GError **error)
{
    if (!sink->open)
        sink->open = open_rest(sink, error);
    return sink->open;
}

static gboolean
close_sink(VimgHostSink *sink, GError **error)
{
    sink->open = FALSE;
    return sink->way->close(sink, error);
}

gboolean
vimg_host_sink_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                     GError **error)
{
    gsize first = MIN(size, HEAD - sink->n_head);

    memcpy(sink->head->data + sink->n_head, buffer->data + offset, first);
    sink->n_head += first;
    if (first == size)
        return TRUE;
    return need_open(sink, error) &&
           sink->way->write(sink, buffer, offset + first, size - first, error);
}

gboolean
vimg_host_sink_hole(VimgHostSink *sink, guint64 length, GError **error)
{
    gsize first = (gsize)MIN(length, HEAD - sink->n_head);

    sink->n_head += first; /* it is zeros */
    if (first == length)
        return TRUE;
    return need_open(sink, error) && sink->way->hole(sink, length - first, error);
}

gboolean
vimg_host_sink_rest(VimgHostSink *sink, GError **error)
{
    return !sink->open || close_sink(sink, error);
}

static gboolean
is_zeros(const guint8 *data, gsize size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

gboolean
vimg_host_sink_data(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                    GError **error)
{
    const gsize all = offset + size;

    while (offset < all) {
        gsize end = MIN(offset + GRAIN, all);
        gboolean zeros = is_zeros(buffer->data + offset, end - offset);

        while (end < all && is_zeros(buffer->data + end, MIN(GRAIN, all - end)) == zeros)
            end = MIN(end + GRAIN, all);
        if (zeros ? !vimg_host_sink_hole(sink, end - offset, error)
                  : !vimg_host_sink_write(sink, buffer, offset, end - offset, error))
            return FALSE;
        offset = end;
    }
    return TRUE;
}

static gboolean
open_head(VimgHostSink *sink, GError **error)
{
    if (!sink->held)
        return sink->way->open(sink, 0, sink->n_head, error);
    sink->way = &by_stream;
    return stream_start(sink, g_steal_pointer(&sink->held), error);
}

gboolean
vimg_host_sink_finish(VimgHostSink *sink, GError **error)
{
    if (sink->n_head == 0)
        return TRUE;
    sink->open = open_head(sink, error);
    return sink->open && sink->way->write(sink, sink->head, 0, sink->n_head, error) &&
           close_sink(sink, error);
}
