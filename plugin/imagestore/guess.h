/*
 * guess.h: what images looked like last, so that it can be asked for without looking first
 *
 * A storage far away is asked for the names in the directory of an image and, in the same trips,
 * for what is probably there.  A wrong guess only costs these trips.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_GUESS_H
#define VIMG_IMAGESTORE_GUESS_H

#include "store.h"

/* @uuid has, or gets just now, the manifest @number, which says that its name is @name. */
void vimg_guess_note(VimgSliceStore *store, const char *uuid, const char *name, guint64 number);
/* @name: (transfer full).  FALSE: nothing is known. */
gboolean vimg_guess_find(VimgSliceStore *store, const char *uuid, char **name, guint64 *number);
/* Frees what @store noted. */
void vimg_guess_clear(VimgSliceStore *store);

#endif
