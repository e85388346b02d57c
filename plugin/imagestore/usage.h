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
 * Looks at the prefix directories, and again into those that changed since the last time.  Two
 * threads never do so at once: the second waits for the first count ever, and otherwise gets what
 * is known.  Returns: 0 or a value of errno.
 */
int vimg_usage_count(VimgUsage *usage, VimgTransport *transport, guint64 *bytes);

/* @bytes more are about to be stored.  FALSE: they would go beyond @quota, and were not counted. */
gboolean vimg_usage_add(VimgUsage *usage, guint64 bytes, guint64 quota, guint64 *used);

#endif
