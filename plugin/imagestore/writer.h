/*
 * writer.h: one upload
 *
 * stream → slicer → crew {hash, known?, compress, stage} → committer {durable, rename, partial
 * index}.  The calls of one writer never overlap, but vimg_slice_writer_stat() may come from any
 * thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_WRITER_H
#define VIMG_IMAGESTORE_WRITER_H

#include "store.h"

typedef struct _VimgSliceWriter VimgSliceWriter;

VimgSliceWriter *vimg_slice_writer_open(VimgSliceStore *store, const char *uuid,
                                        const VimgWriteRequest *request, VimgPluginJob *job,
                                        GError **error);
/* What the first bytes look like, before any of them; no matter if the format is declared. */
gboolean vimg_slice_writer_format(VimgSliceWriter *writer, const char *format, GError **error);
gboolean vimg_slice_writer_read(VimgSliceWriter *writer, guint64 offset, gsize size,
                                VimgExtent *out, GError **error);
gboolean vimg_slice_writer_write(VimgSliceWriter *writer, VimgBuffer *buffer, gsize offset,
                                 gsize size, GError **error);
gboolean vimg_slice_writer_hole(VimgSliceWriter *writer, guint64 length, GError **error);
/* Frees @writer. */
gboolean vimg_slice_writer_finish(VimgSliceWriter *writer, gboolean seal,
                                  const VimgPluginImage *image, VimgPluginImage *out,
                                  GError **error);
/* Frees @writer; what came is kept as far as possible. */
void vimg_slice_writer_abort(VimgSliceWriter *writer);
void vimg_slice_writer_stat(VimgSliceWriter *writer, guint64 *allocation, guint64 *position);
guint64 vimg_slice_writer_reserved(VimgSliceWriter *writer);
VimgSliceStore *vimg_slice_writer_store(const VimgSliceWriter *writer);

#endif
