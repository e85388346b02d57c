/*
 * writer.h: one upload
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_WRITER_H
#define VIMG_ALIYUNEBS_WRITER_H

#include "record.h"

typedef struct _VimgEbsWriter VimgEbsWriter;

/* For the table of callbacks. */
VimgEbsWriter *vimg_ebs_writer_open(VimgEbsStore *store, const char *uuid,
                                    const VimgWriteRequest *request, VimgPluginJob *job,
                                    GError **error);
/* @data NULL: zeros. */
gboolean vimg_ebs_writer_write(VimgEbsWriter *writer, const guint8 *data, guint64 size,
                               GError **error);
gboolean vimg_ebs_writer_finish(VimgEbsWriter *owned, gboolean seal, const VimgPluginImage *image,
                                VimgPluginImage *out, GError **error);
void vimg_ebs_writer_abort(VimgEbsWriter *owned);
void vimg_ebs_writer_stat(VimgEbsWriter *writer, guint64 *allocation, guint64 *position);

/* VIMG_ERROR_NO_SPACE: the pool would hold more than its definition allows. */
gboolean vimg_ebs_admit(VimgEbsStore *store, guint64 size, GError **error);

#endif
