/*
 * gc-lock.h: one collector at a time, and what dead ones left
 *
 * gc/lock/<run>/ is the run that collects now.  It appears by one rename, complete, and whatever it
 * changes lies below it on one side, so that renaming it away stops it wherever it is.  A run that
 * was taken away, or that ended before its work did, lies in gc/old-<n>/<run>/, <n> fresh.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_GC_LOCK_H
#define VIMG_IMAGESTORE_GC_LOCK_H

#include "store.h"

#define VIMG_GC_OLD "gc/old-"         /* as directories of old runs begin */
#define VIMG_GC_CONDEMNED "condemned" /* slices, flat */
#define VIMG_GC_LEASES "leases"       /* names of those to wait for, one a line, then "end" */
#define VIMG_GC_READERS "readers"     /* after them those, who may have read an index that went */
#define VIMG_GC_SUSPECTS "suspects"   /* images to be looked at again then, likewise */

typedef struct {
    VimgSliceStore *store;
    char *run;       /* its name, as vimg_owner_new_id() gives it */
    char *dir;       /* gc/lock/<run> */
    char *heartbeat; /* among those that vimg_lease_beat_all() rewrites */
    gboolean tight;  /* what it works in is the spare: little at a time */
} VimgGcLock;

/* VIMG_ERROR_BUSY naming who has it.  A dead holder's run is taken away.  @now: monotonic. */
VimgGcLock *vimg_gc_lock_take(VimgSliceStore *store, gint64 now, GError **error);
/* FALSE with VIMG_ERROR_FAILED once another one took it over. */
gboolean vimg_gc_lock_check(const VimgGcLock *lock, GError **error);
/*
 * The run ends.  If it condemned slices that it did not end, it waits in
 * gc/old-<n>/<run>/ for a later one; else nothing is left of it.  Accepts NULL.
 */
void vimg_gc_lock_end(VimgGcLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgGcLock, vimg_gc_lock_end)

/*
 * Calls @func with "gc/<holder>/<run>/REST" for every run, the present one, old ones and fenced
 * ones, until it returns TRUE, and returns that.
 */
gboolean vimg_gc_each(VimgTransport *transport, const char *rest,
                      gboolean (*func)(VimgTransport *transport, const char *path, gpointer data),
                      gpointer data);
/* Returns: (transfer full) of char: directories of old runs; NULL with @error. */
GPtrArray *vimg_gc_old_runs(VimgSliceStore *store, GError **error);
/* An old run whose slices all went: removes it. */
void vimg_gc_remove_old(VimgSliceStore *store, const char *dir);
/*
 * Looks at the lock and at what interrupted makings and endings left, which it removes in time.
 * Returns: whether the one that has the lock is dead; FALSE if nobody has it.
 */
gboolean vimg_gc_survey(VimgSliceStore *store, gint64 now);

#endif
