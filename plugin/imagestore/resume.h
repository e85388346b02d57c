/*
 * resume.h: taking up an upload where its durable part ends
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_RESUME_H
#define VIMG_IMAGESTORE_RESUME_H

#include "image.h"
#include "index.h"
#include "slice.h"
#include "slicer.h"

/*
 * The longest whole partial index of a saving image that its @format would be cut like (NULL: not
 * declared, either way) and how it was cut.  @out: (transfer full), NULL if there is none.
 */
gboolean vimg_resume_load(VimgSliceStore *store, const char *uuid, const char *format,
                          VimgIndex **out, VimgCut *cut, GError **error);

/*
 * How many slices of @old stay when the upload goes on at @offset: the one holding @offset is cut
 * again, as are those before it that might have been cut otherwise had more been known, and the
 * zero slices right before, which may grow together with what comes.
 */
gsize vimg_resume_keep(const VimgIndex *old, VimgCut cut, guint64 offset);

/* Gives the stored bytes from slice @from on up to @offset to @slicer. */
gboolean vimg_resume_feed(VimgSliceStore *store, const VimgIndex *old, gsize from, guint64 offset,
                          VimgSlicer *slicer, GError **error);

/* What is stored at @offset: the rest of a slice, at most @size bytes. */
gboolean vimg_resume_read(VimgSliceStore *store, const VimgIndex *old, guint64 offset, gsize size,
                          VimgExtent *out, GError **error);

/* Whether @slice agrees with @old without looking at bytes; @id is NULL for a zero slice. */
gboolean vimg_resume_agrees(const VimgIndex *old, const VimgSlice *slice, const VimgSliceId *id);
/* The bytes themselves.  VIMG_ERROR_OPERATION_INVALID naming the first offset that differs. */
gboolean vimg_resume_compare(VimgSliceStore *store, VimgSliceTools *tools, const VimgIndex *old,
                             const VimgSlice *slice, GError **error);

#endif
