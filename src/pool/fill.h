/*
 * fill.h: an image gets the content of another, of the same storage or another one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_FILL_H
#define VIMG_POOL_FILL_H

#include "pool/model-private.h"

/* All of it is the caller's. */
typedef struct {
    VimgUse *from, *to;
    VimgJob *from_job, *to_job; /* may be one */
    const VimgPluginImage *base;
    VimgPluginImage *image;  /* what it is to be; its format and sizes are set as they are found */
    VimgPullRequest request; /* between two storages */
    guint64 sent;            /* set: bytes that left the source's storage, about */
    gboolean refused;        /* set: it failed for what came, which can never be used */
} VimgFill;

/* What passes between two pools goes over the network of the one that gets it, if it has one. */
void vimg_fill_choose_network(VimgFill *fill, const VimgPoolDef *from, const VimgPoolDef *to);
/*
 * No data passes by in a clone, which is as good as its source: only for a checksum that is new the
 * source is read beforehand.
 */
gboolean vimg_fill_check(VimgFill *fill, GError **error);
/* Whether the content was, or would be, summed up on the way. */
gboolean vimg_fill_sums(const VimgFill *fill);
/*
 * The saving image that @to holds becomes active, judged whichever way its content came; what came
 * of the same before does not come again if the backend moves it by itself.
 */
gboolean vimg_fill_image(VimgFill *fill, VimgPluginImage *out, GError **error);

/* Content that the daemon reads itself passes over whichever network a pool has. */
gboolean vimg_fill_check_network(const VimgFill *fill, GError **error);

/* Whether the bytes of two images are the same, by reading both. */
gboolean vimg_fill_compare(VimgUse *from, const VimgPluginImage *base, VimgUse *to,
                           const VimgPluginImage *image, VimgJob *job, gboolean *same,
                           GError **error);

#endif
