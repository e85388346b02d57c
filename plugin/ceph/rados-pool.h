/*
 * rados-pool.h: the RADOS pool that the images are in
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_RADOS_POOL_H
#define VIMG_CEPH_RADOS_POOL_H

#include "cluster.h"

#define VIMG_CEPH_MADE "virtimage.made" /* object in a RADOS pool that we made */

/* Sets .pool, .pool_id and .io of @cluster.  @make: as for vimg_cluster_connect(). */
gboolean vimg_rados_pool_open(VimgCluster *cluster, const VimgPluginPool *pool, gboolean make,
                              GError **error);
/* @ours: we made the RADOS pool, not its administrator. */
gboolean vimg_rados_pool_is_ours(VimgCluster *cluster, gboolean *ours, GError **error);
/* For good, with all that is in it. */
gboolean vimg_rados_pool_delete(VimgCluster *cluster, GError **error);

#endif
