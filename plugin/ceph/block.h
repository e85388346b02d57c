/*
 * block.h: what will be written as one, in the buffers it came in
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_BLOCK_H
#define VIMG_CEPH_BLOCK_H

#include "store.h"

#define VIMG_CEPH_CHUNK 65536 /* bytes; a run of zeros of less is written */

typedef struct _VimgCephBlock VimgCephBlock;

/* Bytes of a block from a chunk on, of which none is all zeros. */
typedef struct {
    gsize start;
    gsize end;
    guint piece; /* the one that @start lies in */
    gsize at;    /* where in it */
} VimgCephRun;

/* @offset: where it is to be written. */
VimgCephBlock *vimg_ceph_block_new(guint64 offset);
/* Accepts NULL. */
void vimg_ceph_block_free(VimgCephBlock *block);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephBlock, vimg_ceph_block_free)

guint64 vimg_ceph_block_offset(const VimgCephBlock *block);
/* @buffer, NULL for zeros, is not copied unless @size is small. */
void vimg_ceph_block_add(VimgCephBlock *block, VimgBuffer *buffer, gsize offset, gsize size);
/*
 * The same to the end of the block of @unit bytes that @at lies in; data begin one if there is
 * none. Returns: bytes taken, all of them if they are zeros and there is none
 */
guint64 vimg_ceph_block_fill(VimgCephBlock **block, guint64 unit, guint64 at, VimgBuffer *buffer,
                             gsize offset, guint64 size);
/* Returns: (transfer full) the VimgCephRuns that are not zeros, in order; long ones are cut. */
GArray *vimg_ceph_block_runs(const VimgCephBlock *block);
/* Returns: (transfer full) struct iovecs of @run, good as long as @block is. */
GArray *vimg_ceph_block_iov(const VimgCephBlock *block, const VimgCephRun *run);

#endif
