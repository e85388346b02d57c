/*
 * download.h: the bytes of one answer, as the client takes them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_DOWNLOAD_H
#define VIMG_EXPORTER_DOWNLOAD_H

#include <sys/types.h>

#include "exporter/link.h"

typedef struct _VimgDownload VimgDownload;

/* Of @length bytes at @offset of the export; compressed, it is as long as it turns out. */
VimgDownload *vimg_download_new(VimgExporterLink *link, const guint8 *hash, guint64 offset,
                                guint64 length, gboolean compress);
void vimg_download_free(VimgDownload *download);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgDownload, vimg_download_free)

/* Returns: how many bytes were put into @out, @max at most; 0 at the end, -1 if it broke. */
ssize_t vimg_download_next(VimgDownload *download, char *out, gsize max);

#endif
