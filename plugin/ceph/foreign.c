/*
 * foreign.c: content of volumes in RADOS pools that libvirt manages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "closing.h"
#include "foreign.h"
#include "../throw.h"

#define ID_MAX 256 /* bytes, with the NUL */

struct _VimgCephForeignWriter {
    VimgCluster *cluster;
    rbd_image_t image; /* NULL: not open */
    VimgCephFlow *flow;
    VimgPluginJob *job;
    VimgCephBlock *block; /* NULL: none was begun */
    gsize unit;
    guint64 size; /* of the volume */
    guint64 at;
};

struct _VimgCephForeignReader {
    VimgCluster *cluster;
    rbd_image_t image; /* NULL: not open */
    VimgCephStream *stream;
};

gpointer
vimg_ceph_foreign_open(const VimgPluginPool *pool, GError **error)
{
    if (!pool->source_name) {
        throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                    _("the definition names no RADOS pool: it lacks <source><name>"));
        return NULL;
    }
    if (pool->n_hosts == 0 || (!pool->secret_usage && !pool->secret_uuid)) {
        throw_error(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("the definition lacks the monitors or the key: <host name='…'/>, <auth type='ceph'>"));
        return NULL;
    }
    return vimg_cluster_connect(pool, FALSE, error);
}

void
vimg_ceph_foreign_close(gpointer foreign)
{
    vimg_ceph_closing_settle();
    vimg_cluster_unref(foreign);
}

/* RBD's own id of an image, which is made at random with it. */
gboolean
vimg_ceph_foreign_identity(gpointer foreign, const char *volume, char **identity, GError **error)
{
    VimgCluster *cluster = foreign;
    char id[ID_MAX] = "";
    rbd_image_t image;
    int result = rbd_open_read_only(cluster->io, volume, &image, NULL);

    if (result == -ENOENT)
        return throw_error(error, VIMG_ERROR_NO_VOL, "%s", volume);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    result = rbd_get_id(image, id, sizeof(id));
    vimg_ceph_closing_read(cluster, image, NULL);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    *identity = g_strdup(id);
    return TRUE;
}

/* ---- writing ---------------------------------------------------------------------------- */

void
vimg_ceph_foreign_abort(gpointer data)
{
    VimgCephForeignWriter *writer = data;

    vimg_ceph_block_free(writer->block);
    if (writer->image)
        vimg_ceph_closing(writer->cluster, writer->image, writer->flow, NULL);
    vimg_cluster_unref(writer->cluster);
    g_free(writer);
}

static gboolean
open_writer(VimgCephForeignWriter *writer, const char *volume, GError **error)
{
    int result = rbd_open(writer->cluster->io, volume, &writer->image, NULL);

    if (result < 0) {
        writer->image = NULL;
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    }
    result = rbd_get_size(writer->image, &writer->size);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    return vimg_ceph_stream_unit(writer->image, &writer->unit, error);
}

gpointer
vimg_ceph_foreign_writer(gpointer foreign, const char *volume, guint64 offset, VimgPluginJob *job,
                         GError **error)
{
    VimgCephForeignWriter *writer = g_new0(VimgCephForeignWriter, 1);

    writer->cluster = vimg_cluster_ref(foreign);
    writer->job = job;
    writer->at = offset;
    if (!open_writer(writer, volume, error)) {
        vimg_ceph_foreign_abort(writer);
        return NULL;
    }
    writer->flow = vimg_ceph_flow_new(writer->image, job);
    return writer;
}

static gboolean
send_block(VimgCephForeignWriter *writer, GError **error)
{
    return !writer->block || vimg_ceph_flow_push(writer->flow, &writer->block, error);
}

/* A volume that was just made is zeros: what is zeros is left out, in whole blocks or between. */
static gboolean
store(VimgCephForeignWriter *writer, VimgBuffer *buffer, gsize offset, guint64 size, GError **error)
{
    while (size > 0) {
        guint64 n =
            vimg_ceph_block_fill(&writer->block, writer->unit, writer->at, buffer, offset, size);

        writer->at += n;
        offset += n;
        size -= n;
        if (writer->at % writer->unit == 0 && !send_block(writer, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_ceph_foreign_write(gpointer data, VimgBuffer *buffer, gsize offset, guint64 size,
                        GError **error)
{
    VimgCephForeignWriter *writer = data;

    if (!vimg_ceph_check_job(writer->job, error))
        return FALSE;
    if (size > writer->size - MIN(writer->at, writer->size))
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("the RBD image has %llu bytes, and more came"), ULL(writer->size));
    return store(writer, buffer, offset, size, error);
}

gboolean
vimg_ceph_foreign_finish(gpointer data, GError **error)
{
    VimgCephForeignWriter *writer = data;
    gboolean ok = send_block(writer, error) && vimg_ceph_flow_drain(writer->flow, error);
    int result = ok ? rbd_flush(writer->image) : 0;

    if (result < 0)
        ok = vimg_cluster_throw(error, result, _("cannot write to the RBD image"));
    vimg_ceph_foreign_abort(writer);
    return ok;
}

/* ---- reading ---------------------------------------------------------------------------- */

void
vimg_ceph_foreign_reader_close(gpointer data)
{
    VimgCephForeignReader *reader = data;

    if (reader->image)
        vimg_ceph_closing_read(reader->cluster, reader->image, reader->stream);
    vimg_cluster_unref(reader->cluster);
    g_free(reader);
}

gpointer
vimg_ceph_foreign_reader(gpointer foreign, const char *volume, VimgPluginJob *job, GError **error)
{
    VimgCephForeignReader *reader = g_new0(VimgCephForeignReader, 1);
    int result;

    reader->cluster = vimg_cluster_ref(foreign);
    result = rbd_open_read_only(reader->cluster->io, volume, &reader->image, NULL);
    if (result < 0) {
        reader->image = NULL;
        vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    } else {
        reader->stream = vimg_ceph_stream_new(reader->image, 0, G_MAXUINT64, job, error);
    }
    if (reader->stream)
        return reader;
    vimg_ceph_foreign_reader_close(reader);
    return NULL;
}

gboolean
vimg_ceph_foreign_next(gpointer data, VimgExtent *out, GError **error)
{
    VimgCephForeignReader *reader = data;

    return vimg_ceph_stream_next(reader->stream, out, error);
}
