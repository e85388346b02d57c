/*
 * open.h: from a pool's definition to its store: opening, building, removing, staying connected
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_OPEN_H
#define VIMG_CEPH_OPEN_H

#include "store.h"

/* For the table of callbacks. */
gboolean vimg_ceph_build(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job,
                         GError **error);
gboolean vimg_ceph_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error);
/* Probes the cluster every minute from then on, and tells the daemon if it is lost. */
VimgCephStore *vimg_ceph_open(const VimgPluginPool *pool, VimgPluginHost *host, GError **error);
/* Only of what vimg_ceph_open() returned.  Accepts NULL. */
void vimg_ceph_close(VimgCephStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephStore, vimg_ceph_close)
/* Connects anew, beside those who still use the former connection, if monitors or secrets changed.
 */
gboolean vimg_ceph_update(VimgCephStore *store, const VimgPluginPool *pool, GError **error);
gboolean vimg_ceph_probe(VimgCephStore *store, VimgPluginStore *out, GError **error);

#endif
