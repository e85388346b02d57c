/*
 * image.c: listing the images of a store, and making them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "closing.h"
#include "image.h"
#include "listing.h"
#include "../throw.h"

gboolean
vimg_ceph_image_list(VimgCephStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    g_autoptr(GPtrArray) records = vimg_ceph_record_list(store, FALSE, error);
    guint i;

    if (!records)
        return FALSE;
    for (i = 0; i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];

        if (!sink(&record->info, data))
            break;
    }
    return TRUE;
}

gboolean
vimg_ceph_image_list_whole(VimgCephStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);

    return cluster && vimg_ceph_check_whole(cluster, error) &&
           vimg_ceph_image_list(store, sink, data, error);
}

gboolean
vimg_ceph_image_stat(VimgCephStore *store, const char *uuid, VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(store, uuid, error);

    if (!record)
        return FALSE;
    vimg_ceph_record_give(record, out);
    return TRUE;
}

gboolean
vimg_ceph_image_check_ours(const VimgCephRecord *record, GError **error)
{
    return record->ours ||
           throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("RBD image '%s' was made by other tools: only they change or remove it"),
                       record->rbd);
}

/* ---- making ----------------------------------------------------------------------------- */

int
vimg_ceph_image_make(VimgCluster *cluster, const char *name, guint64 size)
{
    rbd_image_options_t options;
    int result;

    rbd_image_options_create(&options);
    result = rbd_create4(cluster->io, name, size, options);
    rbd_image_options_destroy(options);
    return result;
}

gboolean
vimg_ceph_image_cut(rbd_image_t image, guint64 size, VimgPluginJob *job, GError **error)
{
    VimgCephPatience patience = vimg_ceph_patience(job);
    int result = rbd_resize2(image, size, true, vimg_ceph_go_on, &patience);

    if (result == -ECANCELED)
        return throw_error(error, VIMG_ERROR_ABORTED, _("the job was cancelled"));
    return result == 0 || vimg_cluster_throw(error, result, _("cannot resize the RBD image"));
}

/* Until then nobody knows whose the image is, and clients do not see it. */
static gboolean
sign(VimgCephStore *store, VimgCluster *cluster, const char *name, const VimgCephRecord *record,
     GError **error)
{
    char id[256];
    rbd_image_t image;
    gboolean ok;
    int result = rbd_open(cluster->io, name, &image, NULL);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    ok = vimg_ceph_record_save(image, record, error);
    if (ok && rbd_get_id(image, id, sizeof(id)) == 0)
        vimg_ceph_remember(store, record->info.uuid, id);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok;
}

gboolean
vimg_ceph_image_stage(VimgCephStore *store, VimgCluster *cluster, const VimgCephRecord *record,
                      GError **error)
{
    g_autofree char *name = g_strconcat(VIMG_CEPH_STAGED, record->info.uuid, NULL);
    GError *local = NULL;
    int result = vimg_ceph_image_make(cluster, name, record->info.capacity);

    if (result == -EEXIST)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("image %s exists already"),
                           record->info.uuid);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot make an RBD image"));
    if (sign(store, cluster, name, record, &local))
        return TRUE;
    if (!vimg_ceph_is_lost(local))
        rbd_remove(cluster->io, name);
    g_propagate_error(error, local);
    return FALSE;
}

gboolean
vimg_ceph_image_create(VimgCephStore *store, const VimgPluginImage *image, VimgPluginImage *out,
                       GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = NULL;
    GError *local = NULL;

    if (!cluster || !vimg_cluster_admit(cluster, 0, error) ||
        !vimg_ceph_claim_take(cluster, image->name, image->uuid, error))
        return FALSE;
    record = vimg_ceph_record_new(image);
    record->info.state = VIMG_IMAGE_SAVING;
    if (record->info.created == 0)
        record->info.created = g_get_real_time() / G_USEC_PER_SEC;
    record->info.allocation = record->info.physical = record->info.position = 0;
    if (!vimg_ceph_image_stage(store, cluster, record, &local)) {
        if (!vimg_ceph_is_lost(local))
            vimg_ceph_claim_drop(cluster, image->name, image->uuid);
        g_propagate_error(error, local);
        return FALSE;
    }
    vimg_ceph_record_give(record, out);
    return TRUE;
}
