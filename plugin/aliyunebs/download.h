/*
 * download.h: the bytes of an object in their order, read in parts, many at a time
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_DOWNLOAD_H
#define VIMG_ALIYUNEBS_DOWNLOAD_H

#include "object.h"

typedef struct _VimgOssDownload VimgOssDownload;

/* Copied, but for what they name. */
typedef struct {
    const char *key;
    const VimgOssObject *object; /* as vimg_oss_head() gave it: no other one is read */
    guint64 offset;              /* of the first byte, at most the object's size */
    guint64 part_size;           /* bytes; 0: 8 MiB */
    guint workers;               /* parts in memory, besides the one handed out; 0: 8 */
    const VimgPatience *patience;
} VimgOssDownloadRules;

/* Returns: (transfer full); NULL with VIMG_ERROR_BUSY. */
VimgOssDownload *vimg_oss_download_new(VimgOss *oss, const VimgOssDownloadRules *rules,
                                       GError **error);
/* Waits for the parts in flight, which are given up.  Accepts NULL. */
void vimg_oss_download_free(VimgOssDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgOssDownload, vimg_oss_download_free)

/*
 * The next piece; @out->length 0 after the last one.  All of an object read from its first byte on
 * is compared with the storage's sum before the last piece is handed out, if there is one:
 * VIMG_ERROR_DAMAGED.
 */
gboolean vimg_oss_download_next(VimgOssDownload *download, VimgExtent *out, GError **error);

#endif
