/*
 * flatten.c: giving a clone all of its content
 *
 * Its source is needed no more then, and can be purged.  An active clone has a snapshot, which RBD
 * takes along only if the image has the feature deep-flatten, as is the default.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "flatten.h"
#include "image.h"
#include "stream.h"
#include "../throw.h"
#include "watchers.h"

/* In a thread of RBD's.  A negative errno ends it, and it may be begun again. */
static int
go_on(uint64_t done, uint64_t total, void *data)
{
    VimgPluginJob *job = data;

    vimg_ceph_progress(job, "flattening", done, total);
    return vimg_ceph_check_job(job, NULL) ? 0 : -ECANCELED;
}

static gboolean
has_parent(rbd_image_t image, gboolean *out, GError **error)
{
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snapshot;
    int result = rbd_get_parent(image, &parent, &snapshot);

    *out = result == 0;
    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot see what the image was cloned from"));
    rbd_linked_image_spec_cleanup(&parent);
    rbd_snap_spec_cleanup(&snapshot);
    return TRUE;
}

gboolean
vimg_ceph_flatten_open(rbd_image_t image, VimgPluginJob *job, GError **error)
{
    int result = rbd_flatten_with_progress(image, go_on, job);

    if (result == -ECANCELED)
        return throw_error(error, VIMG_ERROR_ABORTED, _("the job was cancelled"));
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot make the image independent of its source"));
}

static gboolean
check_deep(rbd_image_t image, GError **error)
{
    guint64 features = 0;
    int result = rbd_get_features(image, &features);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    return (features & RBD_FEATURE_DEEP_FLATTEN) ||
           throw_error(
               error, VIMG_ERROR_OPERATION_UNSUPPORTED,
               _("the RBD image lacks the feature deep-flatten, so its snapshot would go on to need its source"));
}

/* A check may have found it damaged meanwhile: only the allocation is ours to say. */
static gboolean
note_own(VimgCluster *cluster, VimgCephRecord **record, rbd_image_t image, GError **error)
{
    VimgCephRecord *now;
    guint64 own;

    if (!vimg_ceph_stream_used(image, &own, error) ||
        !(now = vimg_ceph_record_again(cluster, *record, error)))
        return FALSE;
    vimg_ceph_record_free(*record);
    *record = now;
    now->info.allocation = own;
    return vimg_ceph_record_save(image, now, error);
}

static gboolean
flatten(VimgCluster *cluster, VimgCephRecord **record, rbd_image_t image, VimgPluginJob *job,
        GError **error)
{
    gboolean needs = FALSE;

    if (!has_parent(image, &needs, error))
        return FALSE;
    return !needs || (check_deep(image, error) && vimg_ceph_flatten_open(image, job, error) &&
                      note_own(cluster, record, image, error));
}

gboolean
vimg_ceph_flatten(VimgCephStore *store, const char *uuid, VimgPluginJob *job, VimgPluginImage *out,
                  GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? vimg_ceph_record_find(store, uuid, error) : NULL;
    rbd_image_t image;
    gboolean ok;
    int result;

    if (!record || !vimg_ceph_image_check_ours(record, error) ||
        !vimg_cluster_admit(cluster, record->info.allocation, error) ||
        !vimg_ceph_watchers_check(cluster, record->id, error))
        return FALSE;
    result = rbd_open_by_id(cluster->io, record->id, &image, NULL);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = flatten(cluster, &record, image, job, error);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    if (ok)
        vimg_ceph_record_give(record, out);
    return ok;
}
