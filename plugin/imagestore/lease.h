/*
 * lease.h: the sign that somebody works on a store
 *
 * A lease is a directory pending/<lease> with who holds it, a heartbeat and what its holder is
 * about to publish.  Renaming the directory away fences the holder: whatever it would publish has
 * no path any more.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_LEASE_H
#define VIMG_IMAGESTORE_LEASE_H

#include "store.h"
#include "thread.h"

typedef struct {
    VimgSliceStore *store;
    char *dir;       /* pending/<lease> */
    char *heartbeat; /* its heartbeat file */
    guint64 reserved;
} VimgLease;

VimgLease *vimg_lease_new(VimgSliceStore *store, GError **error);
/* Removes it with everything staged in it.  Accepts NULL. */
void vimg_lease_free(VimgLease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgLease, vimg_lease_free)

/* Returns: (transfer full) the path of a staged file. */
char *vimg_lease_path(const VimgLease *lease, const char *name);

/* What a path of the lease that is gone means.  Returns: FALSE. */
gboolean vimg_lease_throw_fenced(GError **error);

/*
 * Tells all hosts that @bytes are about to be written.  @must: VIMG_ERROR_NO_SPACE with the numbers
 * if that is more than is free beyond what other leases reserved and what the pool keeps free.
 */
gboolean vimg_lease_reserve(VimgLease *lease, guint64 bytes, gboolean must, GError **error);

/*
 * From now on the holder is the only one who writes image @uuid: VIMG_ERROR_BUSY if another lease
 * does.  Two who begin at the same moment may both be refused.
 */
gboolean vimg_lease_hold(VimgLease *lease, const char *uuid, GError **error);

/* Whether the store can be written at all. */
gboolean vimg_lease_try(VimgSliceStore *store);
/* Rewrites the heartbeats of all leases of @store. */
void vimg_lease_beat_all(VimgSliceStore *store);
/* Fences the leases of processes of this boot that are dead. */
void vimg_lease_fence_own(VimgSliceStore *store);
/* Returns: (transfer full) of char: who holds leases now, as "host (process 7)". */
GPtrArray *vimg_lease_holders(VimgSliceStore *store);

#endif
