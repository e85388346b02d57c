/*
 * map.h: where an image is known to be zeros, asked for once
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_NBDKIT_MAP_H
#define VIMG_NBDKIT_MAP_H

#include "exporter/link.h"

typedef struct _VimgNbdMap VimgNbdMap;

/* Of an image of @size bytes.  It does not change, and lives as long as the process. */
VimgExporterStatus vimg_nbd_map_load(VimgExporterLink *link, guint64 size, VimgNbdMap **out);
/* How many of the @length bytes at @offset, which are there, are alike: at least one. */
guint64 vimg_nbd_map_look(const VimgNbdMap *map, guint64 offset, guint64 length, gboolean *zeros);

/* From where to @offset only zeros are known to be: at most it. */
guint64 vimg_nbd_map_before(const VimgNbdMap *map, guint64 offset);

#endif
