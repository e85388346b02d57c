/*
 * ready.h: the lease of a create, kept for the upload that follows
 *
 * Far away a lease takes longer to make than all else that an upload begins with, and most images
 * are written as soon as they were made.  So a create keeps its lease for a few seconds, and
 * whoever writes to that image takes it over.  Meanwhile it is a lease like any other; it says
 * nothing of the image.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_READY_H
#define VIMG_IMAGESTORE_READY_H

#include "lease.h"
#include "manifest.h"

/* What was kept.  All zero: nothing. */
typedef struct {
    VimgLease *lease;
    VimgManifest *made; /* what the image was when it was made */
    VimgLeaseRoom room; /* as it was then */
    gboolean measured;  /* it is known */
} VimgReady;

/* What a store keeps, one at most. */
typedef struct _VimgReadies VimgReadies;

VimgReadies *vimg_readies_new(void);
/*
 * Ends what is kept, which waits for a storage only if that is not known to be out of reach. Nobody
 * keeps or takes any more.
 */
void vimg_readies_free(VimgReadies *readies);

/*
 * Takes @lease over and keeps it for the time that the store says; on a near storage it ends at
 * once.  @made: the image that it was made for, copied.
 */
#define VIMG_READY_TIME (5 * G_USEC_PER_SEC)
void vimg_ready_keep(VimgLease *lease, const VimgManifest *made);
/* Moves what is kept for @uuid, if it is, into @out; waits a moment for what is asked just now. */
gboolean vimg_ready_take(VimgSliceStore *store, const char *uuid, VimgReady *out);
/* Ends what is kept for @uuid, or, if that is NULL, for any: for who waits for all leases. */
void vimg_ready_drop(VimgSliceStore *store, const char *uuid);
void vimg_ready_clear(VimgReady *ready);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgReady, vimg_ready_clear)

#endif
