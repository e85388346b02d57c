/*
 * reader.c: one download
 *
 * An image of ours is read from its snapshot, one of other tools as it is at the moment: what they
 * write to it meanwhile is theirs to know.  A reader is nothing that others see, so at the end it
 * looks whether the image is still there: of one that was purged the rest would read as zeros.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "listing.h"
#include "promise.h"
#include "reader.h"
#include "stream.h"
#include "../throw.h"
#include "trash.h"

struct _VimgCephReader {
    VimgCluster *cluster;
    VimgCephRecord *record;
    rbd_image_t image; /* NULL: not open */
    VimgCephStream *stream;
};

void
vimg_ceph_reader_close(VimgCephReader *reader)
{
    if (!reader)
        return;
    if (reader->image)
        vimg_ceph_closing_read(reader->cluster, reader->image, reader->stream);
    vimg_ceph_record_free(reader->record);
    vimg_cluster_unref(reader->cluster);
    g_free(reader);
}

/* An image in RBD's first format has no id. */
static int
open_image(VimgCluster *cluster, const VimgCephRecord *record, const char *snapshot,
           rbd_image_t *out)
{
    if (!*record->id)
        return rbd_open_read_only(cluster->io, record->rbd, out, snapshot);
    return rbd_open_by_id_read_only(cluster->io, record->id, out, snapshot);
}

static gboolean
open_content(VimgCephReader *reader, GError **error)
{
    const VimgCephRecord *record = reader->record;
    int result = -ENOENT;

    if (record->ours)
        result = open_image(reader->cluster, record, VIMG_CEPH_SNAPSHOT, &reader->image);
    /* without a snapshot it was not made, or not left, by us */
    if (result == -ENOENT)
        result = open_image(reader->cluster, record, NULL, &reader->image);
    if (result == 0)
        return TRUE;
    reader->image = NULL;
    return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
}

/* One in the trash too, if it is promised to somebody on this host. */
static VimgCephRecord *
find_record(VimgCephStore *store, const char *uuid, GError **error)
{
    GError *local = NULL;
    VimgCephRecord *record = vimg_ceph_record_find(store, uuid, &local);

    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL) && vimg_ceph_is_kept(store, uuid)) {
        g_clear_error(&local);
        return vimg_ceph_trash_find(store, uuid, error);
    }
    if (local)
        g_propagate_error(error, local);
    return record;
}

VimgCephReader *
vimg_ceph_reader_open(VimgCephStore *store, const char *uuid, guint64 offset, guint64 length,
                      VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCephReader) reader = g_new0(VimgCephReader, 1);
    guint64 end = length && length < G_MAXUINT64 - offset ? offset + length : G_MAXUINT64;

    reader->cluster = vimg_ceph_store_cluster(store, error);
    if (!reader->cluster || !(reader->record = find_record(store, uuid, error)))
        return NULL;
    if (vimg_ceph_record_is_staged(reader->record)) {
        throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image is not complete yet"));
        return NULL;
    }
    if (!open_content(reader, error) ||
        !(reader->stream = vimg_ceph_stream_new(reader->image, offset, end, job, error)))
        return NULL;
    return g_steal_pointer(&reader);
}

const char *
vimg_ceph_reader_generation(const VimgCephReader *reader)
{
    return reader->record->info.generation;
}

static gboolean
check_still_there(VimgCephReader *reader, GError **error)
{
    g_autoptr(VimgCephRecord) now = NULL;
    int result;

    if (!reader->record->ours)
        return TRUE;
    now = g_new0(VimgCephRecord, 1);
    now->info.size = sizeof(now->info);
    now->rbd = g_strdup(reader->record->rbd);
    now->id = g_strdup(reader->record->id);
    result = vimg_ceph_read_one(reader->cluster, now);
    if (result < 0 && result != -ENOENT)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    return (result == 0 && now->ours && !now->purged) ||
           throw_error(error, VIMG_ERROR_NO_VOL, _("the image was removed while it was read"));
}

gboolean
vimg_ceph_reader_next(VimgCephReader *reader, VimgExtent *out, GError **error)
{
    return vimg_ceph_stream_next(reader->stream, out, error) &&
           (out->length > 0 || check_still_there(reader, error));
}

gboolean
vimg_ceph_reader_zeros(VimgCephStore *store, const char *uuid, VimgZerosSink sink, gpointer data,
                       VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCephReader) reader = vimg_ceph_reader_open(store, uuid, 0, 0, job, error);

    return reader && vimg_ceph_stream_zeros(reader->stream, sink, data, error) &&
           check_still_there(reader, error);
}
