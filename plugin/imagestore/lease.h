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
#include "../thread.h"

#define VIMG_LEASE_NEW "new-"         /* in pending/: on its way to its place */
#define VIMG_LEASE_ENDED "gc/fenced-" /* as paths begin of what is only to be removed */

typedef struct {
    VimgSliceStore *store;
    char *dir;        /* pending/<lease> */
    char *heartbeat;  /* its heartbeat file */
    guint64 reserved; /* changed by one thread; __atomic builtins */
    guint64 partial;  /* the length of the only partial index of what is written; 0: not known */
    gboolean ended;   /* it is only to be left */
} VimgLease;

VimgLease *vimg_lease_new(VimgSliceStore *store, GError **error);
/* Ends the lease @id at once, and removes what was in it.  Returns: 0 or a value of errno. */
int vimg_lease_end(VimgTransport *transport, const char *id);
/* Removes it with everything staged in it.  Accepts NULL. */
void vimg_lease_free(VimgLease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgLease, vimg_lease_free)
/*
 * The same after success, without waiting for the removal of what has no meaning any more.  @sign:
 * a file that goes in the same trip, or NULL.
 */
void vimg_lease_leave(VimgLease *lease, const char *sign);
/* Says nothing to a storage that is lost: any survey finds that the process has it no more. */
void vimg_lease_abandon(VimgLease *lease);
/*
 * Its first part, to be run with other operations: fills @ops, which borrow @sign.  Returns: how
 * many, two at most.
 */
gsize vimg_lease_end_ops(const VimgLease *lease, const char *sign, VimgOp *ops);
/* Such @ops were run; frees what they own. */
void vimg_lease_note_end(VimgLease *lease, VimgOp *ops);
/* Waits for such removals, if the store is closed for the one under way; nobody leaves any more. */
void vimg_lease_sweep_end(VimgSliceStore *store);

/* Returns: (transfer full) the path of a staged file. */
char *vimg_lease_path(const VimgLease *lease, const char *name);

/* What a path of the lease that is gone means.  Returns: FALSE. */
gboolean vimg_lease_throw_fenced(GError **error);
/* FALSE with that error: the lease is gone. */
gboolean vimg_lease_check(const VimgLease *lease, GError **error);
/* Says so instead of @error, which came of it.  Returns: FALSE. */
gboolean vimg_lease_blame(const VimgLease *lease, GError **error);
/* @result of an access to it: that error, or @what and why.  Returns: FALSE. */
gboolean vimg_lease_throw(const VimgLease *lease, GError **error, int result, const char *what);

/*
 * Tells all hosts that @bytes are about to be written.  @must: VIMG_ERROR_NO_SPACE with the numbers
 * if that is more than is free beyond what other leases reserved and what the pool keeps free.
 */
gboolean vimg_lease_reserve(VimgLease *lease, guint64 bytes, gboolean must, GError **error);

/* What hosts have told and the storage has. */
typedef struct {
    guint64 reserved; /* bytes, by others */
    VimgSpace space;
    gboolean has_space; /* @space is known */
} VimgLeaseRoom;

/* The same in two steps, of which the first needs no lease.  @but: whose is not counted, or NULL.
 */
void vimg_lease_look_for_room(VimgSliceStore *store, const VimgLease *but, VimgLeaseRoom *out);
gboolean vimg_lease_reserve_in(VimgLease *lease, const VimgLeaseRoom *room, guint64 bytes,
                               gboolean must, GError **error);

/* Whether the store can be written at all. */
gboolean vimg_lease_try(VimgSliceStore *store);
/* Rewrites the heartbeats of all leases of @store. */
void vimg_lease_beat_all(VimgSliceStore *store);
/* @heartbeat, a path that stays the caller's, is one of them until it is removed. */
void vimg_lease_beat_add(VimgSliceStore *store, char *heartbeat);
void vimg_lease_beat_remove(VimgSliceStore *store, const char *heartbeat);

#endif
