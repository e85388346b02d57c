/*
 * takes.h: snapshots in volumes of libvirt that live as long as a call
 *
 * Each is noted beside the images before it is taken, so that a cleanup finds what a daemon left
 * that died in the middle, wherever in the cluster that is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_TAKES_H
#define VIMG_CEPH_TAKES_H

#include "store.h"

typedef struct {
    char *snapshot;
    gint64 noted;   /* seconds since 1970 */
    gint64 pool_id; /* of the volume */
    char *id;       /* RBD's, of the volume */
} VimgCephTake;

/* @cluster is that of the images, @id RBD's of the volume in the RADOS pool @pool_id. */
gboolean vimg_ceph_take_note(VimgCluster *cluster, const char *snapshot, gint64 pool_id,
                             const char *id, GError **error);
/* It is gone.  What cannot be forgotten now, a cleanup forgets. */
void vimg_ceph_take_forget(VimgCluster *cluster, const char *snapshot);
/* Returns: (transfer full) of VimgCephTake; NULL with @error. */
GPtrArray *vimg_ceph_take_list(VimgCluster *cluster, GError **error);
/* Removes it from its volume, with the key of @by, and forgets it; the error names both. */
gboolean vimg_ceph_take_clean(VimgCluster *cluster, VimgCluster *by, const VimgCephTake *take,
                              GError **error);
/* Those in the RADOS pool of @by that are older than @age seconds, an hour at least. */
void vimg_ceph_takes_sweep(VimgCluster *cluster, VimgCluster *by, guint64 age);
/* The same of @store, whose @cluster is, for which nobody waits: the guest whose volume is looked
 * at may be frozen. */
void vimg_ceph_takes_sweep_apart(const VimgCephStore *store, VimgCluster *cluster, VimgCluster *by);
/* Waits for that, but no longer than some seconds: before its pool ends, and the process may. */
void vimg_ceph_takes_settle(const VimgCephStore *store);
/* All, and the list, of a pool that is removed. */
gboolean vimg_ceph_takes_remove(VimgCluster *cluster, GError **error);

#endif
