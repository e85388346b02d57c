/*
 * cache.h: blocks of an image that were read, each asked for once while there is room for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_NBDKIT_CACHE_H
#define VIMG_NBDKIT_CACHE_H

#include "map.h"

typedef struct _VimgNbdCache VimgNbdCache;

/*
 * Of an image of @size bytes, in the file @fd, which takes @room bytes and into which the daemon
 * puts them.  It lives as long as the process.
 */
VimgNbdCache *vimg_nbd_cache_new(VimgExporterLink *link, const VimgNbdMap *map, guint64 size,
                                 int fd, guint64 room, GError **error);
/* @count bytes at @offset, which are there; from any thread. */
VimgExporterStatus vimg_nbd_cache_read(VimgNbdCache *cache, gpointer out, gsize count,
                                       guint64 offset);

#endif
