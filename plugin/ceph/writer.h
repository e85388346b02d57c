/*
 * writer.h: one upload
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_WRITER_H
#define VIMG_CEPH_WRITER_H

#include "record.h"

typedef struct _VimgCephWriter VimgCephWriter;

/* For the table of callbacks. */
VimgCephWriter *vimg_ceph_writer_open(VimgCephStore *store, const char *uuid,
                                      const VimgWriteRequest *request, VimgPluginJob *job,
                                      GError **error);
/* What comes looks like @format. */
void vimg_ceph_writer_format(VimgCephWriter *writer, const char *format);
gboolean vimg_ceph_writer_read(VimgCephWriter *writer, guint64 offset, gsize size, VimgExtent *out,
                               GError **error);
/* @data NULL: zeros. */
gboolean vimg_ceph_writer_write(VimgCephWriter *writer, const guint8 *data, guint64 size,
                                GError **error);
gboolean vimg_ceph_writer_finish(VimgCephWriter *owned, gboolean seal, const VimgPluginImage *image,
                                 VimgPluginImage *out, GError **error);
void vimg_ceph_writer_abort(VimgCephWriter *owned);
void vimg_ceph_writer_stat(VimgCephWriter *writer, guint64 *allocation, guint64 *position);

#endif
