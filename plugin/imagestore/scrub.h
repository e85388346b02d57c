/*
 * scrub.h: reading stored slices again, and setting the bad ones aside
 *
 * A bad slice is moved to bad/<id>.<n>, so that the next upload that holds it stores it again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SCRUB_H
#define VIMG_IMAGESTORE_SCRUB_H

#include "marks.h"
#include "store.h"

typedef struct _VimgScrub VimgScrub;

typedef struct {
    guint64 slices; /* read */
    guint64 bytes;  /* of their files */
    guint64 plain;  /* of what the good ones hold, zeros left out, that no image pays for */
    guint64 bad;
    guint64 foreign; /* what is no slice of ours, and stays */
} VimgScrubSums;

/* @sums grow with each run; borrowed, as is @job. */
VimgScrub *vimg_scrub_new(VimgSliceStore *store, VimgPluginJob *job, VimgScrubSums *sums,
                          GError **error);
/* Accepts NULL. */
void vimg_scrub_free(VimgScrub *scrub);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgScrub, vimg_scrub_free)

/*
 * Reads the slices @ids (of VimgSliceId) at the store's rate; those that are gone do not count.
 * @total: bytes of the whole job, 0: not known.  FALSE: nothing was added to the sums.
 */
gboolean vimg_scrub_run(VimgScrub *scrub, const GArray *ids, guint64 total, GError **error);
/* (transfer none) ids (VimgSliceId) of bad slices that could not be moved and lie where they lay */
GHashTable *vimg_scrub_left(VimgScrub *scrub);

/* (transfer none) those that were good where they lay */
const VimgMarks *vimg_scrub_good(VimgScrub *scrub);

/* Moves back what lies in bad/, is good after all and has no file in its place. */
gboolean vimg_scrub_rescue(VimgSliceStore *store, VimgPluginJob *job, GError **error);

#endif
