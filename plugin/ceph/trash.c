/*
 * trash.c: deleted images
 *
 * They lie in RBD's own trash, beside those that other tools put there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "erase.h"
#include "image.h"
#include "listing.h"
#include "promise.h"
#include "throw.h"
#include "trash.h"

#define PATIENCE (5 * G_USEC_PER_SEC) /* to look for clones; each image takes some milliseconds */

/* A clone may come or go at any time, so what cannot be seen now is no failure. */
static void
see_clones(VimgCluster *cluster, VimgCephRecord *record)
{
    g_autoptr(GError) error = NULL;

    if (record->ours && record->snapshots)
        vimg_ceph_name_children(cluster, record->id, NULL, &record->info.needed_by, &error);
}

gboolean
vimg_ceph_trash_list(VimgCephStore *store, VimgImageSink sink, gpointer data, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(GPtrArray) records = cluster ? vimg_ceph_record_list(store, TRUE, error) : NULL;
    guint i;

    if (!records)
        return FALSE;
    for (i = 0; i < records->len; i++) {
        VimgCephRecord *record = records->pdata[i];

        if (g_get_monotonic_time() < deadline)
            see_clones(cluster, record);
        if (!sink(&record->info, data))
            break;
    }
    return TRUE;
}

static gboolean
throw_gone(GError **error, const char *uuid)
{
    return throw_error(error, VIMG_ERROR_NO_VOL,
                       _("image %s is not in the trash; it was restored or removed"), uuid);
}

VimgCephRecord *
vimg_ceph_trash_find(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(GPtrArray) records = vimg_ceph_record_list(store, TRUE, error);
    VimgCephRecord *record = records ? vimg_ceph_record_pick(records, uuid) : NULL;

    if (records && !record)
        throw_gone(error, uuid);
    return record;
}

/* Taking it out of the trash decides: whoever else wants it finds it gone. */
static gboolean
bring_back(VimgCluster *cluster, const VimgCephRecord *record, const char *name, GError **error)
{
    int result = rbd_trash_restore(cluster->io, record->id, name);

    if (result == -EEXIST) {
        vimg_ceph_claim_drop(cluster, name, record->info.uuid);
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
    }
    if (result == -ENOENT)
        return throw_gone(error, record->info.uuid);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot take the image out of the trash"));
}

/* Somebody who purges it may have been at it at the same moment. */
static gboolean
check_whole(VimgCluster *cluster, const VimgCephRecord *record, GError **error)
{
    if (!record->purged)
        return TRUE;
    vimg_ceph_claim_drop(cluster, record->info.name, record->info.uuid);
    rbd_trash_move(cluster->io, record->rbd, 0);
    return throw_gone(error, record->info.uuid);
}

gboolean
vimg_ceph_trash_restore(VimgCephStore *store, const char *uuid, const char *name,
                        VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? vimg_ceph_trash_find(store, uuid, error) : NULL;
    g_autoptr(VimgCephRecord) restored = NULL;

    if (!record || !vimg_ceph_claim_take(cluster, name, uuid, error))
        return FALSE;
    /* a claim that is of no use goes with a cleanup: another host may have restored it by ours */
    if (!bring_back(cluster, record, name, error))
        return FALSE;
    vimg_ceph_remember(store, uuid, record->id);
    restored = vimg_ceph_record_find(store, uuid, error);
    if (!restored || !check_whole(cluster, restored, error))
        return FALSE;
    vimg_ceph_record_give(restored, out);
    return TRUE;
}

gboolean
vimg_ceph_trash_purge(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? vimg_ceph_trash_find(store, uuid, error) : NULL;

    return record && vimg_ceph_promise_check(cluster, uuid, error) &&
           vimg_ceph_erase(cluster, record, NULL, error);
}
