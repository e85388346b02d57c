/*
 * writer.c: one upload
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "aside.h"
#include "image.h"
#include "opening.h"
#include "parent.h"
#include "pipeline.h"
#include "publish.h"
#include "resume.h"
#include "seal.h"
#include "sign.h"
#include "../throw.h"
#include "turn.h"
#include "writer.h"

#define MUCH ((guint64)16 * 1024 * 1024) /* bytes that are worth to get ready for */

struct _VimgSliceWriter {
    VimgSliceStore *store;
    VimgPluginJob *job;
    VimgLease *lease;
    VimgStoredImage image;
    VimgOpening opening;
    gboolean opened; /* @image is what that found */
    guint64 offset;
    VimgIndex *old; /* what is durable already; NULL: nothing, and the format is not known yet */
    VimgCut cut;
    VimgPipeline *pipeline; /* NULL until @cut is known; set through __atomic builtins */
    VimgSlicer *slicer;
};

static char *
sign_path(const VimgSliceWriter *writer)
{
    return vimg_sign_path(writer->lease, writer->opening.uuid, VIMG_SIGN_WRITING);
}

/* Nobody waits for what is left of it. */
static void
leave(VimgSliceWriter *writer)
{
    g_autofree char *sign = writer->opening.announced ? sign_path(writer) : NULL;

    vimg_lease_leave(writer->lease, sign);
}

static void
writer_free(VimgSliceWriter *writer)
{
    vimg_slicer_free(writer->slicer);
    vimg_pipeline_free(writer->pipeline);
    vimg_index_free(writer->old);
    vimg_aside_drop(&writer->opening.aside);
    if (writer->lease)
        leave(writer);
    vimg_opening_clear(&writer->opening);
    vimg_stored_image_clear(&writer->image);
    vimg_transport_drop_job(writer->job);
    g_free(writer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSliceWriter, writer_free)

static gboolean
take_slice(const VimgSlice *slice, gpointer data, GError **error)
{
    const VimgSliceWriter *writer = data;

    return vimg_slice_store_check_job(writer->job, error) &&
           vimg_pipeline_push(writer->pipeline, slice, error);
}

static guint64
durable_end(const VimgSliceWriter *writer)
{
    return writer->old ? vimg_index_length(writer->old) : 0;
}

/*
 * What was found of the image is ours once it is known; without @wait that may be later.  FALSE: no
 * upload of it can go on.
 */
static gboolean
take_opened(VimgSliceWriter *writer, gboolean wait, GError **error)
{
    VimgOpening *opening = &writer->opening;

    if (!wait && !vimg_opening_has_ended(opening))
        return TRUE;
    if (!vimg_opening_wait(opening, error))
        return FALSE;
    if (writer->opened)
        return TRUE;
    writer->opened = TRUE;
    vimg_stored_image_clear(&writer->image);
    writer->image = opening->image;
    opening->image = (VimgStoredImage){0};
    return TRUE;
}

/* A VimgPipelineStart's. */
static gboolean
may_commit(gpointer data, GError **error)
{
    VimgSliceWriter *writer = data;

    return vimg_opening_wait(&writer->opening, error);
}

/* The way to cut is known: the work begins. */
static gboolean
begin(VimgSliceWriter *writer, GError **error)
{
    VimgSliceStore *store = writer->store;
    VimgPipelineStart start = {
        .lease = writer->lease,
        .uuid = writer->opening.uuid,
        .offset = writer->offset,
        .ahead = writer->opening.ahead,
        .may_commit = may_commit,
        .data = writer,
    };
    VimgPipeline *pipeline;

    if (!writer->old) {
        VimgIndexSizes sizes = vimg_slicer_sizes(writer->cut, store->slice_size);

        writer->old = vimg_index_new(&sizes);
    }
    start.old = writer->old;
    start.keep = vimg_resume_keep(writer->old, writer->cut, writer->offset);
    start.allocation = start.keep > 0 ? writer->image.manifest->image.allocation : 0;
    pipeline = vimg_pipeline_new(&start, error);
    if (!pipeline)
        return FALSE;
    __atomic_store_n(&writer->pipeline, pipeline, __ATOMIC_RELEASE); /* for stat */
    writer->slicer = vimg_slicer_new(writer->cut, store->slice_size,
                                     vimg_index_start(writer->old, start.keep), take_slice, writer);
    return vimg_resume_feed(store, writer->old, start.keep, writer->offset, writer->slicer, error);
}

/* As @opening says, or as if it was just made. */
static gboolean
begin_opened(VimgSliceWriter *writer, GError **error)
{
    VimgOpening *opening = &writer->opening;
    const char *format = opening->format;

    if (!format) {
        if (!take_opened(writer, TRUE, error))
            return FALSE;
        format = writer->image.manifest->image.format;
        writer->cut = opening->cut;
        writer->old = g_steal_pointer(&opening->old);
    }
    if (format)
        writer->cut = vimg_slicer_cut(format);
    return (!format && !writer->old) || begin(writer, error);
}

VimgSliceWriter *
vimg_slice_writer_open(VimgSliceStore *store, const char *uuid, const VimgWriteRequest *request,
                       VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgSliceWriter) writer = g_new0(VimgSliceWriter, 1);
    VIMG_TRANSPORT_PATIENCE(job);

    writer->store = store;
    writer->job = job;
    vimg_transport_hold_job(job);
    writer->offset = request->offset;
    vimg_opening_init(&writer->opening, store, uuid, request);
    if (request->reserve == 0 || request->reserve >= MUCH)
        vimg_transport_expect(store->transport);
    if (!vimg_opening_take_lease(&writer->opening, error))
        return NULL;
    writer->lease = writer->opening.lease;
    if (vimg_opening_begin(&writer->opening, error) && begin_opened(writer, error))
        return g_steal_pointer(&writer);
    vimg_lease_blame(writer->lease, error);
    return NULL;
}

gboolean
vimg_slice_writer_read(VimgSliceWriter *writer, guint64 offset, gsize size, VimgExtent *out,
                       GError **error)
{
    VIMG_TRANSPORT_PATIENCE(writer->job);

    return vimg_slice_store_check_job(writer->job, error) &&
           vimg_resume_read(writer->store, writer->old, offset, size, out, error);
}

gboolean
vimg_slice_writer_format(VimgSliceWriter *writer, const char *format, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(writer->job);

    if (writer->pipeline)
        return TRUE;
    writer->cut = vimg_slicer_cut(format);
    return begin(writer, error);
}

/* Whoever does not say what the first bytes look like gets what raw images get. */
static gboolean
need_pipeline(VimgSliceWriter *writer, GError **error)
{
    return writer->pipeline || begin(writer, error);
}

gboolean
vimg_slice_writer_write(VimgSliceWriter *writer, VimgBuffer *buffer, gsize offset, gsize size,
                        GError **error)
{
    VIMG_TRANSPORT_PATIENCE(writer->job);

    return take_opened(writer, FALSE, error) && need_pipeline(writer, error) &&
           vimg_slicer_write(writer->slicer, buffer, offset, size, error);
}

gboolean
vimg_slice_writer_hole(VimgSliceWriter *writer, guint64 length, GError **error)
{
    VIMG_TRANSPORT_PATIENCE(writer->job);

    return vimg_slice_store_check_job(writer->job, error) && take_opened(writer, FALSE, error) &&
           need_pipeline(writer, error) && vimg_slicer_hole(writer->slicer, length, error);
}

/* Remembers how much is stored, for lists to show; the rest is as another host may have left it. */
static gboolean
note_allocation(VimgSliceWriter *writer, GError **error)
{
    const char *uuid = writer->opening.uuid;
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgTurn) turn = NULL;
    guint64 allocation;
    guint64 durable;

    if (!writer->opened)
        return FALSE;
    vimg_pipeline_stat(writer->pipeline, &allocation, &durable);
    if (allocation == writer->image.manifest->image.allocation)
        return TRUE;
    turn = vimg_turn_new(writer->store, uuid, error);
    if (!turn || !vimg_image_load(writer->store, uuid, &image, error))
        return FALSE;
    image.manifest->image.allocation = allocation;
    /* from our lease: without it we change nothing */
    return vimg_manifest_write(image.manifest, writer->lease, error);
}

static void
look_ahead(gpointer data)
{
    vimg_slice_store_look_ahead(data);
}

static gboolean
seal_image(VimgSliceWriter *writer, const VimgPluginImage *image, VimgParents *parents,
           VimgStoredImage *out, GError **error)
{
    VimgManifest *manifest = writer->image.manifest;
    const VimgIndex *index = vimg_pipeline_index(writer->pipeline);
    guint64 length = vimg_index_length(index);
    guint64 durable = durable_end(writer);
    VimgSliceStore *store = writer->store;
    g_autofree char *sign = store->transport->remote ? sign_path(writer) : NULL;
    g_auto(VimgAside) sizes = {0}; /* which are asked for when the image is stored */
    guint64 allocation;
    const VimgSeal seal = {
        .lease = writer->lease,
        .manifest = manifest,
        .index = index,
        .job = writer->job,
        .parents = parents,
        .seen = TRUE,
        .sign = sign,
    };

    if (length < durable)
        return throw_error(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("the data ends at offset %1$llu, but %2$llu bytes were uploaded before; wipe the image to start afresh"),
            ULL(length), ULL(durable));
    g_free(manifest->sealed_format);
    manifest->sealed_format = g_strdup(image->format ? image->format : manifest->image.format);
    manifest->sealed_capacity = image->capacity;
    g_free(manifest->image.copy_of);
    manifest->image.copy_of =
        VIMG_PLUGIN_IMAGE_HAS(image, copy_of) ? g_strdup(image->copy_of) : NULL;
    if (store->transport->remote)
        vimg_aside_begin(&sizes, store->transport, look_ahead, store);
    if (vimg_seal(&seal, out, error))
        return TRUE;
    vimg_aside_end(&sizes);
    vimg_slice_store_doubt(store);
    /* so that the next attempt need not send it all again */
    if (!writer->lease->ended && length > durable &&
        vimg_publish_check(store, index, NULL, &allocation, NULL))
        vimg_publish_partial(writer->lease, manifest->image.uuid, index, 0, NULL);
    return FALSE;
}

/* Nothing more comes.  @seal: else it stays saving.  @out: see vimg_seal(). */
static gboolean
end_image(VimgSliceWriter *writer, gboolean seal, const VimgPluginImage *image,
          VimgStoredImage *out, GError **error)
{
    g_autoptr(VimgParents) parents = seal ? vimg_parents_new(writer->store) : NULL;
    gboolean good = vimg_slice_store_check_job(writer->job, error) &&
                    take_opened(writer, TRUE, error) && vimg_slicer_finish(writer->slicer, error);

    if (!good || !vimg_pipeline_end(writer->pipeline, !seal, error)) {
        if (!good)
            vimg_pipeline_end(writer->pipeline, TRUE, NULL);
        note_allocation(writer, NULL);
        return FALSE;
    }
    return seal ? seal_image(writer, image, parents, out, error) : note_allocation(writer, error);
}

gboolean
vimg_slice_writer_finish(VimgSliceWriter *owned, gboolean seal, const VimgPluginImage *image,
                         VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgSliceWriter) writer = owned;
    VIMG_TRANSPORT_PATIENCE(writer->job);
    g_auto(VimgStoredImage) now = {0};

    if (!need_pipeline(writer, error) || !end_image(writer, seal, image, &now, error))
        return FALSE;
    if (!now.manifest)
        return vimg_image_stat(writer->store, writer->image.manifest->image.uuid, out, error);
    vimg_image_describe(writer->store, &now, out);
    return TRUE;
}

void
vimg_slice_writer_abort(VimgSliceWriter *owned)
{
    g_autoptr(VimgSliceWriter) writer = owned;

    if (!writer->pipeline)
        return;
    take_opened(writer, TRUE, NULL);
    vimg_pipeline_end(writer->pipeline, TRUE, NULL);
    note_allocation(writer, NULL);
}

void
vimg_slice_writer_stat(VimgSliceWriter *writer, guint64 *allocation, guint64 *position)
{
    VimgPipeline *pipeline = __atomic_load_n(&writer->pipeline, __ATOMIC_ACQUIRE);
    guint64 durable = 0;

    *allocation = 0;
    if (pipeline)
        vimg_pipeline_stat(pipeline, allocation, &durable);
    *position = vimg_image_position(writer->store, durable);
}

guint64
vimg_slice_writer_reserved(VimgSliceWriter *writer)
{
    return __atomic_load_n(&writer->lease->reserved, __ATOMIC_RELAXED);
}

VimgSliceStore *
vimg_slice_writer_store(const VimgSliceWriter *writer)
{
    return writer->store;
}
