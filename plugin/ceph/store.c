/*
 * store.c: the images in one RADOS pool
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "store.h"
#include "thread.h"
#include "throw.h"

const VimgServices *vimg_ceph_services;

VimgCluster *
vimg_ceph_store_cluster(VimgCephStore *store, GError **error)
{
    LOCK_GUARD(&store->lock);
    if (store->cluster)
        return vimg_cluster_ref(store->cluster);
    throw_error(error, VIMG_ERROR_DISCONNECTED, _("the cluster is not connected"));
    return NULL;
}

/* There is none of ours yet. */
gboolean
vimg_ceph_store_remove_all(VimgCephStore *store, VimgPluginJob *job, GError **error)
{
    return TRUE;
}
