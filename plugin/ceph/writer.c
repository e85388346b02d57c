/*
 * writer.c: one upload
 *
 * The staged RBD image is open as long as the upload lives, which makes it a watcher: others see
 * that it lives, and leave the image alone.  Content goes out in aligned blocks; how far it is
 * durable is noted in the image now and then, for an upload that goes on after a crash.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "convert.h"
#include "image.h"
#include "publish.h"
#include "../throw.h"
#include "watchers.h"
#include "writer-private.h"
#include "zero.h"

#define NOTE_EVERY ((guint64)256 * 1024 * 1024)
#define GROW_MIN ((guint64)1024 * 1024 * 1024)

static void
drop_old(VimgCephWriter *writer)
{
    g_clear_pointer(&writer->old, vimg_ceph_stream_free);
    g_clear_pointer(&writer->piece.data, vimg_buffer_unref);
    memset(&writer->piece, 0, sizeof(writer->piece));
}

static void
writer_free(VimgCephWriter *writer)
{
    g_clear_pointer(&writer->piece.data, vimg_buffer_unref);
    if (writer->image)
        vimg_ceph_closing(writer->cluster, writer->image, writer->flow, writer->old);
    vimg_ceph_block_free(writer->block);
    vimg_ceph_digest_free(writer->digest);
    vimg_ceph_record_free(writer->record);
    vimg_cluster_unref(writer->cluster);
    g_free(writer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephWriter, writer_free)

/* ---- opening ---------------------------------------------------------------------------- */

static gboolean
find_staged(VimgCephWriter *writer, const char *uuid, GError **error)
{
    g_clear_pointer(&writer->record, vimg_ceph_record_free);
    writer->record = vimg_ceph_record_find(writer->store, uuid, error);
    if (!writer->record || !vimg_ceph_image_check_ours(writer->record, error))
        return FALSE;
    if (!vimg_ceph_record_is_staged(writer->record))
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the content of an active image never changes"));
    return !writer->record->info.reason ||
           throw_error(error, VIMG_ERROR_OPERATION_INVALID, "%s", writer->record->info.reason);
}

/* Only by its staged name: a host that published it meanwhile has renamed it. */
static gboolean
open_image(VimgCephWriter *writer, const char *uuid, GError **error)
{
    int result;

    if (!find_staged(writer, uuid, error) ||
        !vimg_ceph_watchers_check(writer->cluster, writer->record->id, error))
        return FALSE;
    result = rbd_open(writer->cluster->io, writer->record->rbd, &writer->image, NULL);
    if (result < 0) {
        writer->image = NULL;
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    }
    /* only now: until then another host may have gone on with it */
    return vimg_ceph_watchers_alone(writer->image, error) && find_staged(writer, uuid, error);
}

gboolean
vimg_ceph_writer_resize(VimgCephWriter *writer, guint64 size, GError **error)
{
    if (!vimg_ceph_image_cut(writer->image, size, writer->job, error))
        return FALSE;
    writer->size = size;
    return TRUE;
}

/* Without a map of its objects RBD tries to remove each one that an image of that size could have.
 */
static gboolean
cut_off(VimgCephWriter *writer, GError **error)
{
    int result;

    if (writer->record->begun)
        return vimg_ceph_writer_resize(writer, writer->record->info.position, error);
    result = rbd_get_size(writer->image, &writer->size);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    writer->record->begun = TRUE;
    return vimg_ceph_record_save(writer->image, writer->record, error);
}

/* What was written and not noted goes: zeros are not written, so they must be there. */
static gboolean
prepare(VimgCephWriter *writer, GError **error)
{
    const VimgPluginImage *info = &writer->record->info;
    guint64 size = MAX(info->position, info->capacity);

    writer->durable = info->position;
    writer->stored = info->allocation;
    writer->noted = info->position;
    return vimg_ceph_stream_unit(writer->image, &writer->unit, error) &&
           vimg_ceph_publish_undo(writer->image, error) && cut_off(writer, error) &&
           (writer->size >= size || vimg_ceph_writer_resize(writer, size, error));
}

/*
 * Of what will be stored; or, if that will be made of it, of what comes, for whoever wants to know
 * later what came.
 */
static void
choose_digest(VimgCephWriter *writer, const char *format)
{
    gboolean plain = vimg_ceph_convert_wanted(format);

    if (writer->digest && vimg_ceph_digest_is_plain(writer->digest) == plain)
        return;
    g_clear_pointer(&writer->digest, vimg_ceph_digest_free);
    if (!plain)
        writer->digest = vimg_ceph_digest_new();
    else if (!writer->record->info.checksum)
        writer->digest = vimg_ceph_digest_new_plain();
}

VimgCephWriter *
vimg_ceph_writer_open(VimgCephStore *store, const char *uuid, const VimgWriteRequest *request,
                      VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCephWriter) writer = g_new0(VimgCephWriter, 1);

    writer->store = store;
    writer->job = job;
    writer->at = request->offset;
    writer->cluster = vimg_ceph_store_cluster(store, error);
    if (!writer->cluster || !open_image(writer, uuid, error) ||
        !(writer->record->info.position > 0 ? vimg_cluster_has_room : vimg_cluster_admit)(
            writer->cluster, request->reserve, error))
        return NULL;
    if (request->offset > writer->record->info.position) {
        throw_error(error, VIMG_ERROR_INVALID_ARG,
                    _("offset %1$llu lies behind the %2$llu bytes stored so far"),
                    ULL(request->offset), ULL(writer->record->info.position));
        return NULL;
    }
    if (!prepare(writer, error))
        return NULL;
    writer->flow = vimg_ceph_flow_new(writer->image, job);
    choose_digest(writer, writer->record->info.format);
    return g_steal_pointer(&writer);
}

void
vimg_ceph_writer_format(VimgCephWriter *writer, const char *format)
{
    choose_digest(writer, format);
}

/* ---- what is stored --------------------------------------------------------------------- */

/* At least one byte of what is stored at @offset is in .piece. */
static gboolean
fetch_old(VimgCephWriter *writer, guint64 offset, GError **error)
{
    if (writer->old_at != offset)
        drop_old(writer);
    writer->old_at = offset;
    if (!writer->old)
        writer->old =
            vimg_ceph_stream_new(writer->image, offset, writer->durable, writer->job, error);
    if (!writer->old)
        return FALSE;
    if (writer->piece.length > 0)
        return TRUE;
    g_clear_pointer(&writer->piece.data, vimg_buffer_unref);
    if (!vimg_ceph_stream_next(writer->old, &writer->piece, error))
        return FALSE;
    return writer->piece.length > 0 ||
           throw_error(error, VIMG_ERROR_DAMAGED,
                       _("the RBD image is shorter than what was uploaded"));
}

static void
skip_old(VimgCephWriter *writer, guint64 size)
{
    writer->old_at += size;
    writer->piece.length -= size;
    writer->piece.offset += writer->piece.data ? size : 0;
}

/* The content is summed up as long as it passes in one piece, from its first byte on. */
static gboolean
sum_up(VimgCephWriter *writer, guint64 offset, const guint8 *data, guint64 size, GError **error)
{
    return !writer->digest || vimg_ceph_digest_at(writer->digest) != offset ||
           vimg_ceph_stream_sum(writer->digest, data, size, writer->job, error);
}

gboolean
vimg_ceph_writer_read(VimgCephWriter *writer, guint64 offset, gsize size, VimgExtent *out,
                      GError **error)
{
    if (offset >= writer->durable)
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("offset %1$llu lies behind the %2$llu bytes stored so far"),
                           ULL(offset), ULL(writer->durable));
    if (!fetch_old(writer, offset, error))
        return FALSE;
    out->length = MIN(size, writer->piece.length);
    out->data = writer->piece.data ? vimg_buffer_ref(writer->piece.data) : NULL;
    out->offset = writer->piece.offset;
    skip_old(writer, out->length);
    if (sum_up(writer, offset, out->data ? out->data->data + out->offset : NULL, out->length,
               error))
        return TRUE;
    g_clear_pointer(&out->data, vimg_buffer_unref);
    return FALSE;
}

/* The first of @n bytes that differs, NULL standing for zeros; @n if none does. */
static guint64
first_difference(const guint8 *a, const guint8 *b, guint64 n)
{
    guint64 i = 0;

    if ((!a && !b) || (a && b && memcmp(a, b, n) == 0))
        return n;
    while (i < n && (a ? a[i] : 0) == (b ? b[i] : 0))
        i++;
    return i;
}

/* What was uploaded before must come again as it was. */
static gboolean
compare(VimgCephWriter *writer, const guint8 *data, guint64 size, GError **error)
{
    while (size > 0) {
        const guint8 *stored;
        guint64 same;
        guint64 n;

        if (!fetch_old(writer, writer->at, error))
            return FALSE;
        n = MIN(size, writer->piece.length);
        stored = writer->piece.data ? writer->piece.data->data + writer->piece.offset : NULL;
        same = first_difference(data, stored, n);
        if (same < n)
            return throw_error(
                error, VIMG_ERROR_OPERATION_INVALID,
                _("the data differs at offset %llu from what was uploaded before; wipe the image to start afresh"),
                ULL(writer->at + same));
        skip_old(writer, n);
        writer->at += n;
        data = data ? data + n : NULL;
        size -= n;
    }
    return TRUE;
}

/* ---- writing ---------------------------------------------------------------------------- */

static gboolean
note_position(VimgCephWriter *writer, guint64 position, GError **error)
{
    if (position <= writer->noted)
        return TRUE;
    if (!vimg_ceph_watchers_alone(writer->image, error))
        return FALSE;
    writer->record->info.position = writer->record->info.physical = position;
    writer->record->info.allocation = writer->stored + vimg_ceph_flow_sent(writer->flow);
    if (!vimg_ceph_record_save(writer->image, writer->record, error))
        return FALSE;
    __atomic_store_n(&writer->noted, position, __ATOMIC_RELAXED);
    return TRUE;
}

static guint64
durable_end(VimgCephWriter *writer)
{
    return vimg_ceph_flow_durable(
        writer->flow, writer->block ? vimg_ceph_block_offset(writer->block) : writer->at);
}

/* The OSDs of a full cluster do not refuse writes: they let them wait until there is room. */
static gboolean
explain(VimgCephWriter *writer, GError *why, GError **error)
{
    g_autoptr(GError) full = NULL;

    if (vimg_ceph_is_lost(why) && !vimg_cluster_has_room(writer->cluster, 0, &full)) {
        g_error_free(why);
        why = g_steal_pointer(&full);
    }
    g_propagate_error(error, why);
    return FALSE;
}

/* A block that was not taken stays where it is: what is durable ends before it. */
static gboolean
send_block(VimgCephWriter *writer, GError **error)
{
    GError *local = NULL;
    guint64 durable;

    if (writer->block && !vimg_ceph_flow_push(writer->flow, &writer->block, &local))
        return explain(writer, local, error);
    durable = durable_end(writer);
    if (durable < writer->noted + NOTE_EVERY)
        return TRUE;
    return note_position(writer, durable, error) &&
           vimg_cluster_has_room(writer->cluster, 0, error);
}

static gboolean
make_room(VimgCephWriter *writer, guint64 end, GError **error)
{
    if (end <= writer->size)
        return TRUE;
    if (end > G_MAXINT64)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("an image cannot be that long"));
    return vimg_ceph_writer_resize(writer, MAX(end, writer->size + MAX(writer->size / 4, GROW_MIN)),
                                   error);
}

static gboolean
store(VimgCephWriter *writer, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    while (size > 0) {
        guint64 n =
            vimg_ceph_block_fill(&writer->block, writer->unit, writer->at, buffer, offset, size);

        writer->at += n;
        offset += n;
        size -= n;
        if ((writer->at % writer->unit == 0 || !writer->block) && !send_block(writer, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_ceph_writer_write(VimgCephWriter *writer, VimgBuffer *buffer, gsize offset, guint64 size,
                       GError **error)
{
    guint64 known = writer->at < writer->durable ? MIN(size, writer->durable - writer->at) : 0;
    const guint8 *data = buffer ? buffer->data + offset : NULL;

    if (!vimg_ceph_check_job(writer->job, error))
        return FALSE;
    if (data && is_zero(data, size))
        data = NULL;
    if (!sum_up(writer, writer->at, data, size, error))
        return FALSE;
    if (known > 0 && !compare(writer, data, known, error))
        return FALSE;
    if (writer->at >= writer->durable)
        drop_old(writer);
    return make_room(writer, writer->at + (size - known), error) &&
           store(writer, data ? buffer : NULL, offset + known, size - known, error);
}

void
vimg_ceph_writer_stat(VimgCephWriter *writer, guint64 *allocation, guint64 *position)
{
    *allocation = writer->stored + vimg_ceph_flow_sent(writer->flow);
    *position = __atomic_load_n(&writer->noted, __ATOMIC_RELAXED);
}

/* ---- the end ---------------------------------------------------------------------------- */

static gboolean
settle(VimgCephWriter *writer, GError **error)
{
    GError *local = NULL;
    int result;

    drop_old(writer);
    if (!send_block(writer, error))
        return FALSE;
    if (!vimg_ceph_flow_drain(writer->flow, &local))
        return explain(writer, local, error);
    result = rbd_flush(writer->image);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot write to the RBD image"));
    return note_position(writer, writer->at, error);
}

gboolean
vimg_ceph_writer_finish(VimgCephWriter *owned, gboolean seal, const VimgPluginImage *image,
                        VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgCephWriter) writer = owned;

    if (!settle(writer, error))
        return FALSE;
    if (seal)
        return vimg_ceph_writer_seal(writer, image, out, error);
    vimg_ceph_record_give(writer->record, out);
    return TRUE;
}

/* In a cluster that was lost nothing is noted: each attempt would wait. */
void
vimg_ceph_writer_abort(VimgCephWriter *owned)
{
    g_autoptr(VimgCephWriter) writer = owned;

    if (!vimg_ceph_flow_has_failed(writer->flow))
        note_position(writer, durable_end(writer), NULL);
}
