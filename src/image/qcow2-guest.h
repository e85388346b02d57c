/*
 * qcow2-guest.h: the raw disk that a machine sees in a qcow2 file, found at any place
 *
 * No I/O: whoever has the file brings the entries of its tables, which say where to read on.  A
 * file that builds on others, or is encrypted, is refused; what a table names is checked.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGE_QCOW2_GUEST_H
#define VIMG_IMAGE_QCOW2_GUEST_H

#include <glib.h>

/* Bytes of the first, and of an entry of the second table at most. */
#define VIMG_QCOW2_FIRST 8
#define VIMG_QCOW2_SECOND 16
/* Bytes of the largest cluster, and of the most that one is packed into. */
#define VIMG_QCOW2_CLUSTER_MAX ((gsize)2 * 1024 * 1024)
#define VIMG_QCOW2_PACKED_MAX (2 * VIMG_QCOW2_CLUSTER_MAX)

typedef struct {
    guint64 size;   /* bytes of the disk */
    guint64 stored; /* bytes of the file */
    guint64 l1_offset;
    guint bits;    /* of a cluster */
    gboolean wide; /* entries have a part that tells of each 32nd of a cluster */
    gboolean zstd; /* clusters are packed so, else by deflate */
} VimgQcow2Guest;

typedef enum {
    VIMG_QCOW2_IS_ZEROS,
    VIMG_QCOW2_IS_DATA,
    VIMG_QCOW2_IS_PACKED,
} VimgQcow2Kind;

/* What is at an offset of the disk. */
typedef struct {
    VimgQcow2Kind kind;
    guint64 length; /* bytes of the disk that are so, at least one, within it */
    guint64 source; /* data, packed: where in the file, which has all of it */
    gsize packed;   /* bytes there of the whole cluster; some may be another's */
    gsize skip;     /* packed: bytes of that cluster before */
} VimgQcow2Found;

/*
 * @head: the first VIMG_INSPECT_HEAD bytes of a file of @stored bytes, or all.  Errors:
 * VIMG_ERROR_OPERATION_UNSUPPORTED: encrypted; VIMG_ERROR_CONFIG_UNSUPPORTED, VIMG_ERROR_PROBE: it
 * is not a file alone, or none at all
 */
gboolean vimg_qcow2_guest_read(VimgQcow2Guest *out, const guint8 *head, gsize size, guint64 stored,
                               GError **error);

/* Where in the file the entry of the first table for @offset < size is. */
guint64 vimg_qcow2_guest_first(const VimgQcow2Guest *guest, guint64 offset);
/*
 * @entry: of the first table.  *@at becomes where the one of the second table is, which ends within
 * its 16 bytes; 0: there is none, and @found is told.  VIMG_ERROR_PROBE: it cannot be.
 */
gboolean vimg_qcow2_guest_second(const VimgQcow2Guest *guest, const guint8 *entry, guint64 offset,
                                 guint64 *at, VimgQcow2Found *found, GError **error);
/* Bytes of an entry of the second table. */
gsize vimg_qcow2_guest_entry(const VimgQcow2Guest *guest);
/* @entry: of the second table.  VIMG_ERROR_PROBE: it cannot be. */
gboolean vimg_qcow2_guest_look(const VimgQcow2Guest *guest, const guint8 *entry, guint64 offset,
                               VimgQcow2Found *out, GError **error);
/* @out: room for a cluster.  VIMG_ERROR_PROBE: @size bytes of @data do not hold a whole one. */
gboolean vimg_qcow2_guest_unpack(const VimgQcow2Guest *guest, const guint8 *data, gsize size,
                                 guint8 *out, GError **error);

#endif
