/*
 * remove-all.c: removing all that is ours from a RADOS pool
 *
 * Nothing is removed while something speaks against it: an upload that runs, a clone that is not
 * ours.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "erase.h"
#include "listing.h"
#include "promise.h"
#include "takes.h"
#include "../throw.h"
#include "watchers.h"

static gboolean
go_on(VimgPluginJob *job, GError **error)
{
    return !job || !vimg_ceph_services || !vimg_ceph_services->job_cancelled(job) ||
           throw_error(error, VIMG_ERROR_ABORTED, _("the removal was cancelled"));
}

/* Ours in @trash or not, and what is staged, for the names say that it is ours, but in the trash.
 */
static GPtrArray *
list_ours(VimgCluster *cluster, gboolean trash, GError **error)
{
    g_autoptr(GPtrArray) records = vimg_ceph_read_all(cluster, trash, error);
    guint i;

    for (i = records ? records->len : 0; i > 0; i--) {
        const VimgCephRecord *record = records->pdata[i - 1];

        if (!record->ours && (trash || !vimg_ceph_record_is_staged(record)))
            g_ptr_array_remove_index(records, i - 1);
    }
    return g_steal_pointer(&records);
}

/* ---- looking ---------------------------------------------------------------------------- */

static gboolean
check(VimgCluster *cluster, const GPtrArray *records, GHashTable *ids, VimgPluginJob *job,
      GError **error)
{
    guint i;

    for (i = 0; i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];
        g_autofree char *children = NULL;

        if (!go_on(job, error) || !vimg_ceph_watchers_check(cluster, record->id, error) ||
            !vimg_ceph_name_children(cluster, record->id, ids, &children, error)) {
            g_prefix_error(error, "'%s': ", record->rbd);
            return FALSE;
        }
        if (children)
            return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                               _("image '%1$s' is needed by its clones %2$s"), record->rbd,
                               children);
    }
    return TRUE;
}

static void
add_ids(GHashTable *ids, const GPtrArray *records)
{
    guint i;

    for (i = 0; i < records->len; i++)
        g_hash_table_add(ids, ((VimgCephRecord *)records->pdata[i])->id);
}

/* ---- removing --------------------------------------------------------------------------- */

static gboolean
all_to_trash(VimgCluster *cluster, const GPtrArray *records, VimgPluginJob *job, GError **error)
{
    guint i;

    for (i = 0; i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];
        GError *local = NULL;

        if (!go_on(job, error))
            return FALSE;
        if (!vimg_ceph_to_trash(cluster, record, 0, &local) &&
            !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL)) {
            g_propagate_prefixed_error(error, local, "'%s': ", record->rbd);
            return FALSE;
        }
        g_clear_error(&local);
    }
    return TRUE;
}

/* Clones before what they were cloned from.  @left: how many are still there. */
static gboolean
erase_round(VimgCluster *cluster, GPtrArray *records, VimgPluginJob *job, GError **error)
{
    guint i;

    for (i = records->len; i > 0; i--) {
        g_autoptr(GError) local = NULL;

        if (!go_on(job, error))
            return FALSE;
        if (vimg_ceph_erase(cluster, records->pdata[i - 1], job, &local) ||
            g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL)) {
            g_ptr_array_remove_index(records, i - 1);
        } else if (!g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
erase_all(VimgCluster *cluster, VimgPluginJob *job, GError **error)
{
    g_autoptr(GPtrArray) records = list_ours(cluster, TRUE, error);
    guint before = G_MAXUINT;

    if (!records)
        return FALSE;
    while (records->len > 0 && records->len < before) {
        before = records->len;
        if (!erase_round(cluster, records, job, error))
            return FALSE;
    }
    return records->len == 0 || vimg_ceph_erase(cluster, records->pdata[0], job, error);
}

static gboolean
erase_rests(VimgCluster *cluster, gboolean trash, VimgPluginJob *job, GError **error)
{
    g_autoptr(GPtrArray) rests = vimg_ceph_read_rests(cluster, trash, error);
    guint i;

    for (i = 0; rests && i < rests->len; i++) {
        if (!go_on(job, error) ||
            !vimg_ceph_erase_rest(cluster, rests->pdata[i], trash, job, error))
            return FALSE;
    }
    return rests != NULL;
}

static gboolean
release_all(VimgCluster *cluster, GError **error)
{
    g_autoptr(GPtrArray) claims = vimg_ceph_claim_list(cluster, error);
    guint i;

    for (i = 0; claims && i < claims->len; i++) {
        const VimgCephClaim *claim = claims->pdata[i];

        if (!vimg_ceph_claim_clean(cluster, claim, error))
            return FALSE;
    }
    rados_remove(cluster->io, cluster->probe); /* one that came late; others take care of theirs */
    return claims && vimg_ceph_promise_forget(cluster, error) &&
           vimg_ceph_takes_remove(cluster, error) && vimg_ceph_claim_forget(cluster, error);
}

gboolean
vimg_ceph_store_remove_all(VimgCephStore *store, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) images = cluster ? list_ours(cluster, FALSE, error) : NULL;
    g_autoptr(GPtrArray) trash = images ? list_ours(cluster, TRUE, error) : NULL;

    if (!trash)
        return FALSE;
    add_ids(ids, images);
    add_ids(ids, trash);
    return check(cluster, images, ids, job, error) && check(cluster, trash, ids, job, error) &&
           all_to_trash(cluster, images, job, error) && erase_all(cluster, job, error) &&
           erase_rests(cluster, FALSE, job, error) && erase_rests(cluster, TRUE, job, error) &&
           release_all(cluster, error);
}
