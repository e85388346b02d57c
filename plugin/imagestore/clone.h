/*
 * clone.h: a second image of the same content
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_CLONE_H
#define VIMG_IMAGESTORE_CLONE_H

#include "store.h"

/* Copies the index alone.  A failure leaves nothing of @image. */
gboolean vimg_clone(VimgSliceStore *store, const char *source, const VimgPluginImage *image,
                    VimgPluginJob *job, VimgPluginImage *out, GError **error);

#endif
