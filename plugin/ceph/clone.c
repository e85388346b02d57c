/*
 * clone.c: a second image of the same content
 *
 * It is staged as an upload is, and becomes active by the same rename.  RBD keeps what both have in
 * common once, however large it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "clone.h"
#include "closing.h"
#include "flatten.h"
#include "publish.h"
#include "throw.h"

VimgCephRecord *
vimg_ceph_clone_source(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCephRecord) source = vimg_ceph_record_find(store, uuid, error);

    if (!source)
        return NULL;
    if (vimg_ceph_record_is_staged(source)) {
        throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image is not complete yet"));
        return NULL;
    }
    if (!source->ours) {
        throw_error(error, VIMG_ERROR_NO_SUPPORT, _("images of other tools are not cloned"));
        return NULL;
    }
    return g_steal_pointer(&source);
}

/* ---- RBD's own clone -------------------------------------------------------------------- */

int
vimg_ceph_clone_at(VimgCluster *cluster, rados_ioctx_t io, const char *from, const char *snapshot,
                   const char *to, guint64 format)
{
    rbd_image_options_t options;
    int result;

    rbd_image_options_create(&options);
    result = rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_CLONE_FORMAT, format);
    if (result == 0)
        result = rbd_clone3(io, from, snapshot, cluster->io, to, options);
    rbd_image_options_destroy(options);
    return result;
}

static int
protect(VimgCluster *cluster, rados_ioctx_t io, const char *from)
{
    rbd_image_t image;
    int result = rbd_open(io, from, &image, NULL);

    if (result < 0)
        return result;
    result = rbd_snap_protect(image, VIMG_CEPH_SNAPSHOT);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return result == -EBUSY ? 0 : result;
}

/* In clusters that still serve clients of 2017 the newer format is refused. */
int
vimg_ceph_clone_rbd(VimgCluster *cluster, rados_ioctx_t io, const char *from, const char *to)
{
    int result = vimg_ceph_clone_at(cluster, io, from, VIMG_CEPH_SNAPSHOT, to, 2);

    if (result != -EINVAL && result != -EOPNOTSUPP)
        return result;
    result = protect(cluster, io, from);
    return result == 0 ? vimg_ceph_clone_at(cluster, io, from, VIMG_CEPH_SNAPSHOT, to, 1) : result;
}

/* ---- ours ------------------------------------------------------------------------------- */

/* What the source was made of, so was the clone; unless the checksum is one of what it gives out.
 */
static void
take_upload(VimgPluginImage *info, const VimgPluginImage *source)
{
    if (!source->uploaded_format ||
        (info->checksum && g_strcmp0(info->checksum, source->checksum) != 0))
        return;
    g_free(info->uploaded_format);
    info->uploaded_format = g_strdup(source->uploaded_format);
    info->uploaded_size = source->uploaded_size;
    if (info->checksum)
        return;
    info->checksum_type = g_strdup(source->checksum_type);
    info->checksum = g_strdup(source->checksum);
}

static VimgCephRecord *
describe(const VimgCephRecord *source, const VimgPluginImage *image)
{
    VimgCephRecord *record = vimg_ceph_record_new(image);
    VimgPluginImage *info = &record->info;

    record->rbd = g_strconcat(VIMG_CEPH_STAGED, info->uuid, NULL);
    record->begun = TRUE;
    record->digest = g_strdup(source->digest);
    take_upload(info, &source->info);
    g_free(info->format);
    info->format = g_strdup(source->info.format);
    g_free(info->parent);
    info->parent = g_strdup(source->info.uuid);
    info->capacity = source->info.capacity;
    info->physical = source->info.physical;
    info->allocation = source->info.allocation;
    info->flatten = FALSE;
    info->position = 0;
    if (info->created == 0)
        info->created = g_get_real_time() / G_USEC_PER_SEC;
    return record;
}

gboolean
vimg_ceph_clone_publish(VimgCephStore *store, VimgCluster *cluster, VimgCephRecord *record,
                        gboolean flatten, VimgPluginJob *job, GError **error)
{
    VimgCephPublication publication = {
        .store = store, .cluster = cluster, .job = job, .record = record};
    gboolean ok;
    int result = rbd_open(cluster->io, record->rbd, &publication.image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = (!flatten || vimg_ceph_flatten_open(publication.image, job, error)) &&
         vimg_ceph_publish(&publication, error);
    vimg_ceph_closing(cluster, publication.image, NULL, NULL);
    return ok;
}

static gboolean
make_clone(VimgCephStore *store, VimgCluster *cluster, rados_ioctx_t io, const char *from,
           VimgCephRecord *record, gboolean flatten, VimgPluginJob *job, GError **error)
{
    int result = vimg_ceph_clone_rbd(cluster, io, from, record->rbd);
    GError *local = NULL;

    if (result == -ENOENT)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the RBD image has no snapshot '%s' to be cloned from"),
                           VIMG_CEPH_SNAPSHOT);
    if (result == -EPERM && io != cluster->io)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the key does not allow to read the source's RADOS pool"));
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot clone the RBD image"));
    if (vimg_ceph_clone_publish(store, cluster, record, flatten, job, &local))
        return TRUE;
    if (!vimg_ceph_is_lost(local))
        rbd_remove(cluster->io, record->rbd);
    g_propagate_error(error, local);
    return FALSE;
}

static gboolean
clone_image(VimgCephStore *store, VimgCluster *cluster, rados_ioctx_t io,
            const VimgCephRecord *from, const VimgPluginImage *image, VimgPluginJob *job,
            VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgCephRecord) record = NULL;
    gboolean flatten = VIMG_PLUGIN_IMAGE_HAS(image, flatten) && image->flatten;
    GError *local = NULL;

    if (!vimg_cluster_admit(cluster, flatten ? from->info.allocation : 0, error) ||
        !vimg_ceph_claim_take(cluster, image->name, image->uuid, error))
        return FALSE;
    record = describe(from, image);
    if (!make_clone(store, cluster, io, from->rbd, record, flatten, job, &local)) {
        if (!vimg_ceph_is_lost(local))
            vimg_ceph_claim_drop(cluster, image->name, image->uuid);
        g_propagate_error(error, local);
        return FALSE;
    }
    vimg_ceph_record_give(record, out);
    return TRUE;
}

gboolean
vimg_ceph_clone(VimgCephStore *store, const char *source, const VimgPluginImage *image,
                VimgPluginJob *job, VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) from = cluster ? vimg_ceph_clone_source(store, source, error) : NULL;

    return from && clone_image(store, cluster, cluster->io, from, image, job, out, error);
}

gboolean
vimg_ceph_clone_from(VimgCephStore *store, VimgCephStore *other, const char *source,
                     const VimgPluginImage *image, VimgPluginJob *job, VimgPluginImage *out,
                     GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCluster) theirs = vimg_ceph_store_cluster(other, NULL);
    g_autoptr(VimgCephRecord) from = NULL;
    rados_ioctx_t io;
    gboolean ok;
    int result;

    if (!cluster)
        return FALSE;
    if (theirs && strcmp(cluster->fsid, theirs->fsid) == 0)
        from = vimg_ceph_clone_source(other, source, NULL);
    if (!from)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the source is in another cluster, or cannot be cloned"));
    /* of our own connection: whoever reads the clone reads its source by the same key */
    result = rados_ioctx_create2(cluster->rados, theirs->pool_id, &io);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open RADOS pool '%s'"), theirs->pool);
    ok = clone_image(store, cluster, io, from, image, job, out, error);
    rados_ioctx_destroy(io);
    return ok;
}
