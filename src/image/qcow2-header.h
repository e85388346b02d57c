/*
 * qcow2-header.h: what the header of a qcow2 image says, and what its tables hold
 *
 * After the specification of the format in QEMU, docs/interop/qcow2.txt.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGE_QCOW2_HEADER_H
#define VIMG_IMAGE_QCOW2_HEADER_H

#include "image/image-private.h"

/* Of an entry of a table. */
#define VIMG_QCOW2_OFFSET G_GUINT64_CONSTANT(0x00fffffffffffe00)
#define VIMG_QCOW2_PACKED (G_GUINT64_CONSTANT(1) << 62)
#define VIMG_QCOW2_ZERO 1

/* Features that only those may read who know them. */
enum {
    VIMG_QCOW2_DIRTY = 1 << 0, /* refcounts are stale, guest data is not */
    VIMG_QCOW2_CORRUPT = 1 << 1,
    VIMG_QCOW2_DATA_FILE = 1 << 2,
    VIMG_QCOW2_COMPRESSION = 1 << 3,
    VIMG_QCOW2_EXTENDED_L2 = 1 << 4,
    VIMG_QCOW2_KNOWN = (1 << 5) - 1,
};

/* The header; fields of version 3 are as version 2 means them if it is that. */
typedef struct {
    guint32 version;
    guint64 backing_offset;
    guint32 backing_size;
    guint32 cluster_bits;
    guint64 size;
    guint32 crypt;
    guint32 l1_size;
    guint64 l1_offset;
    guint64 refcount_offset;
    guint32 refcount_clusters;
    guint32 snapshots;
    guint64 snapshots_offset;
    guint64 incompatible;
    guint64 autoclear;
    guint32 refcount_order;
    guint32 header_size;
    guint8 compression;
} VimgQcow2Header;

/* Of at least VIMG_INSPECT_HEAD bytes; what it says is not checked. */
VimgQcow2Header vimg_qcow2_header_read(const guint8 *head);

/*
 * Of as many: whether there is nothing for which QEMU writes the first cluster anew, zeros behind
 * the header, as soon as it may write: bitmaps, stale refcounts, features to be cleared; QEMU 7.2
 * as observed.
 */
gboolean vimg_qcow2_is_at_rest(const guint8 *head);

static inline guint64
vimg_qcow2_cluster_size(const VimgQcow2Header *h)
{
    return G_GUINT64_CONSTANT(1) << h->cluster_bits;
}

static inline guint
vimg_qcow2_entry_size(const VimgQcow2Header *h)
{
    return h->incompatible & VIMG_QCOW2_EXTENDED_L2 ? 16 : 8;
}

/* Entries of the L1 table that the virtual size takes. */
static inline guint64
vimg_qcow2_l1_needed(const VimgQcow2Header *h)
{
    guint64 clusters = vimg_image_chunks(h->size, vimg_qcow2_cluster_size(h));

    return vimg_image_chunks(clusters, vimg_qcow2_cluster_size(h) / vimg_qcow2_entry_size(h));
}

#endif
