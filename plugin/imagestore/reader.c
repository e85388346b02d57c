/*
 * reader.c: one download
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crew.h"
#include "image.h"
#include "reader.h"
#include "slice.h"
#include "slicer.h"
#include "../thread.h"
#include "../throw.h"

#define AHEAD_MIN ((guint64)16 * 1024 * 1024)
#define AHEAD_FAR ((guint64)32 * 1024 * 1024)
#define THREADS_FAR 24
#define BATCH_FAR ((guint64)1024 * 1024) /* plain bytes of slices that are read together */
#define BATCH_MAX 64                     /* slices */

/* One piece of the stream: a slice, or a run of zero slices. */
typedef struct {
    VimgSliceReader *reader;
    gsize slice;
    guint64 start; /* in the image */
    guint64 end;
    gboolean hole;
    gboolean done;
    VimgBuffer *plain;
    GError *error;
} Piece;

struct _VimgSliceReader {
    VimgSliceStore *store;
    VimgTransport *transport; /* its own, or one for the network over which data passes */
    VimgPluginJob *job;
    VimgLease *lease; /* NULL on a read-only or full store */
    const VimgIndex *index;
    VimgIndex *own_index; /* NULL: another's */
    char *generation;     /* of the image; NULL: whoever opened it knows */
    VimgLane *lane;
    guint64 position; /* next byte to hand out */
    guint64 end;
    gsize next; /* next slice to read ahead */
    guint64 ahead;
    guint64 ahead_max;
    guint64 batch_max; /* bytes from which on a batch is full; 1: of one slice */
    GQueue pieces;     /* of Piece, in order; only the owner's thread touches the queue */

    pthread_mutex_t lock; /* guards done, plain and error of pieces */
    pthread_cond_t changed;
};

static void
piece_free(Piece *piece)
{
    vimg_buffer_unref(piece->plain);
    g_clear_error(&piece->error);
    g_free(piece);
}

/* Pieces that are read together. */
typedef struct {
    VimgSliceReader *reader;
    guint n;
    guint64 bytes;
    Piece *pieces[BATCH_MAX];
} Batch;

static void
expand(VimgSliceTools *tools, Piece *piece, VimgSliceFetch *fetch)
{
    VimgSliceReader *reader = piece->reader;
    GError *error = NULL;
    VimgBuffer *plain = vimg_slice_open(tools, fetch, &error);

    /* the last slice of an image may be zeros without being a zero slice: a hole as well */
    if (plain && vimg_is_zero(plain->data, plain->size))
        g_clear_pointer(&plain, vimg_buffer_unref);
    LOCK_GUARD(&reader->lock);

    piece->plain = plain;
    piece->error = error;
    piece->done = TRUE;
    pthread_cond_broadcast(&reader->changed);
}

static void
read_batch(VimgSliceTools *tools, gpointer data)
{
    g_autofree Batch *batch = data;
    const VimgSliceReader *reader = batch->reader;
    VimgSliceFetch fetches[BATCH_MAX];
    guint i;

    for (i = 0; i < batch->n; i++) {
        const Piece *piece = batch->pieces[i];

        fetches[i] = (VimgSliceFetch){.id = vimg_index_id(reader->index, piece->slice),
                                      .length = piece->end - piece->start};
    }
    vimg_slice_fetch(reader->transport, fetches, batch->n);
    for (i = 0; i < batch->n; i++)
        expand(tools, batch->pieces[i], &fetches[i]);
}

/* ---- opening ---------------------------------------------------------------------------- */

VimgIndex *
vimg_slice_reader_index(VimgSliceStore *store, const char *uuid, VimgManifest **out_manifest,
                        GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    VimgIndex *index;

    if (!vimg_image_load_kept(store, uuid, &image, error))
        return NULL;
    if (!image.published) {
        throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image is not complete yet"));
        return NULL;
    }
    index = vimg_image_index(store, &image, error);
    if (index && out_manifest)
        *out_manifest = g_steal_pointer(&image.manifest);
    return index;
}

/*
 * What cannot be written is read without a lease: at worst a collector elsewhere takes away a slice
 * of an image deleted meanwhile, and the download fails.
 */
gboolean
vimg_slice_reader_lease(VimgSliceStore *store, VimgLease **out, GError **error)
{
    g_autoptr(GError) local = NULL;
    VimgSpace space;

    if (store->read_only || (*out = vimg_lease_new(store, &local)))
        return TRUE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SPACE) ||
        (vimg_transport_space(store->transport, &space) == 0 && space.read_only))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

VimgSliceReader *
vimg_slice_reader_new(VimgSliceStore *store, VimgTransport *transport, const VimgIndex *index,
                      guint64 offset, guint64 length, VimgPluginJob *job, GError **error)
{
    gboolean remote = transport->remote;
    guint64 total = vimg_index_length(index);
    guint64 start = MIN(offset, total);
    guint64 end = length && length < total - start ? start + length : total;
    guint threads = (guint)CLAMP((end - start) / BATCH_FAR, 1, THREADS_FAR);
    VimgLane *lane = vimg_lane_new(read_batch, remote ? threads : 0, error);
    VimgSliceReader *reader;

    if (!lane)
        return NULL;
    reader = g_new0(VimgSliceReader, 1);
    reader->store = store;
    reader->transport = transport;
    reader->job = job;
    vimg_transport_hold_job(job);
    reader->index = index;
    reader->lane = lane;
    reader->position = start;
    reader->end = end;
    reader->next = vimg_index_find(reader->index, reader->position);
    reader->ahead_max =
        MAX(remote ? AHEAD_FAR : AHEAD_MIN, 2 * vimg_crew_size() * store->slice_size);
    reader->batch_max = remote ? BATCH_FAR : 1;
    g_queue_init(&reader->pieces);
    thread_must(pthread_mutex_init(&reader->lock, NULL));
    cond_init(&reader->changed);
    return reader;
}

VimgSliceReader *
vimg_slice_reader_open(VimgSliceStore *store, const char *uuid, guint64 offset, guint64 length,
                       VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgLease) lease = NULL;
    g_autoptr(VimgIndex) index = NULL;
    g_autoptr(VimgManifest) manifest = NULL;
    VIMG_TRANSPORT_PATIENCE(job);
    VimgSliceReader *reader;

    if (!vimg_slice_reader_lease(store, &lease, error))
        return NULL;
    index = vimg_slice_reader_index(store, uuid, &manifest, error);
    reader = index
                 ? vimg_slice_reader_new(store, store->transport, index, offset, length, job, error)
                 : NULL;
    if (!reader)
        return NULL;
    reader->lease = g_steal_pointer(&lease);
    reader->own_index = g_steal_pointer(&index);
    reader->generation = g_strdup(manifest->index_digest);
    return reader;
}

const char *
vimg_slice_reader_generation(const VimgSliceReader *reader)
{
    return reader->generation;
}

void
vimg_slice_reader_close(VimgSliceReader *reader)
{
    if (!reader)
        return;
    vimg_lane_free(reader->lane);
    g_queue_clear_full(&reader->pieces, (GDestroyNotify)piece_free);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
    vimg_index_free(reader->own_index);
    g_free(reader->generation);
    vimg_lease_free(reader->lease);
    vimg_transport_drop_job(reader->job);
    g_free(reader);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* The next piece behind what was read ahead. */
static Piece *
next_piece(VimgSliceReader *reader)
{
    Piece *piece = g_new0(Piece, 1);
    gsize n = vimg_index_count(reader->index);

    piece->reader = reader;
    piece->slice = reader->next;
    piece->start = vimg_index_start(reader->index, reader->next);
    piece->hole = vimg_index_is_zero(reader->index, reader->next);
    do {
        piece->end = vimg_index_end(reader->index, reader->next++);
    } while (piece->hole && reader->next < n && vimg_index_is_zero(reader->index, reader->next));
    piece->done = piece->hole;
    return piece;
}

static void
add_to_batch(VimgSliceReader *reader, Batch **batch, Piece *piece)
{
    if (!*batch) {
        *batch = g_new0(Batch, 1);
        (*batch)->reader = reader;
    }
    (*batch)->pieces[(*batch)->n++] = piece;
    (*batch)->bytes += piece->end - piece->start;
    if ((*batch)->bytes >= reader->batch_max || (*batch)->n == BATCH_MAX)
        vimg_lane_push(reader->lane, g_steal_pointer(batch));
}

/* Nothing is begun until there is room for a batch. */
static void
read_ahead(VimgSliceReader *reader)
{
    gsize n = vimg_index_count(reader->index);
    Batch *batch = NULL;

    if (reader->pieces.length > 0 && reader->ahead + reader->batch_max > reader->ahead_max)
        return;
    while (reader->next < n && vimg_index_start(reader->index, reader->next) < reader->end &&
           (reader->pieces.length == 0 || reader->ahead < reader->ahead_max)) {
        Piece *piece = next_piece(reader);

        g_queue_push_tail(&reader->pieces, piece);
        if (!piece->hole) {
            reader->ahead += piece->end - piece->start;
            add_to_batch(reader, &batch, piece);
        }
    }
    if (batch)
        vimg_lane_push(reader->lane, batch);
}

static void
wait_for(VimgSliceReader *reader, const Piece *piece)
{
    LOCK_GUARD(&reader->lock);

    while (!piece->done)
        thread_must(pthread_cond_wait(&reader->changed, &reader->lock));
}

gboolean
vimg_slice_reader_next(VimgSliceReader *reader, VimgExtent *out, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(reader->job);
    Piece *piece;

    memset(out, 0, sizeof(*out));
    if (!vimg_slice_store_check_job(reader->job, error))
        return FALSE;
    if (reader->position >= reader->end)
        return TRUE;
    read_ahead(reader);
    piece = g_queue_peek_head(&reader->pieces);
    wait_for(reader, piece);
    if (piece->error) {
        if (error)
            *error = g_error_copy(piece->error);
        return FALSE;
    }
    out->length = MIN(piece->end, reader->end) - reader->position;
    out->data = g_steal_pointer(&piece->plain);
    out->offset = out->data ? reader->position - piece->start : 0;
    reader->position += out->length;
    g_queue_pop_head(&reader->pieces);
    if (!piece->hole)
        reader->ahead -= piece->end - piece->start;
    piece_free(piece);
    /* the crew works on while the caller sends this piece */
    read_ahead(reader);
    return TRUE;
}

VimgSliceStore *
vimg_slice_reader_store(const VimgSliceReader *reader)
{
    return reader->store;
}

/* ---- zeros ------------------------------------------------------------------------------ */

gboolean
vimg_slice_reader_zeros(VimgSliceStore *store, const char *uuid, VimgZerosSink sink, gpointer data,
                        GError **error)
{
    g_autoptr(VimgLease) lease = NULL;
    g_autoptr(VimgIndex) index = NULL;
    gsize n, i, first;

    if (!vimg_slice_reader_lease(store, &lease, error) ||
        !(index = vimg_slice_reader_index(store, uuid, NULL, error)))
        return FALSE;
    n = vimg_index_count(index);
    for (i = 0; i < n; i++) {
        guint64 start = vimg_index_start(index, i);

        for (first = i; i < n && vimg_index_is_zero(index, i); i++)
            ;
        if (i > first && !sink(start, vimg_index_end(index, i - 1) - start, data))
            break;
    }
    return TRUE;
}
