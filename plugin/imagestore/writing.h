/*
 * writing.h: one upload of a saving image at a time, whichever host it comes from
 *
 * images/<uuid>/writing.<lease> is its sign.  The collector, too, makes one before it takes an
 * abandoned image away.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_WRITING_H
#define VIMG_IMAGESTORE_WRITING_H

#include "lease.h"

/*
 * VIMG_ERROR_BUSY naming the host that writes it, VIMG_ERROR_NO_VOL if the image @name went; NULL:
 * whoever asks looks himself whether it is there, afterwards.  @names: as of vimg_sign_try().
 */
gboolean vimg_writing_begin(VimgLease *lease, const char *uuid, const char *name, GPtrArray **names,
                            GError **error);
void vimg_writing_end(VimgLease *lease, const char *uuid);
/* VIMG_ERROR_BUSY naming the host that writes @uuid. */
gboolean vimg_writing_check(VimgSliceStore *store, const char *uuid, GError **error);

#endif
