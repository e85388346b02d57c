/*
 * slicer.h: cuts a stream of data and holes into slices
 *
 * Where it cuts depends on the content alone, never on how the stream was split into writes and
 * holes or where it was taken up again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SLICER_H
#define VIMG_IMAGESTORE_SLICER_H

#include "index.h"
#include "vimg-plugin.h"

typedef struct {
    guint64 offset;
    guint64 length;
    VimgBuffer *data; /* NULL: a zero slice */
    gsize data_offset;
} VimgSlice;

/* Takes one slice; @slice->data is borrowed. */
typedef gboolean (*VimgSliceSink)(const VimgSlice *slice, gpointer data, GError **error);

typedef struct _VimgSlicer VimgSlicer;

/* How an image is cut; which, its format says. */
typedef enum {
    VIMG_CUT_FIXED,   /* at multiples of the slice size */
    VIMG_CUT_CONTENT, /* where the content says so */
} VimgCut;

VimgCut vimg_slicer_cut(const char *format);
/* Bytes of the largest slice that is not a zero slice. */
guint64 vimg_slicer_max(VimgCut cut, guint64 size);
/* The header of an index that was cut so. */
VimgIndexSizes vimg_slicer_sizes(VimgCut cut, guint64 size);

/*
 * @size: the slice size of the store, a power of two.  @offset: where the stream begins in the
 * image, a place that the same slicer cut before: not between two zero slices, and not where the
 * data merely ended.
 */
VimgSlicer *vimg_slicer_new(VimgCut cut, guint64 size, guint64 offset, VimgSliceSink sink,
                            gpointer data);
/* Drops what was not emitted yet.  Accepts NULL. */
void vimg_slicer_free(VimgSlicer *slicer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSlicer, vimg_slicer_free)

/* A failure of the sink ends the slicer: it may only be freed then. */
gboolean vimg_slicer_write(VimgSlicer *slicer, VimgBuffer *buffer, gsize offset, gsize size,
                           GError **error);
gboolean vimg_slicer_hole(VimgSlicer *slicer, guint64 length, GError **error);
/* The stream ended here: emits the rest, whose last slice may be short. */
gboolean vimg_slicer_finish(VimgSlicer *slicer, GError **error);

/* Whether @size bytes at @data are all zero. */
gboolean vimg_is_zero(const guint8 *data, gsize size);

#endif
