/*
 * rados-pool.c: the RADOS pool that the images are in
 *
 * One that the definition names is its administrator's and must be there.  Otherwise we make one,
 * and leave an object in it that says so, for what we made we may remove.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "definition.h"
#include "rados-pool.h"
#include "../throw.h"

static gboolean
throw_absent(GError **error, const VimgCluster *cluster, const VimgPluginPool *pool)
{
    if (pool->source_name)
        return throw_error(
            error, VIMG_ERROR_SYSTEM,
            _("cluster %1$s has no RADOS pool '%2$s'; make it there with 'ceph osd pool create', or leave out <name> and let pool-build make one"),
            cluster->fsid, cluster->pool);
    if (pool->store_id)
        return throw_error(
            error, VIMG_ERROR_DISCONNECTED,
            _("cluster %1$s has no RADOS pool '%2$s' any more; pool-build --overwrite makes a new one"),
            cluster->fsid, cluster->pool);
    return throw_error(error, VIMG_ERROR_SYSTEM,
                       _("cluster %1$s has no RADOS pool '%2$s'; pool-build makes it"),
                       cluster->fsid, cluster->pool);
}

/* Whatever is done in a full pool fails at once instead of waiting for room. */
static gboolean
enter(VimgCluster *cluster, GError **error)
{
    int result = rados_ioctx_create2(cluster->rados, cluster->pool_id, &cluster->io);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open RADOS pool '%s'"), cluster->pool);
    rados_set_pool_full_try(cluster->io);
    return TRUE;
}

static gboolean
look_up(VimgCluster *cluster, GError **error)
{
    cluster->pool_id = rados_pool_lookup(cluster->rados, cluster->pool);
    if (cluster->pool_id >= 0 || cluster->pool_id == -ENOENT)
        return TRUE;
    return vimg_cluster_throw(error, (int)cluster->pool_id, _("cannot open RADOS pool '%s'"),
                              cluster->pool);
}

/* Makes it a pool of images, and ours. */
static int
prepare(VimgCluster *cluster)
{
    rados_write_op_t op;
    int result = rbd_pool_init(cluster->io, false);

    if (result < 0)
        return result;
    op = rados_create_write_op();
    rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
    result = rados_write_op_operate(op, cluster->io, VIMG_CEPH_MADE, NULL, 0);
    rados_release_write_op(op);
    return result;
}

static gboolean
make_pool(VimgCluster *cluster, GError **error)
{
    int result = rados_pool_create(cluster->rados, cluster->pool);

    if (result == -EEXIST) /* another host was faster */
        return look_up(cluster, error) && enter(cluster, error);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot make RADOS pool '%s'"), cluster->pool);
    if (!look_up(cluster, error) || !enter(cluster, error))
        return FALSE;
    result = prepare(cluster);
    cluster->made = result == 0;
    if (cluster->made)
        return TRUE;
    rados_pool_delete(cluster->rados, cluster->pool);
    return vimg_cluster_throw(error, result, _("cannot make RADOS pool '%s'"), cluster->pool);
}

gboolean
vimg_rados_pool_open(VimgCluster *cluster, const VimgPluginPool *pool, gboolean make,
                     GError **error)
{
    cluster->pool = vimg_ceph_pool_name(pool);
    if (!look_up(cluster, error))
        return FALSE;
    if (cluster->pool_id >= 0)
        return enter(cluster, error);
    return make && !pool->source_name ? make_pool(cluster, error)
                                      : throw_absent(error, cluster, pool);
}

gboolean
vimg_rados_pool_is_ours(VimgCluster *cluster, gboolean *ours, GError **error)
{
    int result = rados_stat(cluster->io, VIMG_CEPH_MADE, NULL, NULL);

    *ours = result == 0;
    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot read from RADOS pool '%s'"), cluster->pool);
}

gboolean
vimg_rados_pool_delete(VimgCluster *cluster, GError **error)
{
    int result = rados_pool_delete(cluster->rados, cluster->pool);

    if (result == -EPERM)
        return throw_error(
            error, VIMG_ERROR_ACCESS_DENIED,
            _("the cluster lets nobody delete RADOS pool '%s': 'ceph config set mon mon_allow_pool_delete true' allows it"),
            cluster->pool);
    return result >= 0 ||
           vimg_cluster_throw(error, result, _("cannot delete RADOS pool '%s'"), cluster->pool);
}
