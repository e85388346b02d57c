/*
 * ahead.h: who reads an image in order, and which blocks to read before they are asked for
 *
 * No locks: whoever has it takes care.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_NBDKIT_AHEAD_H
#define VIMG_NBDKIT_AHEAD_H

#include "map.h"

typedef struct _VimgNbdAhead VimgNbdAhead;

/* Whether block @number need not be read. */
typedef gboolean (*VimgNbdAheadIsThere)(gconstpointer data, guint64 number);

/*
 * Of an image of @size bytes, of which so many blocks, @window at most, are read ahead for each who
 * reads in order.  It lives as long as the process.
 */
VimgNbdAhead *vimg_nbd_ahead_new(const VimgNbdMap *map, guint64 size, guint window);
/*
 * Somebody reads block @number.  Returns: whether it follows what somebody has just read, be it
 * behind zeros: then more will be read.
 */
gboolean vimg_nbd_ahead_note(VimgNbdAhead *ahead, guint64 number);
/*
 * A block that is to be read now, in the order of each who reads; *@turn is given back when that is
 * done.  FALSE: there is none.
 */
gboolean vimg_nbd_ahead_take(VimgNbdAhead *ahead, VimgNbdAheadIsThere is_there, gconstpointer data,
                             guint64 *number, guint *turn);
/* Whether there is one. */
gboolean vimg_nbd_ahead_has(VimgNbdAhead *ahead, VimgNbdAheadIsThere is_there, gconstpointer data);
void vimg_nbd_ahead_give_back(VimgNbdAhead *ahead, guint turn);

#endif
