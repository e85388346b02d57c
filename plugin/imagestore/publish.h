/*
 * publish.h: bringing slices and indexes from a lease into their places
 *
 * What is published is durable before anything names it: slices before the index, manifest before
 * the index, and the rename of the index is the only commit.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_PUBLISH_H
#define VIMG_IMAGESTORE_PUBLISH_H

#include "index.h"
#include "lease.h"
#include "manifest.h"

/* A slice that lies in the lease as "<hex id>.<number>". */
typedef struct {
    VimgSliceId id;
    guint64 number;
    guint64 size; /* of its frame, taken from the quota */
} VimgStagedSlice;

/* Returns: (transfer full) its path. */
char *vimg_publish_staged_path(const VimgLease *lease, const VimgStagedSlice *slice);

/*
 * Where the slice @id goes, if the directory is not known to exist: @out, whose path is (transfer
 * full), makes it.  Else FALSE.
 */
gboolean vimg_publish_prefix_op(const VimgSliceStore *store, const VimgSliceId *id, VimgOp *out);
/* Such an operation was run.  Returns: 0 or a value of errno. */
int vimg_publish_prefix_done(VimgSliceStore *store, const VimgOp *op);

#define VIMG_PUBLISH_BATCH 4096 /* slices that are looked at, or moved, in the same trips */

/* Makes the staged slices (of VimgStagedSlice) durable, then moves them to their places. */
gboolean vimg_publish_slices(VimgLease *lease, const GArray *slices, GError **error);

/*
 * Publishes the partial index of a saving image.  @from: slices before it were published by an
 * earlier one already.
 */
gboolean vimg_publish_partial(VimgLease *lease, const char *uuid, const VimgIndex *index,
                              gsize from, GError **error);

/*
 * Looks at every slice of @index; a missing one is VIMG_ERROR_DAMAGED.  @job: ends it; may be NULL.
 * @allocation: their bytes.  @rescued: some were moved back from where a collector had put them,
 * which is not durable yet; may be NULL.
 */
gboolean vimg_publish_check(VimgSliceStore *store, const VimgIndex *index, VimgPluginJob *job,
                            guint64 *allocation, gboolean *rescued, GError **error);

/* Makes durable where the slices of @index lie, of which some were moved back. */
gboolean vimg_publish_sync(VimgSliceStore *store, const VimgIndex *index, GError **error);

/* Partial indexes of @uuid below @limit are of no use any more. */
void vimg_publish_remove_partials(VimgTransport *transport, const char *uuid, guint64 limit);

/* ---- for indexes ------------------------------------------------------------------------ */

/*
 * Makes @index, encoded as @content, durable at @path in the lease, and where its slices from @from
 * on lie; then vimg_publish_sync_condemned() has to follow: what a collector takes from there
 * meanwhile must not be lost on both sides.
 */
gboolean vimg_publish_stage_index(VimgLease *lease, char *path, const VimgIndex *index,
                                  const VimgBuffer *content, gsize from, GError **error);
gboolean vimg_publish_sync_condemned(VimgLease *lease, GError **error);
/* Either what was staged is missing or the directory of @uuid.  Returns: FALSE. */
gboolean vimg_publish_throw_missing(const VimgLease *lease, const char *uuid, GError **error);

/*
 * Makes the image active with @index; of @manifest, the parent, the sealed format and capacity are
 * the caller's, and the newest one in the store gets them.  See seal.h.
 * On failure the image is saving, as it was.
 */
gboolean vimg_publish_image(VimgLease *lease, VimgManifest *manifest, const VimgIndex *index,
                            VimgPluginJob *job, GError **error);

#endif
