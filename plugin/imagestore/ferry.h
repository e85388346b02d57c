/*
 * ferry.h: slices of an upload on their way to a storage far away
 *
 * Each waits twice: for the answer whether the storage has it, and until it is there.  Many do so
 * at once, in batches, while the crew goes on hashing and compressing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_FERRY_H
#define VIMG_IMAGESTORE_FERRY_H

#include "lease.h"
#include "publish.h"

/* A slice; the caller's, and to stay until it is done. */
typedef struct {
    VimgStagedSlice slice; /* its size: of the frame, once it is stored */
    VimgBuffer *frame;     /* for vimg_ferry_put(), which takes it over */
} VimgCargo;

/* Called from threads of the ferry, no lock is held; each slice gets one done(). */
typedef struct {
    /* the storage does not have it: to be given to vimg_ferry_put() */
    void (*wanted)(VimgCargo *cargo, gpointer data);
    /*
     * @staged: it lies in the lease; else, unless @error (transfer full) is set, in its place, or
     * another one of the same id is staged.  @stopped: none of this, as another one failed.
     */
    void (*done)(VimgCargo *cargo, gboolean staged, gboolean stopped, GError *error, gpointer data);
} VimgFerryFuncs;

typedef struct _VimgFerry VimgFerry;

/* @funcs, @lease: borrowed.  NULL with VIMG_ERROR_BUSY if no thread can be started. */
VimgFerry *vimg_ferry_new(VimgLease *lease, const VimgFerryFuncs *funcs, gpointer data,
                          GError **error);
/* Every slice is done.  Accepts NULL. */
void vimg_ferry_free(VimgFerry *ferry);

/* From any thread. */
void vimg_ferry_look_up(VimgFerry *ferry, VimgCargo *cargo);
/* Its frame is taken from the quota, which is settled here if it is not staged. */
void vimg_ferry_put(VimgFerry *ferry, VimgCargo *cargo);
/* Instead of put(): it cannot be compressed. */
void vimg_ferry_drop(VimgFerry *ferry, VimgCargo *cargo, GError *error);

#endif
