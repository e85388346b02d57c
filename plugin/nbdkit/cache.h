/*
 * cache.h: blocks of an image that were asked for last, each asked for once
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_NBDKIT_CACHE_H
#define VIMG_NBDKIT_CACHE_H

#include "exporter/link.h"

typedef struct _VimgNbdCache VimgNbdCache;

/* Of an image of @size bytes.  It lives as long as the process. */
VimgNbdCache *vimg_nbd_cache_new(VimgExporterLink *link, guint64 size);
/* @count bytes at @offset, which are there; from any thread. */
VimgExporterStatus vimg_nbd_cache_read(VimgNbdCache *cache, gpointer out, gsize count,
                                       guint64 offset);

#endif
