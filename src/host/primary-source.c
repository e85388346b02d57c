/*
 * primary-source.c: the content of an image on its way out, as it is stored or converted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/disk.h"
#include "image/qcow2-layout.h"
#include "util/i18n.h"

#define ONES ((gsize)65536)        /* bytes that stand for what is there */
#define PIECE ((gsize)1024 * 1024) /* bytes of data at once */
#define CONVERT "convert"          /* phase of the job */

/* ---- as it is stored -------------------------------------------------------------------- */

/* What was read already, then the rest. */
static gboolean
next(const VimgHostSource *source, VimgExtent *out, GError **error)
{
    if (source->first->length == 0)
        return vimg_transfer_next(source->transfer, out, error);
    *out = *source->first;
    *source->first = (VimgExtent){0};
    return TRUE;
}

static gboolean
pour_as_is(const VimgHostSource *source, VimgHostSink *sink, guint64 *size, GError **error)
{
    const VimgSourceInfo *info = source->info;

    if (!vimg_transfer_progress(source->transfer, "copy", 0, info->physical, error))
        return FALSE;
    *size = 0;
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;
        gboolean ok;

        if (!next(source, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        ok = data ? vimg_host_sink_write(sink, data, extent.offset, (gsize)extent.length, error)
                  : vimg_host_sink_hole(sink, extent.length, error);
        if (!ok)
            return FALSE;
        *size += extent.length;
    }
}

/* ---- as the raw disk of a file that the daemon knows to read ------------------------------ */

static gboolean
pour_disk(const VimgHostSource *source, const guint8 *hash, guint64 size, VimgHostSink *sink,
          GError **error)
{
    guint64 at = 0;

    while (at < size) {
        VimgExportPart part = {.offset = at, .length = size - at, .most = PIECE};
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (!vimg_model_export_read(source->primary->model, hash, &part, &extent, error))
            return FALSE;
        data = extent.data;
        if (data ? !vimg_host_sink_data(sink, data, extent.offset, (gsize)extent.length, error)
                 : !vimg_host_sink_hole(sink, extent.length, error))
            return FALSE;
        at += extent.length;
        if (!vimg_transfer_progress(source->transfer, CONVERT, at, size, error))
            return FALSE;
    }
    return TRUE;
}

/* *@done FALSE with TRUE: it does not know to. */
static gboolean
pour_known(const VimgHostSource *source, VimgHostSink *sink, guint64 *size, gboolean *done,
           GError **error)
{
    VimgModel *model = source->primary->model;
    g_auto(VimgPoolId) pool = {0};
    g_autoptr(VimgExportInfo) disk = NULL;
    guint8 hash[VIMG_EXPORT_HASH_SIZE];
    GError *local = NULL;
    gboolean ok;

    *done = source->way == VIMG_HOST_TO_RAW && strcmp(source->info->format, "qcow2") == 0;
    if (!*done)
        return TRUE;
    if (!vimg_model_pool_by_name(model, source->info->pool, &pool, error))
        return FALSE;
    disk = vimg_model_disk_start(model, &pool, source->info->name, hash, &local);
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_UNSUPPORTED)) {
        g_error_free(local);
        *done = FALSE;
        return TRUE;
    }
    if (!disk) {
        g_propagate_error(error, local);
        return FALSE;
    }
    *size = disk->size;
    ok = pour_disk(source, hash, disk->size, sink, error);
    vimg_model_nbd_stop(model, disk->id, NULL);
    return ok;
}

/* ---- as a raw disk ------------------------------------------------------------------------ */

typedef struct {
    const GArray *runs;
    guint next; /* the first that does not end before what is looked at; it only grows */
    guint64 size;
} Raw;

static void
look_raw(gpointer data, guint64 at, VimgHostPiece *out)
{
    Raw *raw = data;
    const VimgHostRun *run = NULL;

    while (raw->next < raw->runs->len &&
           (run = &g_array_index(raw->runs, VimgHostRun, raw->next))->end <= at)
        raw->next++;
    if (raw->next == raw->runs->len)
        run = NULL;
    out->kind = run && run->start <= at ? VIMG_HOST_PIECE_DATA : VIMG_HOST_PIECE_ZEROS;
    out->offset = at;
    out->length = (!run ? raw->size : run->start > at ? run->start : run->end) - at;
}

static gboolean
pour_raw(VimgHostDisk *disk, VimgHostSink *sink, guint64 *size, GError **error)
{
    g_autoptr(GArray) runs = vimg_host_disk_runs(disk, error);
    Raw raw = {.runs = runs, .size = vimg_host_disk_size(disk)};
    VimgHostPlan plan = {.look = look_raw, .data = &raw, .total = raw.size};

    *size = raw.size;
    return runs && vimg_host_disk_pour(disk, &plan, sink, error);
}

/* ---- as qcow2 ----------------------------------------------------------------------------- */

static void
look_qcow2(gpointer data, guint64 at, VimgHostPiece *out)
{
    const VimgQcow2Layout *layout = data;
    VimgQcow2Piece piece;

    out->length = 0;
    if (at >= vimg_qcow2_layout_size(layout))
        return;
    vimg_qcow2_layout_look(layout, at, &piece);
    out->kind = piece.data ? VIMG_HOST_PIECE_DATA : VIMG_HOST_PIECE_MADE;
    out->offset = piece.source;
    out->length = piece.length;
}

static void
make_qcow2(gpointer data, guint64 at, guint8 *out, gsize size)
{
    vimg_qcow2_layout_fill(data, at, out, size);
}

static VimgQcow2Layout *
lay_out(VimgHostDisk *disk, guint64 capacity, GError **error)
{
    g_autoptr(GArray) runs = vimg_host_disk_runs(disk, error);
    g_autoptr(VimgQcow2Layout) layout =
        runs ? vimg_qcow2_layout_new(MAX(capacity, vimg_host_disk_size(disk)), error) : NULL;
    g_autofree guint8 *ones = g_malloc(ONES);

    if (!layout)
        return NULL;
    memset(ones, 1, ONES);
    for (guint i = 0; i < runs->len; i++) {
        const VimgHostRun *run = &g_array_index(runs, VimgHostRun, i);

        for (guint64 at = run->start; at < run->end; at += MIN(ONES, run->end - at))
            vimg_qcow2_layout_add(layout, at, ones, (gsize)MIN(ONES, run->end - at));
    }
    vimg_qcow2_layout_settle(layout);
    return g_steal_pointer(&layout);
}

static gboolean
pour_qcow2(VimgHostDisk *disk, guint64 capacity, VimgHostSink *sink, guint64 *size, GError **error)
{
    g_autoptr(VimgQcow2Layout) layout = lay_out(disk, capacity, error);
    VimgHostPlan plan = {.look = look_qcow2, .make = make_qcow2, .data = layout};

    if (!layout)
        return FALSE;
    plan.total = *size = vimg_qcow2_layout_size(layout);
    return vimg_host_disk_pour(disk, &plan, sink, error);
}

gboolean
vimg_host_source_pour(const VimgHostSource *source, VimgHostSink *sink, guint64 *size,
                      GError **error)
{
    g_autoptr(VimgHostDisk) disk = NULL;
    gboolean done;

    if (source->way == VIMG_HOST_AS_IS)
        return pour_as_is(source, sink, size, error);
    if (!pour_known(source, sink, size, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    disk = vimg_host_disk_open(source, error);
    if (!disk)
        return FALSE;
    return source->way == VIMG_HOST_TO_RAW ? pour_raw(disk, sink, size, error)
                                           : pour_qcow2(disk, source->capacity, sink, size, error);
}
