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
#include "host/primary-mark.h"
#include "host/primary-queue.h"
#include "host/primary-sink.h"
#include "util/i18n.h"

#define HEAD VIMG_HOST_HEAD
#define PIECE ((gsize)1024 * 1024)         /* bytes handed over at once */
#define WINDOW ((guint64)32 * 1024 * 1024) /* bytes between looks whether libvirtd lives */
#define GRAIN ((gsize)65536)               /* bytes; zeros of less are written */

/* Each way to write; .open begins at an offset, and all that follows is in order, @buffer NULL for
 * zeros. */
typedef struct {
    gboolean (*open)(VimgHostSink *sink, guint64 offset, guint64 length, GError **error);
    gboolean (*write)(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, guint64 size,
                      GError **error);
    gboolean (*close)(VimgHostSink *sink, GError **error); /* it is closed whatever comes of it */
    void (*abort)(VimgHostSink *sink);
} Way;

struct _VimgHostSink {
    const Way *way;
    virConnectPtr connect;
    virStorageVolPtr vol;
    const VimgHostEntry *entry;
    const VimgHostPool *pool;
    virStreamPtr stream;
    VimgHostQueue *queue; /* what the stream is still to be given */
    VimgHostFile *file;   /* stays until the end */
    guint64 since;        /* bytes for it since somebody looked whether libvirtd lives */
    gboolean files;       /* its pool has files */
    VimgForeign *foreign;
    VimgTransfer *source;
    VimgForeignWriter *writer;
    gboolean open;
    VimgBuffer *head;
    gsize n_head;
    gboolean headed; /* .head is written, with the mark in it */
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

/* What holds it is ended with the connection, so it need not be left. */
static gboolean
stream_open(VimgHostSink *sink, guint64 offset, guint64 length, GError **error)
{
    static const VimgHostWork work = {.send = stream_send};
    /* what is sent at last must not cut off what is behind it, as holes do there */
    guint flags = length == 0 ? VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM : 0;

    sink->stream = virStreamNew(sink->connect, 0);
    if (!sink->stream || virStorageVolUpload(sink->vol, sink->stream, offset, length, flags) < 0) {
        vimg_host_throw(error);
        g_clear_pointer(&sink->stream, virStreamFree);
        return FALSE;
    }
    sink->queue = vimg_host_queue_new(&work, sink, NULL, error);
    if (sink->queue)
        return TRUE;
    virStreamAbort(sink->stream);
    g_clear_pointer(&sink->stream, virStreamFree);
    return FALSE;
}

static void
stream_abort(VimgHostSink *sink)
{
    g_clear_pointer(&sink->queue, vimg_host_queue_free);
    virStreamAbort(sink->stream);
    g_clear_pointer(&sink->stream, virStreamFree);
}

static gboolean
stream_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    return vimg_host_queue_push(sink->queue, buffer, offset, size) ||
           vimg_host_queue_drop(sink->queue, error);
}

static gboolean
stream_close(VimgHostSink *sink, GError **error)
{
    gboolean ok;

    if (!vimg_host_queue_wait(sink->queue, error)) {
        stream_abort(sink);
        return FALSE;
    }
    g_clear_pointer(&sink->queue, vimg_host_queue_free);
    ok = virStreamFinish(sink->stream) == 0 || vimg_host_throw(error);
    g_clear_pointer(&sink->stream, virStreamFree);
    return ok;
}

static const Way by_stream = {stream_open, stream_write, stream_close, stream_abort};

/* ---- where it lies ------------------------------------------------------------------------ */

/* It is not asked for anything meanwhile, so its end would be noticed last. */
static gboolean
still_lives(VimgHostSink *sink, guint64 size, GError **error)
{
    sink->since += size;
    if (sink->since < WINDOW)
        return TRUE;
    sink->since = 0;
    return !vimg_host_is_lost(sink->connect) ||
           vimg_throw(error, VIMG_ERROR_DISCONNECTED,
                      _("the host's libvirt daemon does not answer: %s"),
                      _("the connection was closed"));
}

static gboolean
file_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    return still_lives(sink, size, error) &&
           vimg_host_file_push(sink->file, buffer, offset, size, error);
}

static gboolean
file_close(VimgHostSink *sink, GError **error)
{
    return vimg_host_file_settle(sink->file, error);
}

static void
file_abort(VimgHostSink *sink)
{
    vimg_host_file_stop(sink->file);
}

/* It is opened by itself, and the first piece is its own. */
static const Way by_file = {NULL, file_write, file_close, file_abort};

static gboolean
check_job(gpointer job, GError **error)
{
    return vimg_transfer_check(job, error);
}

/* If that is how the volume gets its content, from byte @at on, .file is. */
static gboolean
file_open(VimgHostSink *sink, guint64 at, GError **error)
{
    char *path = sink->files ? virStorageVolGetPath(sink->vol) : NULL;
    VimgHostWaiter waiter = {check_job, sink->source, sink->pool->uuid};
    VimgHostFileSpec spec = {
        .path = path,
        .volume = virStorageVolGetName(sink->vol),
        .pool = virStoragePoolGetName(sink->pool->pool),
    };
    GError *local = NULL;

    spec.id = vimg_host_journal_mark(sink->entry, &spec.place);
    if (path && spec.place != VIMG_HOST_NO_MARK)
        sink->file = vimg_host_file_open(&spec, at, &waiter, &local);
    free(path);
    if (sink->file)
        sink->way = &by_file;
    if (!local)
        return TRUE;
    g_propagate_error(error, local);
    return FALSE;
}

/* ---- by a backend of ours ------------------------------------------------------------------- */

static gboolean
foreign_open(VimgHostSink *sink, guint64 offset, guint64 length, GError **error)
{
    sink->writer = vimg_foreign_writer_new(sink->foreign, virStorageVolGetName(sink->vol), offset,
                                           sink->source, error);
    return sink->writer != NULL;
}

static gboolean
foreign_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    return vimg_foreign_write(sink->writer, buffer, offset, size, error);
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

static const Way by_backend = {foreign_open, foreign_write, foreign_close, foreign_abort};

/* ---- both --------------------------------------------------------------------------------- */

VimgHostSink *
vimg_host_sink_new(virConnectPtr connect, virStorageVolPtr vol, const VimgHostEntry *entry,
                   const VimgHostPool *pool, VimgTransfer *source)
{
    VimgHostSink *sink = g_new0(VimgHostSink, 1);

    sink->way = pool->foreign ? &by_backend : &by_stream;
    sink->connect = connect;
    sink->vol = vol;
    sink->entry = entry;
    sink->foreign = pool->foreign;
    sink->pool = pool;
    sink->files = pool->kind == VIMG_HOST_FILES;
    sink->source = source;
    sink->head = vimg_buffer_new(HEAD);
    memset(sink->head->data, 0, HEAD);
    return sink;
}

void
vimg_host_sink_stop(VimgHostSink *sink)
{
    if (sink->open)
        sink->way->abort(sink);
    sink->open = FALSE;
}

void
vimg_host_sink_free(VimgHostSink *sink)
{
    if (!sink)
        return;
    vimg_host_sink_stop(sink);
    vimg_host_file_free(sink->file);
    vimg_buffer_unref(sink->head);
    g_free(sink);
}

gboolean
vimg_host_sink_is_there(VimgHostSink *sink, GError **error)
{
    return !sink->file || vimg_host_file_is_there(sink->file, error);
}

gboolean
vimg_host_sink_hand_over(VimgHostSink *sink, VimgHostEntry *entry)
{
    return sink->file && vimg_host_file_hand_over(sink->file, vimg_host_journal_answered, entry);
}

gboolean
vimg_host_sink_has_file(const VimgHostSink *sink)
{
    return sink->file != NULL;
}

static gboolean
open_rest(VimgHostSink *sink, GError **error)
{
    return file_open(sink, HEAD, error) && (sink->file || sink->way->open(sink, HEAD, 0, error));
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
    return need_open(sink, error) && sink->way->write(sink, NULL, 0, length - first, error);
}

gboolean
vimg_host_sink_rest(VimgHostSink *sink, GError **error)
{
    /* one that is no longer than its first piece has nothing else */
    if (!sink->open && sink->n_head > 0) {
        if (!file_open(sink, sink->n_head, error))
            return FALSE;
        sink->open = sink->file != NULL;
    }
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

/* Of the first piece. */
static gboolean
write_first(VimgHostSink *sink, gsize offset, gsize size, GError **error)
{
    sink->open = sink->way->open(sink, offset, size, error);
    return sink->open && sink->way->write(sink, sink->head, offset, size, error) &&
           close_sink(sink, error);
}

/* With the mark where it stands. */
static gboolean
write_marked(VimgHostSink *sink, const char *id, guint8 *mark, GError **error)
{
    guint8 kept[VIMG_HOST_MARK_SIZE];
    gboolean ok;

    memcpy(kept, mark, sizeof(kept));
    vimg_host_mark_fill(mark, id);
    ok = write_first(sink, 0, sink->n_head, error);
    memcpy(mark, kept, sizeof(kept));
    return ok;
}

gboolean
vimg_host_sink_head(VimgHostSink *sink, GError **error)
{
    guint64 place;
    const char *id = vimg_host_journal_mark(sink->entry, &place);
    guint8 *mark = sink->head->data + place;

    if (sink->n_head < HEAD || place > HEAD - VIMG_HOST_MARK_SIZE ||
        !is_zeros(mark, VIMG_HOST_MARK_SIZE))
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED,
            _("volume '%s' cannot be larger than its image, whose header is too long for that: clone it without <capacity>, then grow it with 'virsh vol-resize'"),
            virStorageVolGetName(sink->vol));
    sink->headed = sink->file ? vimg_host_file_head(sink->file, sink->head, sink->n_head, error)
                              : write_marked(sink, id, mark, error);
    return sink->headed;
}

/* Whoever dies within the first piece leaves the mark in it, and the last write is that small. */
static gboolean
finish_stream(VimgHostSink *sink, GError **error)
{
    guint64 place;
    const char *id = vimg_host_journal_mark(sink->entry, &place);

    if (sink->foreign || place > HEAD - VIMG_HOST_MARK_SIZE ||
        place + VIMG_HOST_MARK_SIZE > sink->n_head)
        return write_first(sink, 0, sink->n_head, error);
    return (sink->headed || write_marked(sink, id, sink->head->data + place, error)) &&
           write_first(sink, (gsize)place, VIMG_HOST_MARK_SIZE, error);
}

gboolean
vimg_host_sink_finish(VimgHostSink *sink, GError **error)
{
    if (sink->n_head == 0)
        return TRUE;
    if (!sink->file)
        return finish_stream(sink, error);
    return (sink->headed || vimg_host_file_head(sink->file, sink->head, sink->n_head, error)) &&
           vimg_host_file_finish(sink->file, sink->head, sink->n_head, error);
}
