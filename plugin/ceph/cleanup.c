/*
 * cleanup.c: removing what nobody needs
 *
 * Each item is dealt with alone: one that cannot be removed is named with the reason, and the next
 * one is looked at.  Only what carries our metadata or our names is touched, one by one: RBD's own
 * purge of its trash would take what other tools put there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "claim.h"
#include "cleanup.h"
#include "erase.h"
#include "image.h"
#include "leftover.h"
#include "listing.h"
#include "promise.h"
#include "takes.h"
#include "../throw.h"

typedef struct {
    VimgCephStore *store;
    VimgCluster *cluster;
    VimgPluginJob *job;
    gboolean dry_run;
    guint64 keep_deleted;
    guint64 keep_temporary;
    gint64 now; /* seconds since 1970 */

    JsonArray *removed;
    JsonArray *kept;
    guint64 freed;
} Cleanup;

/* ---- the report ------------------------------------------------------------------------- */

static void
note(JsonArray *array, const char *name, const char *reason)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "name", name);
    json_object_set_string_member(object, "reason", reason);
    json_array_add_object_element(array, object);
}

/* Whether the next item may be looked at; what failed with @why is named, unless it ends all. */
static gboolean
settle(Cleanup *cleanup, const char *name, GError *why, GError **error)
{
    g_autoptr(GError) local = why;

    if (!local)
        return TRUE;
    if (vimg_ceph_is_lost(local) || g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    /* another host was faster */
    if (!g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
        note(cleanup->kept, name, local->message);
    return TRUE;
}

static char *
format_report(const Cleanup *cleanup)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) object = json_object_new();

    json_object_set_int_member(object, "freed", (gint64)MIN(cleanup->freed, G_MAXINT64));
    json_object_set_boolean_member(object, "dry_run", cleanup->dry_run);
    json_object_set_array_member(object, "removed", json_array_ref(cleanup->removed));
    json_object_set_array_member(object, "kept", json_array_ref(cleanup->kept));
    json_node_set_object(root, object);
    return json_to_string(root, FALSE);
}

/* ---- the items -------------------------------------------------------------------------- */

static gboolean
go_on(const Cleanup *cleanup, guint done, guint total, GError **error)
{
    if (!vimg_ceph_services || !cleanup->job)
        return TRUE;
    vimg_ceph_services->job_progress(cleanup->job, "cleaning up", done, total);
    return !vimg_ceph_services->job_cancelled(cleanup->job) ||
           throw_error(error, VIMG_ERROR_ABORTED, _("the cleanup was cancelled"));
}

/* Returns: NULL: it stays. */
static const char *
why_from_trash(const Cleanup *cleanup, const VimgCephRecord *record)
{
    gint64 age = cleanup->now - record->info.deleted;

    if (!record->ours)
        return NULL;
    if (record->purged || record->info.passing || vimg_ceph_record_is_staged(record))
        return _("the rest of a removal");
    if (age < 0 || (guint64)age < cleanup->keep_deleted ||
        vimg_ceph_is_kept(cleanup->store, record->info.uuid))
        return NULL;
    return _("expired in the trash");
}

static gboolean
clean_trash_entry(Cleanup *cleanup, const VimgCephRecord *record, GError **error)
{
    const char *why = why_from_trash(cleanup, record);
    g_autofree char *children = NULL;
    GError *local = NULL;

    if (!why)
        return TRUE;
    if (!vimg_ceph_promise_check(cleanup->cluster, record->info.uuid, &local))
        return settle(cleanup, record->info.name, local, error);
    if (!cleanup->dry_run) {
        vimg_ceph_erase(cleanup->cluster, record, cleanup->job, &local);
    } else if (vimg_ceph_name_children(cleanup->cluster, record->id, NULL, &children, &local) &&
               children) {
        throw_error(&local, VIMG_ERROR_OPERATION_INVALID, _("the image is needed by its clones %s"),
                    children);
    }
    if (!local) {
        note(cleanup->removed, record->info.name, why);
        cleanup->freed += record->info.allocation;
    }
    return settle(cleanup, record->info.name, local, error);
}

static gboolean
clean_staged(Cleanup *cleanup, const VimgCephRecord *record, GError **error)
{
    g_autofree char *why = NULL;
    GError *local = NULL;
    gboolean ok =
        vimg_ceph_leftover_judge(cleanup->cluster, record, cleanup->keep_temporary, &why, &local);

    if (ok && why && !cleanup->dry_run)
        ok = vimg_ceph_leftover_remove(cleanup->cluster, record, cleanup->job, &local);
    if (ok && why) {
        note(cleanup->removed,
             record->ours && !vimg_ceph_record_is_second(record) ? record->info.name : record->rbd,
             why);
        cleanup->freed += record->ours ? record->info.allocation : 0;
    }
    return settle(cleanup, record->info.name, local, error);
}

/* Whoever made it lives no more, or would have removed it. */
static gboolean
is_forgotten(const Cleanup *cleanup, const VimgCephRecord *record)
{
    gint64 age = cleanup->now - record->info.created;

    return record->ours && record->info.passing && age >= 0 &&
           (guint64)age >= cleanup->keep_temporary &&
           !vimg_ceph_is_kept(cleanup->store, record->info.uuid);
}

static gboolean
clean_forgotten(Cleanup *cleanup, const VimgCephRecord *record, GError **error)
{
    GError *local = NULL;

    if (!is_forgotten(cleanup, record))
        return TRUE;
    if (cleanup->dry_run || vimg_ceph_image_remove(cleanup->store, record->info.uuid, &local)) {
        note(cleanup->removed, record->info.name, _("of a command that nobody ended"));
        cleanup->freed += record->info.allocation;
    }
    return settle(cleanup, record->info.name, local, error);
}

static gboolean
clean_claim(Cleanup *cleanup, const VimgCephClaim *claim, GError **error)
{
    gboolean left_over = FALSE;
    GError *local = NULL;

    if (vimg_ceph_claim_is_left_over(cleanup->cluster, claim, cleanup->keep_temporary, &left_over,
                                     &local) &&
        left_over && (cleanup->dry_run || vimg_ceph_claim_clean(cleanup->cluster, claim, &local)))
        note(cleanup->removed, claim->name, _("a name without an image"));
    return settle(cleanup, claim->name, local, error);
}

static gboolean
clean_take(Cleanup *cleanup, const VimgCephTake *take, GError **error)
{
    gint64 age = cleanup->now - take->noted;
    GError *local = NULL;

    if (age < 0 || (guint64)age < cleanup->keep_temporary)
        return TRUE;
    if (cleanup->dry_run || vimg_ceph_take_clean(cleanup->cluster, cleanup->cluster, take, &local))
        note(cleanup->removed, take->snapshot, _("a snapshot of an image that was never made"));
    return settle(cleanup, take->snapshot, local, error);
}

/* ---- all of it -------------------------------------------------------------------------- */

/* What is active stays, and what other tools made, with all its snapshots. */
static gboolean
clean_record(Cleanup *cleanup, const VimgCephRecord *record, gboolean trash, GError **error)
{
    if (trash)
        return clean_trash_entry(cleanup, record, error);
    return vimg_ceph_record_is_staged(record) ? clean_staged(cleanup, record, error)
                                              : clean_forgotten(cleanup, record, error);
}

static gboolean
clean_records(Cleanup *cleanup, gboolean trash, GError **error)
{
    g_autoptr(GPtrArray) records = vimg_ceph_read_all(cleanup->cluster, trash, error);
    guint i;

    for (i = 0; records && i < records->len; i++) {
        const VimgCephRecord *record = records->pdata[i];

        if (!go_on(cleanup, i, records->len, error))
            return FALSE;
        if (!clean_record(cleanup, record, trash, error))
            return FALSE;
    }
    return records != NULL;
}

static gboolean
has_claim(const GPtrArray *claims, const VimgCephRecord *record)
{
    const char *uuid = record->rbd + strlen(VIMG_CEPH_STAGED);
    guint i;

    for (i = 0; i < claims->len; i++) {
        if (g_str_has_prefix(uuid, ((const VimgCephClaim *)claims->pdata[i])->uuid))
            return TRUE;
    }
    return FALSE;
}

/* What is left of images cut short; one that has a claim may be in the making. */
static gboolean
clean_rests(Cleanup *cleanup, gboolean trash, GError **error)
{
    g_autoptr(GPtrArray) rests = vimg_ceph_read_rests(cleanup->cluster, trash, error);
    g_autoptr(GPtrArray) claims = rests ? vimg_ceph_claim_list(cleanup->cluster, error) : NULL;
    guint i;

    for (i = 0; claims && i < rests->len; i++) {
        const VimgCephRecord *record = rests->pdata[i];
        GError *local = NULL;

        if (!go_on(cleanup, i, rests->len, error))
            return FALSE;
        if (!trash && has_claim(claims, record))
            continue;
        if (cleanup->dry_run ||
            vimg_ceph_erase_rest(cleanup->cluster, record, trash, cleanup->job, &local))
            note(cleanup->removed, record->rbd, _("the rest of a removal"));
        if (!settle(cleanup, record->rbd, local, error))
            return FALSE;
    }
    return claims != NULL;
}

/* After the images, since their claims are in use while they are there. */
static gboolean
clean_claims(Cleanup *cleanup, GError **error)
{
    g_autoptr(GPtrArray) claims = vimg_ceph_claim_list(cleanup->cluster, error);
    guint i;

    for (i = 0; claims && i < claims->len; i++) {
        if (!go_on(cleanup, i, claims->len, error) ||
            !clean_claim(cleanup, claims->pdata[i], error))
            return FALSE;
    }
    return claims != NULL;
}

static gboolean
clean_takes(Cleanup *cleanup, GError **error)
{
    g_autoptr(GPtrArray) takes = vimg_ceph_take_list(cleanup->cluster, error);

    for (guint i = 0; takes && i < takes->len; i++) {
        if (!go_on(cleanup, i, takes->len, error) || !clean_take(cleanup, takes->pdata[i], error))
            return FALSE;
    }
    return takes != NULL;
}

char *
vimg_ceph_cleanup(VimgCephStore *store, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(JsonArray) removed = json_array_new();
    g_autoptr(JsonArray) kept = json_array_new();
    Cleanup cleanup = {
        .store = store,
        .cluster = cluster,
        .job = job,
        .dry_run = dry_run,
        .keep_deleted = __atomic_load_n(&store->keep_deleted, __ATOMIC_RELAXED),
        .keep_temporary = __atomic_load_n(&store->keep_temporary, __ATOMIC_RELAXED),
        .now = g_get_real_time() / G_USEC_PER_SEC,
        .removed = removed,
        .kept = kept,
    };

    if (!cluster || !clean_records(&cleanup, FALSE, error) ||
        !clean_records(&cleanup, TRUE, error) || !clean_rests(&cleanup, TRUE, error) ||
        !clean_claims(&cleanup, error) || !clean_rests(&cleanup, FALSE, error) ||
        !clean_takes(&cleanup, error))
        return NULL;
    return format_report(&cleanup);
}
