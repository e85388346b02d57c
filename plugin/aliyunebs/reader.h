/*
 * reader.h: the content of an image, read in ranges
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_READER_H
#define VIMG_ALIYUNEBS_READER_H

#include "record.h"

typedef struct _VimgEbsReader VimgEbsReader;

/* For the table of callbacks. */
VimgEbsReader *vimg_ebs_reader_open(VimgEbsStore *store, const char *uuid, guint64 offset,
                                    guint64 length, VimgPluginJob *job, GError **error);
gboolean vimg_ebs_reader_next(VimgEbsReader *reader, VimgExtent *out, GError **error);
/* Accepts NULL. */
/* Of what it reads, borrowed until it is closed; NULL: not known. */
const char *vimg_ebs_reader_generation(const VimgEbsReader *reader);
void vimg_ebs_reader_close(VimgEbsReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgEbsReader, vimg_ebs_reader_close)

/* @out: the object of @record; VIMG_ERROR_DAMAGED: it is another one than was uploaded. */
gboolean vimg_ebs_head(VimgEbsSite *site, const VimgEbsRecord *record, VimgOssObject *out,
                       const VimgPatience *patience, GError **error);

#endif
