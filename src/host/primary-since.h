/*
 * primary-since.h: filling an image with what a volume holds since such a moment
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_SINCE_H
#define VIMG_HOST_PRIMARY_SINCE_H

#include "host/primary-private.h"

typedef struct {
    VimgTransfer *upload;
    VimgTransfer *base; /* NULL: there is none */
    const char *base_name;
    guint64 base_at;  /* of the first byte of .piece */
    VimgExtent piece; /* what came of it last */
    guint64 at;
    guint64 read;
} VimgHostFill;

/* All that @reader tells; what is the same comes of .base, whose bytes are so many at least. */
gboolean vimg_host_fill_pour(VimgHostFill *fill, VimgForeignReader *reader, GError **error);
void vimg_host_fill_clear(VimgHostFill *fill); /* the transfers are the caller's */

#endif
