/*
 * stream.c: reading an RBD image, many blocks ahead and without its holes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "stream.h"
#include "../thread.h"
#include "../throw.h"
#include "zero.h"

#define UNIT_MIN ((guint64)1024 * 1024)
#define UNIT_MAX ((guint64)4 * 1024 * 1024)
#define AHEAD 16                            /* blocks in flight */
#define SCANNED 4096                        /* blocks that are looked for at once */
#define SUMMED ((guint64)256 * 1024 * 1024) /* zeros between two looks at the job */
#define NAP (G_USEC_PER_SEC / 2)

/* One piece of the stream: a block, or a run of holes. */
typedef struct {
    VimgCephStream *stream;
    guint64 length;
    VimgBuffer *data; /* NULL: a hole */
    gboolean done;
    int result;
} Piece;

struct _VimgCephStream {
    rbd_image_t image;
    VimgPluginJob *job;
    guint64 unit;
    guint64 end;
    guint64 ahead;         /* next byte to be asked for */
    guint64 scanned;       /* what is there is known up to here */
    guint64 scan_start;    /* multiple of the unit */
    guint8 there[SCANNED]; /* blocks from @scan_start on */
    GQueue pieces;         /* of Piece, in order; only the owner's thread touches the queue */
    guint reading;         /* blocks among them */

    pthread_mutex_t lock; /* guards .done and .result of pieces */
    pthread_cond_t changed;
};

/* ---- opening ---------------------------------------------------------------------------- */

gboolean
vimg_ceph_stream_unit(rbd_image_t image, gsize *out, GError **error)
{
    rbd_image_info_t info;
    int result = rbd_stat(image, &info, sizeof(info));

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    *out = CLAMP(info.obj_size, UNIT_MIN, UNIT_MAX);
    return TRUE;
}

VimgCephStream *
vimg_ceph_stream_new(rbd_image_t image, guint64 start, guint64 end, VimgPluginJob *job,
                     GError **error)
{
    VimgCephStream *stream;
    guint64 size = 0;
    gsize unit = 0;
    int result = rbd_get_size(image, &size);

    if (result < 0) {
        vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
        return NULL;
    }
    if (!vimg_ceph_stream_unit(image, &unit, error))
        return NULL;
    stream = g_new0(VimgCephStream, 1);
    stream->image = image;
    stream->job = job;
    stream->unit = unit;
    stream->end = MIN(end, size);
    stream->ahead = MIN(start, stream->end);
    stream->scanned = stream->ahead;
    g_queue_init(&stream->pieces);
    thread_must(pthread_mutex_init(&stream->lock, NULL));
    cond_init(&stream->changed);
    return stream;
}

static void
free_piece(gpointer data)
{
    Piece *piece = data;

    vimg_buffer_unref(piece->data);
    g_free(piece);
}

void
vimg_ceph_stream_free(VimgCephStream *stream)
{
    GList *link;

    if (!stream)
        return;
    thread_must(pthread_mutex_lock(&stream->lock));
    for (link = stream->pieces.head; link; link = link->next) {
        while (!((Piece *)link->data)->done)
            thread_must(pthread_cond_wait(&stream->changed, &stream->lock));
    }
    thread_must(pthread_mutex_unlock(&stream->lock));
    g_queue_clear_full(&stream->pieces, free_piece);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    g_free(stream);
}

/* ---- what is there ---------------------------------------------------------------------- */

/* Extents of a clone and of its parents come in no order. */
static int
note_extent(uint64_t offset, size_t length, int exists, void *data)
{
    VimgCephStream *stream = data;
    guint64 end = stream->scan_start + SCANNED * stream->unit;
    guint64 at = MAX(offset, stream->scan_start);

    if (!exists || length == 0 || offset > G_MAXINT64 || length > G_MAXINT64)
        return 0;
    end = MIN(end, offset + length);
    for (at -= at % stream->unit; at < end; at += stream->unit)
        stream->there[(at - stream->scan_start) / stream->unit] = TRUE;
    return 0;
}

static gboolean
scan(VimgCephStream *stream, GError **error)
{
    guint64 start = stream->ahead - stream->ahead % stream->unit;
    guint64 length = MIN(SCANNED * stream->unit, stream->end - start);
    int result;

    stream->scan_start = start;
    memset(stream->there, 0, sizeof(stream->there));
    result = rbd_diff_iterate2(stream->image, NULL, start, length, 1, 1, note_extent, stream);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot see what the RBD image holds"));
    stream->scanned = start + length;
    return TRUE;
}

static gboolean
is_there(const VimgCephStream *stream, guint64 at)
{
    return stream->there[(at - stream->scan_start) / stream->unit];
}

/* ---- reading ahead ---------------------------------------------------------------------- */

static void
settle(Piece *piece, int result)
{
    VimgCephStream *stream = piece->stream;

    LOCK_GUARD(&stream->lock);
    piece->result = result;
    piece->done = TRUE;
    pthread_cond_broadcast(&stream->changed);
}

static void
note_read(rbd_completion_t completion, void *data)
{
    ssize_t result = rbd_aio_get_return_value(completion);
    Piece *piece = data;

    rbd_aio_release(completion);
    /* nothing is shorter than it was when the stream was opened */
    if (result >= 0 && (guint64)result != piece->length)
        result = -EIO;
    settle(piece, (int)MIN(result, 0));
}

static void
start_read(Piece *piece, guint64 offset)
{
    rbd_completion_t completion;
    int result = rbd_aio_create_completion(piece, note_read, &completion);

    if (result < 0) {
        settle(piece, result);
        return;
    }
    result = (int)rbd_aio_read2(
        piece->stream->image, offset, piece->length, (char *)piece->data->data, completion,
        LIBRADOS_OP_FLAG_FADVISE_SEQUENTIAL | LIBRADOS_OP_FLAG_FADVISE_NOCACHE);
    if (result < 0) {
        rbd_aio_release(completion);
        settle(piece, result);
    }
}

/* The piece behind what was asked for: the rest of a block, or all holes up to the next one. */
static void
add_piece(VimgCephStream *stream)
{
    guint64 start = stream->ahead;
    gboolean there = is_there(stream, start);
    guint64 end = start - start % stream->unit + stream->unit;
    Piece *piece = g_new0(Piece, 1);

    while (!there && end < stream->scanned && !is_there(stream, end))
        end += stream->unit;
    end = MIN(end, stream->scanned);
    piece->stream = stream;
    piece->length = end - start;
    piece->done = !there;
    stream->ahead = end;
    g_queue_push_tail(&stream->pieces, piece);
    if (!there)
        return;
    stream->reading++;
    piece->data = vimg_buffer_new(piece->length);
    start_read(piece, start);
}

static gboolean
read_ahead(VimgCephStream *stream, GError **error)
{
    while (stream->ahead < stream->end && stream->reading < AHEAD &&
           stream->pieces.length < SCANNED) {
        if (stream->ahead == stream->scanned && !scan(stream, error))
            return FALSE;
        add_piece(stream);
    }
    return TRUE;
}

/* ---- handing out ------------------------------------------------------------------------ */

static gboolean
wait_a_while(VimgCephStream *stream, const Piece *piece)
{
    LOCK_GUARD(&stream->lock);

    if (!piece->done)
        cond_wait_until(&stream->changed, &stream->lock, g_get_monotonic_time() + NAP);
    return piece->done;
}

static gboolean
hand_out(VimgCephStream *stream, Piece *piece, VimgExtent *out)
{
    g_queue_pop_head(&stream->pieces);
    if (piece->data) {
        stream->reading--;
        if (is_zero(piece->data->data, piece->length))
            g_clear_pointer(&piece->data, vimg_buffer_unref);
    }
    out->length = piece->length;
    out->data = g_steal_pointer(&piece->data);
    free_piece(piece);
    return TRUE;
}

gboolean
vimg_ceph_stream_next(VimgCephStream *stream, VimgExtent *out, GError **error)
{
    Piece *piece;

    memset(out, 0, sizeof(*out));
    if (!vimg_ceph_check_job(stream->job, error) || !read_ahead(stream, error))
        return FALSE;
    piece = g_queue_peek_head(&stream->pieces);
    if (!piece)
        return TRUE;
    while (!wait_a_while(stream, piece)) {
        if (!vimg_ceph_check_job(stream->job, error))
            return FALSE;
    }
    if (piece->result < 0)
        return vimg_cluster_throw(error, piece->result, _("cannot read the RBD image"));
    return hand_out(stream, piece, out);
}

gboolean
vimg_ceph_stream_zeros(VimgCephStream *stream, VimgZerosSink sink, gpointer data, GError **error)
{
    while (stream->ahead < stream->end) {
        guint64 start = stream->ahead;
        gboolean there;

        if (!vimg_ceph_check_job(stream->job, error) ||
            (start == stream->scanned && !scan(stream, error)))
            return FALSE;
        there = is_there(stream, start);
        while (stream->ahead < stream->scanned && is_there(stream, stream->ahead) == there)
            stream->ahead = MIN(stream->ahead + stream->unit, stream->scanned);
        if (!there && !sink(start, stream->ahead - start, data))
            break;
    }
    return TRUE;
}

gboolean
vimg_ceph_stream_sum(VimgCephDigest *digest, const guint8 *data, guint64 size, VimgPluginJob *job,
                     GError **error)
{
    while (size > 0) {
        guint64 n = data || !vimg_ceph_digest_is_plain(digest) ? size : MIN(size, SUMMED);

        if (!vimg_ceph_check_job(job, error))
            return FALSE;
        vimg_ceph_digest_add(digest, data, n);
        size -= n;
    }
    return TRUE;
}

gboolean
vimg_ceph_stream_digest(rbd_image_t image, guint64 length, VimgCephDigest *digest,
                        VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCephStream) stream = vimg_ceph_stream_new(image, 0, length, job, error);

    while (stream) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        vimg_ceph_progress(job, "checking", vimg_ceph_digest_at(digest), length);
        if (!vimg_ceph_stream_next(stream, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        if (!vimg_ceph_stream_sum(digest, data ? data->data + extent.offset : NULL, extent.length,
                                  job, error))
            return FALSE;
    }
    return FALSE;
}

/* ---- sizes ------------------------------------------------------------------------------ */

static int
add_extent(uint64_t offset, size_t length, int exists, void *data)
{
    guint64 *sum = data;

    *sum += exists ? length : 0;
    return 0;
}

gboolean
vimg_ceph_stream_used(rbd_image_t image, guint64 *out, GError **error)
{
    guint64 size = 0;
    int result = rbd_get_size(image, &size);

    *out = 0;
    if (result == 0)
        result = rbd_diff_iterate2(image, NULL, 0, size, 0, 1, add_extent, out);
    *out = MIN(*out, size);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot see what the RBD image holds"));
}
