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
 * @allocation: their bytes.
 */
gboolean vimg_publish_check(VimgSliceStore *store, const VimgIndex *index, VimgPluginJob *job,
                            guint64 *allocation, GError **error);

/* Makes durable where the slices of @index lie, of which some were moved back. */
gboolean vimg_publish_sync(VimgSliceStore *store, const VimgIndex *index, GError **error);

/*
 * Makes the image active with @index; of @manifest, the parent, the sealed format and capacity are
 * the caller's, and the newest one in the store gets them.
 * On failure the image is saving, as it was.
 */
gboolean vimg_publish_image(VimgLease *lease, VimgManifest *manifest, const VimgIndex *index,
                            VimgPluginJob *job, GError **error);

#endif
