/*
 * pull.h: an image of another store
 *
 * The slices that are missing here travel as they lie there, and the index is the same; so both
 * stores must cut alike.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_PULL_H
#define VIMG_IMAGESTORE_PULL_H

#include "reader.h"

/* As pull(), pulled_open() and same() of the contract. */
gboolean vimg_pull(VimgSliceStore *store, const char *uuid, VimgSliceStore *source,
                   const char *from, const VimgPullRequest *request, VimgPluginJob *job,
                   guint64 *sent, VimgPluginImage *out, GError **error);
VimgSliceReader *vimg_pulled_open(gpointer content, guint64 offset, guint64 length,
                                  VimgPluginJob *job, GError **error);
gboolean vimg_pull_same(VimgSliceStore *store, const char *uuid, VimgSliceStore *source,
                        const char *from, gboolean *same, GError **error);

#endif
