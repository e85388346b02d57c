/*
 * open.h: from a pool's definition to its store: opening, building, removing, staying connected
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_OPEN_H
#define VIMG_ALIYUNEBS_OPEN_H

#include "store.h"

/* For the table of callbacks. */
gboolean vimg_ebs_build(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job,
                        GError **error);
gboolean vimg_ebs_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error);
/* Looks after the storage from then on, and ends what was left of uploads. */
VimgEbsStore *vimg_ebs_open(const VimgPluginPool *pool, guint32 open_flags, VimgPluginHost *host,
                            GError **error);
/* Accepts NULL. */
void vimg_ebs_close(VimgEbsStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgEbsStore, vimg_ebs_close)
/* New keys are used from the next request on. */
gboolean vimg_ebs_update(VimgEbsStore *store, const VimgPluginPool *pool, GError **error);
gboolean vimg_ebs_probe(VimgEbsStore *store, VimgPluginStore *out, GError **error);

/* Returns: (transfer full) where @pool leads, without any I/O on the storage. */
VimgEbsSite *vimg_ebs_site_new(const VimgPluginPool *pool, GError **error);
/* Returns: (transfer full) the storage's id; NULL with VIMG_ERROR_NO_VOL: there is none. */
char *vimg_ebs_read_id(VimgEbsSite *site, const VimgPatience *patience, GError **error);

#endif
