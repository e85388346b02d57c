/*
 * pipeline.h: from slices of a stream to durable slices and a growing index
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_PIPELINE_H
#define VIMG_IMAGESTORE_PIPELINE_H

#include "index.h"
#include "lease.h"
#include "slicer.h"

/* What an upload of unknown length keeps reserved ahead of itself. */
#define VIMG_RESERVE_AHEAD ((guint64)256 * 1024 * 1024)

typedef struct _VimgPipeline VimgPipeline;

typedef struct {
    VimgLease *lease;     /* borrowed */
    const char *uuid;     /* of the image; borrowed */
    const VimgIndex *old; /* what is durable already, compared with what comes; borrowed */
    gsize keep;           /* so many slices of it are before what comes */
    guint64 offset;       /* of the first byte that comes */
    guint64 ahead;        /* bytes that will come; 0: not known */
    guint64 allocation;   /* bytes stored for what is kept, as far as known */
    /* waited for before anything leaves the lease, in a thread of the pipeline; FALSE: nothing may
     */
    gboolean (*may_commit)(gpointer data, GError **error);
    gpointer data;
} VimgPipelineStart;

/* Returns: (transfer full); NULL with VIMG_ERROR_BUSY if threads cannot be started. */
VimgPipeline *vimg_pipeline_new(const VimgPipelineStart *start, GError **error);
/* Waits for its threads.  Accepts NULL. */
void vimg_pipeline_free(VimgPipeline *pipeline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgPipeline, vimg_pipeline_free)

/*
 * Takes the next slice, waiting while too much is under way.  Fails with whatever failed before;
 * nothing behind the first failure is stored.
 */
gboolean vimg_pipeline_push(VimgPipeline *pipeline, const VimgSlice *slice, GError **error);
/*
 * Waits until all that was pushed is in its place, and writes a last partial index if @partial.
 * Also after a failure, for what came before it.  Afterwards only index(), stat() and free().
 */
gboolean vimg_pipeline_end(VimgPipeline *pipeline, gboolean partial, GError **error);
/* (transfer none) the index of all that was pushed; after a successful end(). */
const VimgIndex *vimg_pipeline_index(VimgPipeline *pipeline);
/* Bytes stored for this image and the end of the durable part; from any thread. */
void vimg_pipeline_stat(VimgPipeline *pipeline, guint64 *allocation, guint64 *durable);

#endif
