/*
 * file-reader.c: the content of a plain file beside the store
 *
 * Pieces are read ahead, several at once, since each may take a way to a server and back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "adopt.h"
#include "crew.h"
#include "../thread.h"
#include "../throw.h"

#define PIECE ((gsize)1024 * 1024)
#define PIECES 16 /* at once; a look at the first bytes of a file gets by with one */

/* Consecutive pieces that are read together. */
typedef struct {
    VimgFileReader *reader;
    VimgOp ops[PIECES];
    guint n;
    guint next; /* to hand out */
    gboolean done;
} Batch;

struct _VimgFileReader {
    VimgSliceStore *store;
    VimgPluginJob *job;
    char *origin;
    const char *name; /* in it */
    char *path;       /* for people */
    VimgFileInfo info;
    guint64 at;
    guint64 planned; /* up to there it was read ahead */
    guint width;     /* pieces of the next batch */
    VimgLane *lane;
    Batch *present; /* NULL: none */
    Batch *ahead;   /* the same */

    pthread_mutex_t lock; /* guards done of batches */
    pthread_cond_t changed;
};

/* The part of an origin that names the file; NULL if it is none of ours. */
static const char *
name_of(const char *origin)
{
    const char *path = strstr(origin, " path=");
    const char *name = path ? path + strlen(" path=") : NULL;

    return name && name[0] != '\0' && name[0] != '.' && !strchr(name, '/') ? name : NULL;
}

static gboolean
throw_changed(const VimgFileReader *reader, GError **error)
{
    return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("file '%s' has changed"),
                       reader->path);
}

/* More than its origin says, as far as the storage tells. */
static gboolean
is_same(const VimgFileInfo *a, const VimgFileInfo *b)
{
    return a->type == b->type && a->size == b->size && a->mtime == b->mtime && a->inode == b->inode;
}

/* ---- reading ahead ---------------------------------------------------------------------- */

static void
batch_free(Batch *batch)
{
    guint i;

    for (i = 0; batch && i < batch->n; i++)
        vimg_buffer_unref(batch->ops[i].content);
    g_free(batch);
}

static void
read_batch(VimgSliceTools *tools, gpointer data)
{
    Batch *batch = data;
    VimgFileReader *reader = batch->reader;

    vimg_transport_run(reader->store->transport, batch->ops, batch->n);
    LOCK_GUARD(&reader->lock);

    batch->done = TRUE;
    pthread_cond_broadcast(&reader->changed);
}

/* Begins to read what follows; NULL at the end of the file. */
static Batch *
begin(VimgFileReader *reader)
{
    guint64 at = MAX(reader->planned, reader->at);
    Batch *batch;

    if (at >= reader->info.size)
        return NULL;
    batch = g_new0(Batch, 1);
    batch->reader = reader;
    while (batch->n < reader->width && at < reader->info.size) {
        gsize size = MIN(PIECE, reader->info.size - at);

        batch->ops[batch->n++] =
            (VimgOp){.kind = VIMG_OP_READ_AT, .path = reader->name, .offset = at, .size = size};
        at += size;
    }
    reader->planned = at;
    reader->width = MIN(2 * reader->width, PIECES);
    vimg_lane_push(reader->lane, batch);
    return batch;
}

static void
wait_for(VimgFileReader *reader, const Batch *batch)
{
    LOCK_GUARD(&reader->lock);

    while (!batch->done)
        thread_must(pthread_cond_wait(&reader->changed, &reader->lock));
}

/* The piece that holds the next byte, as it was read. */
static VimgOp *
find_piece(VimgFileReader *reader)
{
    for (;;) {
        Batch *batch = reader->present;

        /* a hole may have been longer than what was read ahead */
        while (batch && batch->next < batch->n &&
               batch->ops[batch->next].offset + batch->ops[batch->next].size <= reader->at)
            batch->next++;
        if (batch && batch->next < batch->n)
            return &batch->ops[batch->next];
        g_clear_pointer(&reader->present, batch_free);
        reader->present = reader->ahead ? g_steal_pointer(&reader->ahead) : begin(reader);
        wait_for(reader, reader->present);
        if (batch) /* whoever looks at the first bytes wants no more */
            reader->ahead = begin(reader);
    }
}

/* What of a piece was not read with it, for a hole came first. */
static void
read_rest(VimgFileReader *reader, VimgOp *piece)
{
    guint64 end = piece->offset + piece->size;

    g_clear_pointer(&piece->content, vimg_buffer_unref);
    *piece = (VimgOp){.kind = VIMG_OP_READ_AT,
                      .path = reader->name,
                      .offset = reader->at,
                      .size = end - reader->at};
    vimg_transport_run(reader->store->transport, piece, 1);
}

/* ---- the file --------------------------------------------------------------------------- */

void
vimg_file_reader_close(VimgFileReader *reader)
{
    if (!reader)
        return;
    vimg_lane_free(reader->lane);
    batch_free(reader->present);
    batch_free(reader->ahead);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
    g_free(reader->origin);
    g_free(reader->path);
    vimg_transport_drop_job(reader->job);
    g_free(reader);
}

/* A symbolic link is none, wherever it leads. */
static gboolean
look(VimgFileReader *reader, GError **error)
{
    g_autofree char *found = NULL;
    int result = vimg_transport_stat(reader->store->transport, reader->name, &reader->info);

    if (result != 0)
        return throw_result(error, result, _("cannot open path '%s'"), reader->path);
    found = vimg_adopt_origin(reader->name, &reader->info);
    if (reader->info.type != VIMG_FILE_REGULAR || strcmp(found, reader->origin) != 0)
        return throw_changed(reader, error);
    return TRUE;
}

VimgFileReader *
vimg_file_reader_open(VimgSliceStore *store, const char *origin, guint64 offset, VimgPluginJob *job,
                      GError **error)
{
    g_autoptr(VimgFileReader) reader = g_new0(VimgFileReader, 1);
    VIMG_TRANSPORT_PATIENCE(job);

    thread_must(pthread_mutex_init(&reader->lock, NULL));
    cond_init(&reader->changed);
    reader->store = store;
    reader->job = job;
    vimg_transport_hold_job(job);
    reader->width = 1;
    reader->origin = g_strdup(origin);
    reader->name = name_of(reader->origin);
    if (!reader->name) {
        throw_error(error, VIMG_ERROR_INVALID_ARG, _("'%s' names no file"), origin);
        return NULL;
    }
    reader->path =
        store->where ? g_build_filename(store->where, reader->name, NULL) : g_strdup(reader->name);
    if (!look(reader, error) ||
        !(reader->lane = vimg_lane_new(read_batch, store->transport->remote ? 1 : 0, error)))
        return NULL;
    reader->at = MIN(offset, reader->info.size);
    return g_steal_pointer(&reader);
}

static gboolean
check_unchanged(const VimgFileReader *reader, GError **error)
{
    VimgFileInfo info;
    int result = vimg_transport_stat(reader->store->transport, reader->name, &info);

    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot read '%s'"), reader->path);
    return (result == 0 && is_same(&info, &reader->info)) || throw_changed(reader, error);
}

static gboolean
take(VimgFileReader *reader, VimgOp *piece, VimgExtent *out, GError **error)
{
    if (piece->result != 0 && piece->result != ENOENT)
        return throw_result(error, piece->result, _("cannot read '%s'"), reader->path);
    if (piece->result != 0 || !is_same(&piece->info, &reader->info))
        return throw_changed(reader, error);
    out->length = MIN(piece->hole, reader->info.size - reader->at);
    if (out->length > 0)
        return TRUE;
    if (piece->content->size == 0)
        return throw_changed(reader, error);
    out->length = MIN(piece->content->size, reader->info.size - reader->at);
    out->data = g_steal_pointer(&piece->content);
    return TRUE;
}

gboolean
vimg_file_reader_next(VimgFileReader *reader, VimgExtent *out, GError **error)
{
    VimgOp *piece;
    VIMG_TRANSPORT_PATIENCE(reader->job);

    memset(out, 0, sizeof(*out));
    if (!vimg_slice_store_check_job(reader->job, error))
        return FALSE;
    if (reader->at == reader->info.size)
        return check_unchanged(reader, error);
    piece = find_piece(reader);
    if (piece->offset != reader->at)
        read_rest(reader, piece);
    if (!take(reader, piece, out, error))
        return FALSE;
    reader->at += out->length;
    return TRUE;
}

VimgSliceStore *
vimg_file_reader_store(const VimgFileReader *reader)
{
    return reader->store;
}
