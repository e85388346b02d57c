/*
 * writing.h: the sign in a saving image that somebody writes it
 *
 * images/<uuid>/writing.<lease>.  It counts while that lease is alive.  Whoever wants an image for
 * himself makes the sign, then looks for others; whoever wants it gone takes its name away, then
 * looks for signs: of two that meet, one sees the other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_WRITING_H
#define VIMG_IMAGESTORE_WRITING_H

#include "lease.h"

/* VIMG_ERROR_BUSY naming the host that writes it, VIMG_ERROR_NO_VOL if the image @name went. */
gboolean vimg_writing_begin(VimgLease *lease, const char *uuid, const char *name, GError **error);
void vimg_writing_end(VimgLease *lease, const char *uuid);

/* Returns: (transfer full) the lease of one who writes @uuid and is not @but; NULL: nobody. */
char *vimg_writing_find(VimgSliceStore *store, const char *uuid, const char *but);
/* VIMG_ERROR_BUSY naming the host that writes @uuid. */
gboolean vimg_writing_check(VimgSliceStore *store, const char *uuid, GError **error);

#endif
