/*
 * promise.h: images that no host removes before a time, though they be deleted
 *
 * Each promise is an empty file, images/<uuid>/kept.<id>.<until>.  It is made while the image is
 * there: whoever finds the mark of the trash finds the promise too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_PROMISE_H
#define VIMG_IMAGESTORE_PROMISE_H

#include "store.h"

/* Until when, in seconds, the file @name in the directory of an image keeps it; 0: it is none. */
gint64 vimg_promise_until(const char *name);
/* Whether one that lasts until @until still does, by the clock of hosts. */
gboolean vimg_promise_holds(gint64 until);
/* As keep() of the contract; on a read-only store nothing is promised. */
gboolean vimg_promise_keep(VimgSliceStore *store, const char *uuid, const char *id, gint64 until,
                           GError **error);

#endif
