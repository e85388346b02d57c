/*
 * image-change.c: changing and removing the images of a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "closing.h"
#include "convert.h"
#include "erase.h"
#include "image.h"
#include "layout.h"
#include "listing.h"
#include "promise.h"
#include "../throw.h"
#include "watchers.h"

/* An image of ours that is to be changed. */
static VimgCephRecord *
load(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(store, uuid, error);

    if (!record || !vimg_ceph_image_check_ours(record, error))
        return NULL;
    return g_steal_pointer(&record);
}

/* One whose content may still change. */
static VimgCephRecord *
load_staged(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCephRecord) record = load(store, uuid, error);

    if (!record)
        return NULL;
    if (vimg_ceph_record_is_staged(record))
        return g_steal_pointer(&record);
    throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                _("the content of an active image never changes"));
    return NULL;
}

/* ---- what is said of an image ----------------------------------------------------------- */

typedef void (*Change)(VimgCephRecord *record, gconstpointer data);

/* What @known says may be out of date. */
static gboolean
change_open(VimgCluster *cluster, rbd_image_t image, const VimgCephRecord *known, Change change,
            gconstpointer data, GError **error)
{
    g_autoptr(VimgCephRecord) now = vimg_ceph_record_again(cluster, known, error);

    if (!now)
        return FALSE;
    change(now, data);
    return vimg_ceph_record_save(image, now, error);
}

/*
 * Whoever uploads it would write what is known there over it.  @size: the RBD image is at least
 * that long then; it is cut by whoever knows what of it counts.
 */
static gboolean
write_change(VimgCluster *cluster, const VimgCephRecord *record, guint64 size, Change change,
             gconstpointer data, GError **error)
{
    guint64 former = 0;
    rbd_image_t image;
    gboolean ok;
    int result;

    if (vimg_ceph_record_is_staged(record) && !vimg_ceph_watchers_check(cluster, record->id, error))
        return FALSE;
    result = rbd_open_by_id(cluster->io, record->id, &image, NULL);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot open the RBD image"));
    result = rbd_get_size(image, &former);
    ok = result == 0 || vimg_cluster_throw(error, result, _("cannot look at the RBD image"));
    ok = ok && (former >= size || vimg_ceph_image_cut(image, size, NULL, error)) &&
         change_open(cluster, image, record, change, data, error);
    vimg_ceph_closing(cluster, image, NULL, NULL);
    return ok;
}

static void
set_capacity(VimgCephRecord *record, gconstpointer data)
{
    record->info.capacity = *(const guint64 *)data;
}

gboolean
vimg_ceph_image_resize(VimgCephStore *store, const char *uuid, guint64 capacity, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? load_staged(store, uuid, error) : NULL;

    if (!record)
        return FALSE;
    if (capacity < record->info.position)
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("%1$llu bytes are stored already, more than %2$llu"),
                           ULL(record->info.position), ULL(capacity));
    return write_change(cluster, record, capacity, set_capacity, &capacity, error);
}

static void
replace(char **field, const char *value)
{
    if (!value)
        return;
    g_free(*field);
    *field = g_strdup(value);
}

static void
set_reason(VimgCephRecord *record, gconstpointer data)
{
    replace(&record->info.reason, data);
}

gboolean
vimg_ceph_image_set_error(VimgCephStore *store, const char *uuid, const char *reason,
                          GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    /* another host may have completed it */
    g_autoptr(VimgCephRecord) record = cluster ? load_staged(store, uuid, error) : NULL;

    return record && write_change(cluster, record, 0, set_reason, reason, error);
}

static void
set_description(VimgCephRecord *record, gconstpointer data)
{
    const VimgPluginImage *change = data;

    replace(&record->info.os, change->os);
    replace(&record->info.arch, change->arch);
    replace(&record->info.description, change->description);
}

gboolean
vimg_ceph_image_set_metadata(VimgCephStore *store, const VimgPluginImage *change, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? load(store, change->uuid, error) : NULL;

    return record && write_change(cluster, record, 0, set_description, change, error);
}

/* ---- removing --------------------------------------------------------------------------- */

/*
 * From RBD's trash nobody gets an unfinished image back, as the name it has there says what it is,
 * nor one that says of itself that it is but the way to something else; what cannot be removed just
 * now is for a cleanup.
 */
static gboolean
remove_for_good(VimgCluster *cluster, const VimgCephRecord *record, GError **error)
{
    g_autoptr(GError) local = NULL;

    vimg_ceph_convert_undo(cluster, record, NULL, NULL);
    if (!vimg_ceph_to_trash(cluster, record, 0, error))
        return FALSE;
    /* clones of what was but the way to them are no surprise */
    if (!vimg_ceph_erase(cluster, record, NULL, &local) &&
        !(record->info.passing && g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID)))
        vimg_ceph_warn("image %s is left for a cleanup: %s", record->info.uuid, local->message);
    return TRUE;
}

static void
say_what_keeps(VimgCluster *cluster, const VimgCephRecord *record)
{
    g_autofree char *children = NULL;

    if (vimg_ceph_name_children(cluster, record->id, NULL, &children, NULL) && children)
        vimg_ceph_warn("image '%s' is in the trash and stays there: it is needed by its clones %s",
                       record->info.name, children);
}

/* What nobody is to have back; but what a host exports is kept, as all that is deleted. */
static gboolean
is_for_good(VimgCluster *cluster, const VimgCephRecord *record, gboolean *out, GError **error)
{
    g_autoptr(GError) local = NULL;

    *out = vimg_ceph_record_is_staged(record) || record->info.passing;
    if (!*out || vimg_ceph_record_is_staged(record) ||
        vimg_ceph_promise_check(cluster, record->info.uuid, &local))
        return TRUE;
    *out = FALSE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
remove_image(VimgCephStore *store, VimgCluster *cluster, const VimgCephRecord *record,
             GError **error)
{
    /* until then a 'rbd trash purge' of others lets it be */
    guint64 delay = __atomic_load_n(&store->keep_deleted, __ATOMIC_RELAXED);
    gboolean for_good = FALSE;

    if (!vimg_ceph_watchers_check(cluster, record->id, error) ||
        !is_for_good(cluster, record, &for_good, error))
        return FALSE;
    if (for_good) {
        if (!remove_for_good(cluster, record, error))
            return FALSE;
    } else {
        if (!vimg_ceph_to_trash(cluster, record, MIN(delay, G_MAXINT32), error))
            return FALSE;
        say_what_keeps(cluster, record);
    }
    vimg_ceph_claim_drop(cluster, record->info.name, record->info.uuid);
    return TRUE;
}

gboolean
vimg_ceph_image_remove(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? load(store, uuid, error) : NULL;

    return record && remove_image(store, cluster, record, error);
}

gboolean
vimg_ceph_image_discard(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? load_staged(store, uuid, error) : NULL;

    return record && remove_image(store, cluster, record, error);
}

/* ---- wiping ----------------------------------------------------------------------------- */

/* What cannot be read any more goes back to where it was made. */
static gboolean
withdraw(VimgCluster *cluster, VimgCephRecord *record, GError **error)
{
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, record->info.uuid, NULL);
    int result;

    if (vimg_ceph_record_is_staged(record))
        return TRUE;
    if (record->info.state != VIMG_IMAGE_ERROR)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("an active image cannot be wiped; delete and purge it"));
    result = vimg_layout_rename(cluster, record->id, record->rbd, staged);
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot rename the RBD image"));
    g_free(record->rbd);
    record->rbd = g_steal_pointer(&staged);
    return TRUE;
}

static void
forget_content(VimgCephRecord *record)
{
    vimg_plugin_image_wipe(&record->info);
    g_clear_pointer(&record->digest, g_free);
    if (record->info.uploaded_format) {
        /* of what came, perhaps declared by nobody */
        g_clear_pointer(&record->info.checksum_type, g_free);
        g_clear_pointer(&record->info.checksum, g_free);
    }
    g_clear_pointer(&record->info.uploaded_format, g_free);
    record->info.uploaded_size = 0;
    record->info.allocation = record->info.physical = record->info.position = 0;
    record->begun = FALSE;
}

/* The former RBD image may be large: a new one takes its place. */
gboolean
vimg_ceph_image_wipe(VimgCephStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(VimgCephRecord) record = cluster ? load(store, uuid, error) : NULL;
    g_autoptr(GError) left = NULL;
    GError *local = NULL;

    if (!record || !vimg_ceph_watchers_check(cluster, record->id, error) ||
        !withdraw(cluster, record, error))
        return FALSE;
    vimg_ceph_convert_undo(cluster, record, NULL, NULL);
    if (!vimg_ceph_to_trash(cluster, record, 0, error))
        return FALSE;
    forget_content(record);
    if (!vimg_ceph_image_stage(store, cluster, record, &local)) {
        if (!vimg_ceph_is_lost(local))
            rbd_trash_restore(cluster->io, record->id, record->rbd);
        g_propagate_error(error, local);
        return FALSE;
    }
    if (!vimg_ceph_erase(cluster, record, NULL, &left))
        vimg_ceph_warn("what was image %s is left for a cleanup: %s", uuid, left->message);
    return TRUE;
}
