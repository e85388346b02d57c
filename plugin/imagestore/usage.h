/*
 * usage.h: how many bytes the slices of a store take, for pools that have a quota
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_USAGE_H
#define VIMG_IMAGESTORE_USAGE_H

#include "transport.h"

typedef struct _VimgUsage VimgUsage;

VimgUsage *vimg_usage_new(void);
/* Accepts NULL. */
void vimg_usage_free(VimgUsage *usage);

/*
 * Looks at the prefix directories, and again into those that may have changed since the last time,
 * for at most ten seconds: a count of a large store is completed by later ones, and too low until
 * then.  Only one thread counts at a time; another gets what is known.  @bytes: used, whatever it
 * returns.  Returns: 0 or a value of errno.
 */
int vimg_usage_count(VimgUsage *usage, VimgTransport *transport, guint64 *bytes);

/* @bytes are about to be staged.  FALSE: they would go beyond @quota, and were not taken. */
gboolean vimg_usage_take(VimgUsage *usage, guint64 bytes, guint64 quota, guint64 *used);
/* Of what was taken, @bytes are staged no more; @stored: they lie in the store now. */
void vimg_usage_settle(VimgUsage *usage, guint64 bytes, gboolean stored);

/* For tests, which do not wait: as if the last look were long ago. */
void vimg_usage_age(VimgUsage *usage);

#endif
