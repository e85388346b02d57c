/*
 * foreign-clone.c: a volume of libvirt that shares the content of an image of ours
 *
 * libvirt has made an empty one, which says that its client may, and that the name is his.  RBD can
 * clone into no image that is there, so the clone is made beside it and takes its place
 * (foreign-replace.c) when it is known to who would remove it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clone.h"
#include "closing.h"
#include "foreign.h"
#include "image.h"
#include "layout.h"
#include "../throw.h"

/* A clone has what was said of its source, which is no business of libvirt's. */
static gboolean
make_plain(VimgCluster *cluster, const char *volume, guint64 capacity, VimgPluginJob *job,
           GError **error)
{
    rbd_image_t image;
    guint64 size = 0;
    gboolean ok;
    int result = rbd_open(cluster->io, volume, &image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    result = rbd_metadata_remove(image, VIMG_CEPH_METADATA);
    if (result == 0 || result == -ENOENT)
        result = rbd_get_size(image, &size);
    ok = result == 0 || vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    ok = ok && (size >= capacity || vimg_ceph_image_cut(image, capacity, job, error));
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok;
}

static gboolean
finish(VimgCluster *cluster, const char *volume, guint64 capacity, VimgPluginJob *job,
       GError **error)
{
    GError *local = NULL;

    if (make_plain(cluster, volume, capacity, job, &local))
        return TRUE;
    if (!vimg_ceph_is_lost(local))
        rbd_remove(cluster->io, volume);
    g_propagate_error(error, local);
    return FALSE;
}

/* Whether a clone can be made at all, before anything is done. */
static gboolean
check_source(VimgCluster *cluster, rados_ioctx_t io, const VimgCephRecord *from, GError **error)
{
    rbd_image_t image;
    int result = rbd_open_read_only(io, from->rbd, &image, VIMG_CEPH_SNAPSHOT);

    if (result == 0) {
        vimg_ceph_closing_read(cluster, image, NULL);
        return TRUE;
    }
    if (result == -EPERM || result == -ENOENT)
        return throw_error(
            error, VIMG_ERROR_NO_SUPPORT,
            _("the key of libvirt's pool does not allow to read the image, or it has no snapshot"));
    return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
}

static gboolean
make(VimgCluster *cluster, rados_ioctx_t io, const char *volume, const VimgCephRecord *from,
     GError **error)
{
    int result;

    if (!check_source(cluster, io, from, error))
        return FALSE;
    result = vimg_ceph_clone_rbd(cluster, io, from->rbd, volume);
    if (result == -EEXIST)
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "%s", volume);
    return result == 0 || vimg_cluster_throw(error, result, _("cannot clone the RBD image"));
}

gboolean
vimg_ceph_foreign_clone(gpointer foreign, const char *volume, guint64 capacity, gpointer handle,
                        const char *uuid, VimgPluginJob *job, GError **error)
{
    VimgCluster *cluster = foreign;
    g_autoptr(VimgCluster) theirs = vimg_ceph_store_cluster(handle, NULL);
    g_autoptr(VimgCephRecord) from = NULL;
    rados_ioctx_t io;
    gboolean ok;
    int result;

    if (theirs && strcmp(cluster->fsid, theirs->fsid) == 0)
        from = vimg_ceph_clone_source(handle, uuid, NULL);
    if (!from)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the source is in another cluster, or cannot be cloned"));
    /* of the pool's own connection: whoever reads the clone reads its source by the same key */
    result = rados_ioctx_create2(cluster->rados, theirs->pool_id, &io);
    if (result < 0)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the key of libvirt's pool does not reach RADOS pool '%s'"),
                           theirs->pool);
    ok = make(cluster, io, volume, from, error) && finish(cluster, volume, capacity, job, error);
    rados_ioctx_destroy(io);
    return ok;
}
