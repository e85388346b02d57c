/*
 * clock.h: what time the storage has
 *
 * Times of files follow the clock of whoever serves them, which may be any: they are compared with
 * one another, never with our own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_CLOCK_H
#define VIMG_IMAGESTORE_CLOCK_H

#include "store.h"

/* Returns: seconds since 1970 of a time such as VimgFileInfo has. */
gint64 vimg_clock_seconds(gint64 mtime);
/* What time the storage has, in seconds: that of @path, a file that is there and is written anew.
 */
int vimg_clock_ask(VimgTransport *transport, const char *path, gint64 *out);
/* The same by a lease that ends at once; of a read-only store that of our clock. */
gboolean vimg_clock_now(VimgSliceStore *store, gint64 *out, GError **error);

#endif
