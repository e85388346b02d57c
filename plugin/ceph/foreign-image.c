/*
 * foreign-image.c: an image of ours that shares the content of a volume of libvirt
 *
 * The volume, which a machine may write to, gets a snapshot, of which the image is a clone of RBD's
 * second format: so the snapshot can be removed at once, and RBD keeps it out of sight until the
 * image is gone or flattened.  Whoever has the volume open for writing takes the snapshot itself,
 * between two writes and with all that it holds back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "clone.h"
#include "closing.h"
#include "foreign.h"
#include "layout.h"
#include "takes.h"
#include "../throw.h"

#define PREFIX "virtimage.take." /* of snapshots that live as long as a call */

/* ---- the snapshot ----------------------------------------------------------------------- */

static gboolean
take_snapshot(VimgCluster *cluster, const char *volume, const char *name, guint64 *size,
              GError **error)
{
    rbd_image_t image;
    gboolean ok;
    int result = rbd_open(cluster->io, volume, &image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    result = rbd_snap_create(image, name);
    ok = result == 0 ||
         vimg_cluster_throw(error, result, _("cannot take a snapshot of the RBD image"));
    if (ok) {
        result = rbd_snap_set(image, name);
        if (result == 0)
            result = rbd_get_size(image, size);
        ok = result == 0 || vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
        rbd_snap_set(image, NULL);
    }
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok;
}

static gboolean
note_snapshot(VimgCluster *cluster, VimgCluster *theirs, const char *volume, const char *name,
              GError **error)
{
    g_autofree char *id = NULL;
    int result = vimg_layout_id_of(theirs, volume, &id);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    return vimg_ceph_take_note(cluster, name, theirs->pool_id, id, error);
}

/* One that has a clone goes out of sight, until that is gone too.  Returns: whether it is gone. */
static gboolean
drop_snapshot(VimgCluster *cluster, const char *volume, const char *name)
{
    rbd_image_t image;
    int result = rbd_open(cluster->io, volume, &image, NULL);

    if (result == 0) {
        result = rbd_snap_remove(image, name);
        vimg_ceph_closing(cluster, image, NULL, NULL);
    }
    if (result == 0 || result == -ENOENT)
        return TRUE;
    vimg_ceph_warn("snapshot '%s' is left in RBD image '%s/%s', which cannot be deleted before: "
                   "remove it with rbd snap rm %s/%s@%s, or by a later cleanup: %s",
                   name, cluster->pool, volume, cluster->pool, volume, name, g_strerror(-result));
    return FALSE;
}

/* ---- the image -------------------------------------------------------------------------- */

typedef struct {
    rados_ioctx_t io; /* where the volume is, by the connection of the image */
    const char *volume, *snapshot;
} Source;

static gboolean
clone_volume(VimgCluster *cluster, const char *to, gpointer data, GError **error)
{
    const Source *source = data;
    int result = vimg_ceph_clone_at(cluster, source->io, source->volume, source->snapshot, to, 2);

    if (result == -EPERM || result == -EINVAL || result == -EOPNOTSUPP)
        return throw_error(
            error, VIMG_ERROR_NO_SUPPORT,
            _("the pool's key does not reach the volume, or the cluster makes no such clones"));
    return result == 0 || vimg_cluster_throw(error, result, _("cannot clone the RBD image"));
}

static gboolean
make_image(VimgCephCloning *cloning, const VimgPluginImage *image, guint64 size,
           VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgCephRecord) record = vimg_ceph_clone_record(image, "raw", size);

    cloning->bytes = size;
    return vimg_ceph_clone_make(cloning, record, out, error);
}

gboolean
vimg_ceph_foreign_image(gpointer foreign, const char *volume, gpointer handle,
                        const VimgPluginImage *image, VimgPluginJob *job, VimgPluginImage *out,
                        GError **error)
{
    VimgCluster *theirs = foreign;
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(handle, error);
    g_autofree char *snapshot = g_strconcat(PREFIX, image->uuid, NULL);
    Source source = {NULL, volume, snapshot};
    VimgCephCloning cloning = {
        .store = handle,
        .cluster = cluster,
        .job = job,
        .flatten = VIMG_PLUGIN_IMAGE_HAS(image, flatten) && image->flatten,
        .clone = clone_volume,
        .data = &source,
    };
    guint64 size = 0;
    gboolean ok;

    if (!cluster)
        return FALSE;
    if (strcmp(cluster->fsid, theirs->fsid) != 0)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT, _("the volume is in another cluster"));
    if (rados_ioctx_create2(cluster->rados, theirs->pool_id, &source.io) < 0)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the pool's key does not reach RADOS pool '%s'"), theirs->pool);
    ok = note_snapshot(cluster, theirs, volume, snapshot, error);
    if (ok) {
        ok = take_snapshot(theirs, volume, snapshot, &size, error) &&
             make_image(&cloning, image, size, out, error);
        if (drop_snapshot(theirs, volume, snapshot))
            vimg_ceph_take_forget(cluster, snapshot);
    }
    rados_ioctx_destroy(source.io);
    /* the images' own key may not reach what was left of an earlier one */
    vimg_ceph_takes_sweep_apart(handle, cluster, theirs);
    return ok;
}
