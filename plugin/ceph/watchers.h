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

#endif
