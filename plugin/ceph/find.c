/*
 * find.c: the images that clients see, all or one
 *
 * RBD finds images by name or by its own id.  The id of an image never changes, so whoever listed
 * it once knows where it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "layout.h"
#include "listing.h"
#include "../thread.h"
#include "throw.h"

gboolean
vimg_ceph_is_shown(const VimgCephRecord *record)
{
    if (record->info.deleted)
        return record->ours && !record->purged && !record->info.passing &&
               !vimg_ceph_record_is_staged(record);
    return !vimg_ceph_record_is_staged(record) ||
           (record->ours && !vimg_ceph_record_is_second(record));
}

/* ---- what is known of ids --------------------------------------------------------------- */

void
vimg_ceph_remember(VimgCephStore *store, const char *uuid, const char *id)
{
    LOCK_GUARD(&store->lock);
    if (!store->ids)
        store->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_replace(store->ids, g_strdup(uuid), g_strdup(id));
}

static void
remember_all(VimgCephStore *store, const GPtrArray *records)
{
    GHashTable *ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTable *former;
    guint i;

    for (i = 0; i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];

        if (*record->id)
            g_hash_table_replace(ids, g_strdup(record->info.uuid), g_strdup(record->id));
    }
    thread_must(pthread_mutex_lock(&store->lock));
    former = store->ids;
    store->ids = ids;
    thread_must(pthread_mutex_unlock(&store->lock));
    if (former)
        g_hash_table_unref(former);
}

/* Returns: (transfer full) NULL: nobody has seen it. */
static char *
recall(VimgCephStore *store, const char *uuid)
{
    LOCK_GUARD(&store->lock);
    return store->ids ? g_strdup(g_hash_table_lookup(store->ids, uuid)) : NULL;
}

/* ---- all -------------------------------------------------------------------------------- */

/* What was uploaded of one that is active, converted, was left behind by a crash. */
static void
drop_superseded(GPtrArray *records)
{
    g_autoptr(GHashTable) active = g_hash_table_new(g_str_hash, g_str_equal);
    guint i;

    for (i = 0; i < records->len; i++) {
        VimgCephRecord *record = records->pdata[i];

        if (record->ours && !vimg_ceph_record_is_staged(record))
            g_hash_table_add(active, record->info.uuid);
    }
    for (i = records->len; i > 0; i--) {
        const VimgCephRecord *record = records->pdata[i - 1];

        if (vimg_ceph_record_is_staged(record) && g_hash_table_contains(active, record->info.uuid))
            g_ptr_array_remove_index(records, i - 1);
    }
}

GPtrArray *
vimg_ceph_record_list(VimgCephStore *store, gboolean trash, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(GPtrArray) records = cluster ? vimg_ceph_read_all(cluster, trash, error) : NULL;
    guint i;

    for (i = records ? records->len : 0; i > 0; i--) {
        if (!vimg_ceph_is_shown(records->pdata[i - 1]))
            g_ptr_array_remove_index(records, i - 1);
    }
    if (records && !trash) {
        drop_superseded(records);
        remember_all(store, records);
    }
    return g_steal_pointer(&records);
}

/* ---- one -------------------------------------------------------------------------------- */

/* @out: (transfer full) NULL: it is not there, or in the trash, or another one. */
static int
look_at(VimgCluster *cluster, const char *uuid, const char *id, VimgCephRecord **out)
{
    g_autoptr(VimgCephRecord) record = g_new0(VimgCephRecord, 1);
    int result;

    record->info.size = sizeof(record->info);
    record->id = g_strdup(id);
    result = vimg_layout_name_of(cluster, id, &record->rbd);
    if (result == 0)
        result = vimg_ceph_read_one(cluster, record);
    if (result == 0 && strcmp(record->info.uuid, uuid) == 0 && vimg_ceph_is_shown(record))
        *out = g_steal_pointer(&record);
    return result == -ENOENT ? 0 : result;
}

VimgCephRecord *
vimg_ceph_record_again(VimgCluster *cluster, const VimgCephRecord *known, GError **error)
{
    g_autoptr(VimgCephRecord) record = NULL;
    int result = look_at(cluster, known->info.uuid, known->id, &record);

    if (result < 0)
        vimg_cluster_throw(error, result, _("cannot read image %s"), known->info.uuid);
    else if (!record || !record->ours)
        throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), known->info.uuid);
    else if (vimg_ceph_record_is_staged(record) != vimg_ceph_record_is_staged(known))
        throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image"));
    else
        return g_steal_pointer(&record);
    return NULL;
}

/* Where it was last, and where it is while it is uploaded. */
static int
look_where_expected(VimgCephStore *store, VimgCluster *cluster, const char *uuid,
                    VimgCephRecord **out)
{
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    g_autofree char *known = recall(store, uuid);
    g_autofree char *id = NULL;
    int result = known ? look_at(cluster, uuid, known, out) : 0;

    if (result < 0 || *out)
        return result;
    result = vimg_layout_id_of(cluster, staged, &id);
    if (result == 0)
        result = look_at(cluster, uuid, id, out);
    return result == -ENOENT ? 0 : result;
}

VimgCephRecord *
vimg_ceph_record_pick(GPtrArray *records, const char *uuid)
{
    for (guint i = 0; i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];

        if (strcmp(record->info.uuid, uuid) == 0)
            return g_ptr_array_steal_index(records, i);
    }
    return NULL;
}

static VimgCephRecord *
search(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(GPtrArray) records = vimg_ceph_record_list(store, FALSE, error);
    VimgCephRecord *record = records ? vimg_ceph_record_pick(records, uuid) : NULL;

    if (records && !record)
        throw_error(error, VIMG_ERROR_NO_VOL, _("no image with uuid %s"), uuid);
    return record;
}

VimgCephRecord *
vimg_ceph_record_find(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    VimgCephRecord *record = NULL;
    int result;

    if (!cluster)
        return NULL;
    result = look_where_expected(store, cluster, uuid, &record);
    if (result < 0)
        vimg_cluster_throw(error, result, _("cannot read image %s"), uuid);
    /* where it is converted, only a look at all of them tells which one counts */
    if (record && vimg_ceph_record_is_staged(record) && record->info.uploaded_format)
        g_clear_pointer(&record, vimg_ceph_record_free);
    if (result < 0 || record)
        return record;
    return search(store, uuid, error);
}
