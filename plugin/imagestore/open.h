/*
 * open.h: from a pool's definition to its store: opening, building, removing
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_OPEN_H
#define VIMG_IMAGESTORE_OPEN_H

#include "store.h"

gboolean vimg_pool_check(const VimgPluginPool *pool, GError **error);
/* Returns: (transfer full) */
char *vimg_pool_identity(const VimgPluginPool *pool);
gboolean vimg_pool_build(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job,
                         GError **error);
gboolean vimg_pool_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error);
/* Returns: (transfer full); NULL with @error */
VimgSliceStore *vimg_pool_open(const VimgPluginPool *pool, guint32 open_flags, GError **error);
/* What of a changed definition takes effect while open. */
void vimg_pool_apply(const VimgPluginPool *pool, VimgSliceStore *store);

#endif
