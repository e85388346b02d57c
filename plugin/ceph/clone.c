/*
 * clone.c: a second image of the same content
 *
 * It is staged as an upload is, and becomes active by the same rename.  RBD keeps what both have in
 * common once, however large it is.  So is what is made of a volume of libvirt.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "clone.h"
#include "closing.h"
#include "flatten.h"
#include "publish.h"
#include "../throw.h"

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

VimgCephRecord *
vimg_ceph_clone_record(const VimgPluginImage *image, const char *format, guint64 size)
{
    VimgCephRecord *record = vimg_ceph_record_new(image);
    VimgPluginImage *info = &record->info;

    record->rbd = g_strconcat(VIMG_CEPH_STAGED, info->uuid, NULL);
    record->begun = TRUE;
    g_free(info->format);
    info->format = g_strdup(format);
    info->capacity = info->physical = size;
    info->allocation = 0;
    info->flatten = FALSE;
    info->position = 0;
    if (info->created == 0)
        info->created = g_get_real_time() / G_USEC_PER_SEC;
    return record;
}

static gboolean
publish(const VimgCephCloning *cloning, VimgCephRecord *record, GError **error)
{
    VimgCephPublication publication = {.store = cloning->store,
                                       .cluster = cloning->cluster,
                                       .job = cloning->job,
                                       .record = record};
    gboolean ok;
    int result = rbd_open(cloning->cluster->io, record->rbd, &publication.image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = (!cloning->flatten || vimg_ceph_flatten_open(publication.image, cloning->job, error)) &&
         vimg_ceph_publish(&publication, error);
    if (ok && cloning->published)
        cloning->published(publication.image, record, cloning->data);
    vimg_ceph_closing(cloning->cluster, publication.image, NULL, NULL);
    return ok;
}

static gboolean
make(const VimgCephCloning *cloning, VimgCephRecord *record, GError **error)
{
    GError *local = NULL;

    if (!cloning->clone(cloning->cluster, record->rbd, cloning->data, error))
        return FALSE;
    if (publish(cloning, record, &local))
        return TRUE;
    if (!vimg_ceph_is_lost(local))
        rbd_remove(cloning->cluster->io, record->rbd);
    g_propagate_error(error, local);
    return FALSE;
}

gboolean
vimg_ceph_clone_make(const VimgCephCloning *cloning, VimgCephRecord *record, VimgPluginImage *out,
                     GError **error)
{
    VimgCluster *cluster = cloning->cluster;
    g_autofree char *uuid = g_strdup(record->info.uuid);
    g_autofree char *name = g_strdup(record->info.name);
    GError *local = NULL;

    if (!vimg_cluster_admit(cluster, cloning->flatten ? cloning->bytes : 0, error) ||
        !vimg_ceph_claim_take(cluster, name, uuid, error))
        return FALSE;
    if (make(cloning, record, &local)) {
        vimg_ceph_record_give(record, out);
        return TRUE;
    }
    if (!vimg_ceph_is_lost(local))
        vimg_ceph_claim_drop(cluster, name, uuid);
    g_propagate_error(error, local);
    return FALSE;
}

/* ---- of an image of ours ---------------------------------------------------------------- */

typedef struct {
    rados_ioctx_t io; /* where the source is, by the connection of what it becomes */
    const VimgCephRecord *from;
} Source;

static gboolean
clone_image_of(VimgCluster *cluster, const char *to, gpointer data, GError **error)
{
    const Source *source = data;
    int result = vimg_ceph_clone_rbd(cluster, source->io, source->from->rbd, to);

    if (result == -ENOENT)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the RBD image has no snapshot '%s' to be cloned from"),
                           VIMG_CEPH_SNAPSHOT);
    if (result == -EPERM && source->io != cluster->io)
        return throw_error(error, VIMG_ERROR_NO_SUPPORT,
                           _("the key does not allow to read the source's RADOS pool"));
    return result == 0 || vimg_cluster_throw(error, result, _("cannot clone the RBD image"));
}

/* What is said of its source only then: until it has its name, something else may be uploaded. */
static void
take_content(rbd_image_t image, VimgCephRecord *record, gpointer data)
{
    const Source *source = data;
    g_autoptr(GError) error = NULL;

    record->digest = g_strdup(source->from->digest);
    take_upload(&record->info, &source->from->info);
    if (!vimg_ceph_record_save(image, record, &error))
        vimg_ceph_warn("what was uploaded of image '%s' is not known of its clone '%s': %s",
                       source->from->info.name, record->info.name, error->message);
}

static gboolean
clone_image(VimgCephStore *store, VimgCluster *cluster, rados_ioctx_t io,
            const VimgCephRecord *from, const VimgPluginImage *image, VimgPluginJob *job,
            VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgCephRecord) record =
        vimg_ceph_clone_record(image, from->info.format, from->info.physical);
    Source source = {io, from};
    const VimgCephCloning cloning = {
        .store = store,
        .cluster = cluster,
        .job = job,
        .flatten = VIMG_PLUGIN_IMAGE_HAS(image, flatten) && image->flatten,
        .bytes = from->info.allocation,
        .clone = clone_image_of,
        .published = take_content,
        .data = &source,
    };

    g_free(record->info.parent);
    record->info.parent = g_strdup(from->info.uuid);
    record->info.capacity = from->info.capacity;
    record->info.allocation = from->info.allocation;
    return vimg_ceph_clone_make(&cloning, record, out, error);
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
