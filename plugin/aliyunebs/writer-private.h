/*
 * writer-private.h: what the files of an upload of an image share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_WRITER_PRIVATE_H
#define VIMG_ALIYUNEBS_WRITER_PRIVATE_H

#include "hold.h"
#include "journal.h"
#include "multipart.h"
#include "writer.h"

struct _VimgEbsWriter {
    VimgEbsStore *store;
    VimgEbsSite *site;
    VimgPluginJob *job;
    VimgEbsRecord *record; /* as it is in the bucket */
    VimgEbsJournal *journal;
    GPtrArray *metadata;
    VimgPatience patience;
    VimgOssUploadRules rules;
    VimgOssUpload *upload; /* NULL: the object is complete, and what comes is compared with it */
    VimgOssObject object;  /* that one */
    guint64 crc;           /* of what came, if there is no upload */
    guint64 length;        /* of what came */
    VimgEbsHold hold;
};

/* @total: bytes that will come; 0: not known.  An upload to take up, or a new one, is open; a
 * complete object is known. */
gboolean vimg_ebs_writer_begin(VimgEbsWriter *writer, guint64 total, GError **error);
/* All came: the object is there, the image is made of it, and active. */
gboolean vimg_ebs_writer_seal(VimgEbsWriter *writer, const VimgPluginImage *image,
                              VimgPluginImage *out, GError **error);

#endif
