/*
 * slicer.c: cuts a stream of data and holes into slices, in the way its format asks for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "slicer-private.h"

/* Guest blocks of these never shift; inside of any other format clusters move about. */
static const char *const fixed_formats[] = {"raw", "iso", NULL};

VimgCut
vimg_slicer_cut(const char *format)
{
    return g_strv_contains(fixed_formats, format) ? VIMG_CUT_FIXED : VIMG_CUT_CONTENT;
}

guint64
vimg_slicer_max(VimgCut cut, guint64 size)
{
    return cut == VIMG_CUT_FIXED ? size : 4 * size;
}

VimgIndexSizes
vimg_slicer_sizes(VimgCut cut, guint64 size)
{
    return (VimgIndexSizes){cut == VIMG_CUT_FIXED ? size : size / 4, size, VIMG_ZERO_MAX};
}

VimgSlicer *
vimg_slicer_new(VimgCut cut, guint64 size, guint64 offset, VimgSliceSink sink, gpointer data)
{
    return cut == VIMG_CUT_FIXED ? vimg_slicer_new_fixed(size, offset, sink, data)
                                 : vimg_slicer_new_content(size, offset, sink, data);
}

void
vimg_slicer_free(VimgSlicer *slicer)
{
    if (slicer)
        slicer->ops->free(slicer);
}

gboolean
vimg_slicer_write(VimgSlicer *slicer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    return slicer->ops->write(slicer, buffer, offset, size, error);
}

gboolean
vimg_slicer_hole(VimgSlicer *slicer, guint64 length, GError **error)
{
    return slicer->ops->hole(slicer, length, error);
}

gboolean
vimg_slicer_finish(VimgSlicer *slicer, GError **error)
{
    return slicer->ops->finish(slicer, error);
}

gboolean
vimg_is_zero(const guint8 *data, gsize size)
{
    /* most data differs from zero at once; the rest is compared with itself one byte on */
    if (size == 0)
        return TRUE;
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}
