/*
 * qcow2-layout.h: the qcow2 file that a raw image would be, byte by byte, without making it
 *
 * Which clusters hold something is found first; the size of the file and every byte of its
 * metadata follow from that alone, and its data clusters are those of the raw image in order.
 * Clusters of zeros are not in it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGE_QCOW2_LAYOUT_H
#define VIMG_IMAGE_QCOW2_LAYOUT_H

#include <glib.h>

/* Bytes of the largest map: a bit a cluster. */
#define VIMG_QCOW2_MAP_MAX ((gsize)2 * 1024 * 1024)

typedef struct _VimgQcow2Layout VimgQcow2Layout;

/* Of a raw image of @capacity bytes, all zeros so far.  VIMG_ERROR_OPERATION_UNSUPPORTED: too large
 */
VimgQcow2Layout *vimg_qcow2_layout_new(guint64 capacity, GError **error);
/* The same with the map that another had; VIMG_ERROR_INVALID_ARG: it is none of such an image. */
VimgQcow2Layout *vimg_qcow2_layout_from_map(guint64 capacity, const guint8 *map, gsize size,
                                            GError **error);
void vimg_qcow2_layout_free(VimgQcow2Layout *layout);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgQcow2Layout, vimg_qcow2_layout_free)

/* The raw image has @size bytes of @data at @offset. */
void vimg_qcow2_layout_add(VimgQcow2Layout *layout, guint64 offset, const guint8 *data, gsize size);
/* All of it was added: nothing more may be, and only now may the rest be asked. */
void vimg_qcow2_layout_settle(VimgQcow2Layout *layout);

/* Which clusters hold something. */
const guint8 *vimg_qcow2_layout_map(const VimgQcow2Layout *layout, gsize *size);
/* Bytes of the file. */
guint64 vimg_qcow2_layout_size(const VimgQcow2Layout *layout);

/* What lies at an offset of the file. */
typedef struct {
    gboolean data;  /* of the raw image, else metadata */
    guint64 length; /* bytes of the same, at least one */
    guint64 source; /* of data: where in the raw image, beyond whose end are zeros */
} VimgQcow2Piece;

void vimg_qcow2_layout_look(const VimgQcow2Layout *layout, guint64 offset, VimgQcow2Piece *out);
/* @size bytes of metadata at @offset, within one piece. */
void vimg_qcow2_layout_fill(const VimgQcow2Layout *layout, guint64 offset, guint8 *out, gsize size);

#endif
