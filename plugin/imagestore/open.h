/*
 * open.h: from a pool's definition to its store: opening, building, removing
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_OPEN_H
#define VIMG_IMAGESTORE_OPEN_H

#include "store.h"

gboolean vimg_imagestore_check(const VimgPluginPool *pool, GError **error);
/* Returns: (transfer full) */
char *vimg_imagestore_identity(const VimgPluginPool *pool);
gboolean vimg_imagestore_build(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job,
                               GError **error);
gboolean vimg_imagestore_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error);
/* Returns: (transfer full); NULL with @error */
VimgSliceStore *vimg_imagestore_open(const VimgPluginPool *pool, guint32 open_flags,
                                     VimgPluginHost *host, GError **error);
/* The update() of the contract. */
gboolean vimg_imagestore_update(VimgSliceStore *store, const VimgPluginPool *pool, GError **error);
/* Returns: bytes that @pool keeps free of a storage that has @total. */
guint64 vimg_imagestore_reserve(const VimgPluginPool *pool, guint64 total);
/* What of a changed definition takes effect while open; all of it or, FALSE, nothing. */
gboolean vimg_imagestore_apply(const VimgPluginPool *pool, VimgSliceStore *store, GError **error);

#endif
