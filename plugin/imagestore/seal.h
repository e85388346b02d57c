/*
 * seal.h: making an image active
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SEAL_H
#define VIMG_IMAGESTORE_SEAL_H

#include "image.h"
#include "index.h"
#include "lease.h"
#include "parent.h"

typedef struct {
    VimgLease *lease;
    /* the parent, the sealed format and capacity are the caller's; the newest gets them */
    VimgManifest *manifest;
    const VimgIndex *index;
    VimgPluginJob *job;
    VimgParents *parents; /* of which one is the parent; NULL: the manifest says it */
    /* @manifest was the newest of a saving image that had its name */
    gboolean seen;
    /* what says that the lease writes the image: once that is active both end; NULL: neither does
     */
    const char *sign;
} VimgSeal;

/*
 * Makes the image active.  @out: what it is then, empty if another host did it at the same time.
 * On failure the image is saving, as it was.
 */
gboolean vimg_seal(const VimgSeal *seal, VimgStoredImage *out, GError **error);

#endif
