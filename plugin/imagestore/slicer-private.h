/*
 * slicer-private.h: what the two slicers share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SLICER_PRIVATE_H
#define VIMG_IMAGESTORE_SLICER_PRIVATE_H

#include "slicer.h"

/* All are required. */
typedef struct {
    gboolean (*write)(VimgSlicer *slicer, VimgBuffer *buffer, gsize offset, gsize size,
                      GError **error);
    gboolean (*hole)(VimgSlicer *slicer, guint64 length, GError **error);
    gboolean (*finish)(VimgSlicer *slicer, GError **error);
    void (*free)(VimgSlicer *slicer);
} VimgSlicerOps;

/* First in the struct of each slicer. */
struct _VimgSlicer {
    const VimgSlicerOps *ops;
    VimgSliceSink sink;
    gpointer data;
};

static inline gboolean
vimg_slicer_emit(VimgSlicer *slicer, const VimgSlice *slice, GError **error)
{
    return slicer->sink(slice, slicer->data, error);
}

VimgSlicer *vimg_slicer_new_fixed(guint64 size, guint64 offset, VimgSliceSink sink, gpointer data);
VimgSlicer *vimg_slicer_new_content(guint64 size, guint64 offset, VimgSliceSink sink,
                                    gpointer data);

#endif
