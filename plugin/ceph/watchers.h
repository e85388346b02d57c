/*
 * watchers.h: who has an RBD image open for writing
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_WATCHERS_H
#define VIMG_CEPH_WATCHERS_H

#include "cluster.h"

/* VIMG_ERROR_BUSY naming them.  One that crashed counts for half a minute. */
gboolean vimg_ceph_watchers_check(VimgCluster *cluster, const char *id, GError **error);
/*
 * Nobody but us has it open, else VIMG_ERROR_BUSY: two hosts that come at the same moment see each
 * other, and both give way.  One that slept for longer than its watch lived is not kept from
 * writing where the cluster's administrator chose images without exclusive locks.
 */
gboolean vimg_ceph_watchers_alone(rbd_image_t image, GError **error);

#endif
