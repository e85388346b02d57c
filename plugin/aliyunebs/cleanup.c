/*
 * cleanup.c: removing what nobody needs
 *
 * What this host's journals name is undone; what else no image needs goes only if it lies below the
 * prefix, carries our metadata, is old, and nobody says that he works on it.  The rest is named.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "cleanup.h"
#include "erase.h"
#include "hold.h"
#include "listing.h"
#include "multipart.h"
#include "promise.h"
#include "report.h"
#include "rollback.h"
#include "throw.h"

typedef struct {
    VimgEbsStore *store;
    VimgEbsSite *site;
    VimgPluginJob *job;
    VimgPatience patience;
    gboolean dry_run;
    guint64 keep_deleted;
    guint64 keep_temporary;
    gint64 now; /* seconds since 1970, by the storage's clock */
    GPtrArray *records;
    GHashTable *unreadable; /* why, by uuid: whatever is of one stays */
    GHashTable *images;     /* of VimgEbsRecord by uuid */
    GHashTable *names;      /* that images have */

    JsonArray *removed;
    JsonArray *kept;
    gsize room; /* bytes that these two may still take */
    guint64 freed;
} Cleanup;

static void
note(Cleanup *cleanup, JsonArray *array, const char *name, const char *reason)
{
    vimg_ebs_report_note(array, &cleanup->room, name, reason);
}

/* Whether the next item may be looked at; what failed with @why is named, unless it ends all. */
static gboolean
settle(Cleanup *cleanup, const char *name, GError *why, GError **error)
{
    g_autoptr(GError) local = why;

    if (!local)
        return TRUE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    /* another host was faster, or works on it */
    if (!vimg_ebs_is_gone(local) && !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY))
        note(cleanup, cleanup->kept, name, local->message);
    return TRUE;
}

static gboolean
is_old(const Cleanup *cleanup, gint64 since, guint64 keep)
{
    return since > 0 && since <= cleanup->now && (guint64)(cleanup->now - since) >= keep;
}

/* ---- journals --------------------------------------------------------------------------- */

static void
note_journal(gpointer data, const VimgEbsJournal *journal, gboolean active, const GError *why)
{
    Cleanup *cleanup = data;

    if (why)
        note(cleanup, cleanup->kept, journal->name, why->message);
    else if (!active)
        note(cleanup, cleanup->removed, journal->name,
             cleanup->dry_run ? _("what an upload or a clone left, unless it has come to its end")
                              : _("what an upload or a clone left"));
}

/* ---- images ----------------------------------------------------------------------------- */

/* By the storage's own clock. */
static gboolean
is_aged(const Cleanup *cleanup, const VimgOssObject *object)
{
    gint64 age = object->date - object->modified;

    return object->modified > 0 && age >= 0 && (guint64)age >= cleanup->keep_temporary;
}

static gboolean
look_at_age(const Cleanup *cleanup, const char *key, gboolean *old, GError **error)
{
    g_auto(VimgOssObject) object = {0};

    if (!vimg_oss_head(cleanup->site->oss, key, &object, &cleanup->patience, error))
        return FALSE;
    *old = is_aged(cleanup, &object);
    return TRUE;
}

/* By what the record says alone, and by what this host promised. */
static gboolean
may_remove(const Cleanup *cleanup, const VimgEbsRecord *record)
{
    if (record->info.deleted)
        return is_old(cleanup, record->info.deleted, cleanup->keep_deleted) &&
               !vimg_ebs_promise_holds(record, cleanup->now) &&
               !vimg_ebs_is_kept(cleanup->store, record->info.uuid);
    return vimg_ebs_record_is_staged(record) && (record->key || record->info.reason);
}

/* Returns: NULL: it stays, perhaps with @error. */
static const char *
why_remove(Cleanup *cleanup, const VimgEbsRecord *record, GError **error)
{
    g_autofree char *key = vimg_ebs_key(cleanup->site, "records", record->info.uuid);
    gboolean old = FALSE;

    if (!may_remove(cleanup, record))
        return NULL;
    if (record->info.deleted)
        return _("expired in the trash");
    if (!look_at_age(cleanup, key, &old, error) || !old ||
        !vimg_ebs_live_check(cleanup->store, cleanup->site, record->info.uuid, &cleanup->patience,
                             error))
        return NULL;
    return record->info.reason ? _("unusable, and nobody wiped it")
                               : _("an upload that nobody took up again");
}

/* As it is now: it was listed a while ago, and may be restored or complete. */
static gboolean
clean_held(Cleanup *cleanup, const char *uuid, GError **error)
{
    g_autoptr(VimgEbsRecord) record =
        vimg_ebs_record_load(cleanup->site, uuid, &cleanup->patience, error);
    GError *local = NULL;
    const char *why = record ? why_remove(cleanup, record, &local) : NULL;

    if (why && !cleanup->dry_run)
        vimg_ebs_erase(cleanup->store, cleanup->site, record, &cleanup->patience, &local);
    if (local) {
        g_propagate_error(error, local);
        return FALSE;
    }
    if (why) {
        note(cleanup, cleanup->removed, record->info.name, why);
        cleanup->freed += record->info.allocation;
    }
    return record != NULL;
}

static gboolean
clean_record(Cleanup *cleanup, const VimgEbsRecord *record, GError **error)
{
    g_auto(VimgEbsHold) hold = {0};
    GError *local = NULL;

    if (!may_remove(cleanup, record))
        return TRUE;
    if (cleanup->dry_run || vimg_ebs_hold(&hold, cleanup->store, cleanup->site, record->info.uuid,
                                          &cleanup->patience, &local))
        clean_held(cleanup, record->info.uuid, &local);
    return settle(cleanup, record->info.name, local, error);
}

static gboolean
clean_records(Cleanup *cleanup, GError **error)
{
    guint i;

    for (i = 0; i < cleanup->records->len; i++) {
        vimg_ebs_progress(cleanup->job, "cleaning up", i, cleanup->records->len);
        if (!vimg_ebs_check_job(cleanup->job, error) ||
            !clean_record(cleanup, cleanup->records->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

/* ---- objects ---------------------------------------------------------------------------- */

static gboolean
is_needed(const Cleanup *cleanup, const char *uuid, const char *key, const char *upload)
{
    const VimgEbsRecord *record = g_hash_table_lookup(cleanup->images, uuid);

    if (g_hash_table_contains(cleanup->unreadable, uuid))
        return TRUE;
    if (!record || g_strcmp0(record->key, key) != 0)
        return FALSE;
    return !upload || g_strcmp0(record->upload, upload) == 0;
}

/* All was listed a while ago: by now the image may be there, and need it. */
static gboolean
is_used(const Cleanup *cleanup, const char *owner, const char *key, gboolean *used, GError **error)
{
    GError *local = NULL;
    g_autoptr(VimgEbsRecord) record =
        vimg_ebs_record_load(cleanup->site, owner, &cleanup->patience, &local);
    g_autofree char *name = record ? vimg_ebs_key(cleanup->site, "names", record->info.name) : NULL;
    g_autofree char *live = vimg_ebs_key(cleanup->site, "live", owner);

    *used = record && (g_strcmp0(record->key, key) == 0 || strcmp(live, key) == 0 ||
                       (!record->info.deleted && strcmp(name, key) == 0));
    if (!local || vimg_ebs_is_gone(local)) {
        g_clear_error(&local);
        return TRUE;
    }
    g_propagate_error(error, local);
    return FALSE;
}

static gboolean
remove_entered(Cleanup *cleanup, const VimgOssEntry *entry, const VimgOssObject *object,
               const char *owner, const char *why, GError **error)
{
    gboolean used = FALSE;

    if (!vimg_ebs_live_check(cleanup->store, cleanup->site, owner, &cleanup->patience, error) ||
        !is_used(cleanup, owner, entry->key, &used, error))
        return FALSE;
    if (used)
        return TRUE;
    if (!cleanup->dry_run &&
        !vimg_ebs_delete_seen(cleanup->site, entry->key, object, &cleanup->patience, error))
        return FALSE;
    note(cleanup, cleanup->removed, entry->key, why);
    cleanup->freed += entry->size;
    return TRUE;
}

/* @uuid: of the image that it must be of; NULL: any. */
static gboolean
remove_stray(Cleanup *cleanup, const char *uuid, const VimgOssEntry *entry, const char *why,
             GError **error)
{
    g_auto(VimgOssObject) object = {0};
    const char *owner;
    gboolean ok;

    if (!vimg_oss_head(cleanup->site->oss, entry->key, &object, &cleanup->patience, error))
        return FALSE;
    owner = vimg_pairs_get(object.metadata, VIMG_EBS_TAG);
    if (!owner || !g_uuid_string_is_valid(owner) || (uuid && strcmp(owner, uuid) != 0))
        return throw_error(error, VIMG_ERROR_FAILED, _("it is not ours"));
    if (!is_aged(cleanup, &object) || !vimg_ebs_enter(cleanup->store, owner, NULL))
        return TRUE;
    ok = remove_entered(cleanup, entry, &object, owner, why, error);
    vimg_ebs_leave(cleanup->store, owner);
    return ok;
}

static gboolean
clean_name(Cleanup *cleanup, const char *name, const VimgOssEntry *entry, GError **error)
{
    return g_hash_table_contains(cleanup->names, name) ||
           remove_stray(cleanup, NULL, entry, _("a name without an image"), error);
}

/* Nobody knows what it was, so it is for a human to delete, or for pool-delete. */
static gboolean
clean_record_object(Cleanup *cleanup, const char *uuid, const VimgOssEntry *entry, GError **error)
{
    const char *why = g_hash_table_lookup(cleanup->unreadable, uuid);

    if (why)
        note(cleanup, cleanup->kept, entry->key, why);
    return TRUE;
}

static gboolean
clean_live(Cleanup *cleanup, const char *uuid, const VimgOssEntry *entry, GError **error)
{
    return g_hash_table_contains(cleanup->images, uuid) ||
           remove_stray(cleanup, uuid, entry, _("of an upload that is no more"), error);
}

/* Whoever tried whether objects can be written removes his own at once. */
static gboolean
clean_trial(Cleanup *cleanup, const char *uuid, const VimgOssEntry *entry, GError **error)
{
    return remove_stray(cleanup, uuid, entry, _("of a diagnosis that was cut off"), error);
}

/* A name, record or sign of life. */
static gboolean
clean_small(Cleanup *cleanup, const VimgOssEntry *entry, gboolean *known, GError **error)
{
    static const struct {
        const char *kind;
        gboolean (*clean)(Cleanup *cleanup, const char *rest, const VimgOssEntry *entry,
                          GError **error);
    } kinds[] = {{"names", clean_name},
                 {"live", clean_live},
                 {"doctor", clean_trial},
                 {"records", clean_record_object},
                 {"id", NULL}};
    const char *rest = entry->key + strlen(cleanup->site->prefix) + 1;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        gsize length = strlen(kinds[i].kind);

        if (strncmp(rest, kinds[i].kind, length) != 0 ||
            (rest[length] != '/' && rest[length] != '\0') ||
            (rest[length] == '/' && strchr(rest + length + 1, '/')))
            continue; /* what lies deeper may be of a storage of its own */
        *known = TRUE;
        return !kinds[i].clean || rest[length] == '\0' ||
               kinds[i].clean(cleanup, rest + length + 1, entry, error);
    }
    return TRUE;
}

static gboolean
clean_object(gpointer data, const VimgOssEntry *entry, GError **error)
{
    Cleanup *cleanup = data;
    g_autofree char *uuid = vimg_ebs_uuid_in(cleanup->site, entry->key);
    gboolean known = uuid != NULL;
    GError *local = NULL;

    if (!vimg_ebs_check_job(cleanup->job, error))
        return FALSE;
    if (!uuid)
        clean_small(cleanup, entry, &known, &local);
    else if (!is_needed(cleanup, uuid, entry->key, NULL))
        remove_stray(cleanup, uuid, entry, _("of no image"), &local);
    if (!known)
        note(cleanup, cleanup->kept, entry->key, _("it is not ours"));
    return settle(cleanup, entry->key, local, error);
}

/* ---- uploads ---------------------------------------------------------------------------- */

static gboolean
abort_entered(Cleanup *cleanup, const VimgOssPending *pending, const char *uuid, GError **error)
{
    GError *local = NULL;
    g_autoptr(VimgEbsRecord) record =
        vimg_ebs_record_load(cleanup->site, uuid, &cleanup->patience, &local);

    if (!record && !vimg_ebs_is_gone(local)) {
        g_propagate_error(error, local);
        return FALSE;
    }
    g_clear_error(&local);
    if (record && g_strcmp0(record->upload, pending->id) == 0)
        return TRUE;
    if (!vimg_ebs_live_check(cleanup->store, cleanup->site, uuid, &cleanup->patience, error) ||
        (!cleanup->dry_run && !vimg_oss_upload_abort(cleanup->site->oss, pending->key, pending->id,
                                                     &cleanup->patience, error)))
        return FALSE;
    note(cleanup, cleanup->removed, pending->key, _("an upload that nobody took up again"));
    return TRUE;
}

static gboolean
clean_upload(Cleanup *cleanup, const VimgOssPending *pending, GError **error)
{
    g_autofree char *uuid = vimg_ebs_uuid_in(cleanup->site, pending->key);
    GError *local = NULL;

    if (!uuid || is_needed(cleanup, uuid, pending->key, pending->id) ||
        !is_old(cleanup, pending->initiated, cleanup->keep_temporary) ||
        !vimg_ebs_enter(cleanup->store, uuid, NULL))
        return TRUE;
    abort_entered(cleanup, pending, uuid, &local);
    vimg_ebs_leave(cleanup->store, uuid);
    return settle(cleanup, pending->key, local, error);
}

static gboolean
clean_pending(gpointer data, const VimgOssPending *pending, GError **error)
{
    Cleanup *cleanup = data;

    return vimg_ebs_check_job(cleanup->job, error) && clean_upload(cleanup, pending, error);
}

/* ---- all of it -------------------------------------------------------------------------- */

static char *
format_report(const Cleanup *cleanup)
{
    g_autoptr(JsonObject) object = json_object_new();

    json_object_set_int_member(object, "freed", (gint64)MIN(cleanup->freed, G_MAXINT64));
    json_object_set_boolean_member(object, "dry_run", cleanup->dry_run);
    json_object_set_boolean_member(object, "truncated", cleanup->room == 0);
    json_object_set_array_member(object, "removed", json_array_ref(cleanup->removed));
    json_object_set_array_member(object, "kept", json_array_ref(cleanup->kept));
    return vimg_json_format(object);
}

static gboolean
clean_all(Cleanup *cleanup, GError **error)
{
    guint i;

    if (!vimg_ebs_replay(cleanup->store, cleanup->job, cleanup->dry_run, note_journal, cleanup,
                         error))
        return FALSE;
    cleanup->records = vimg_ebs_list_records(cleanup->store, cleanup->site, cleanup->unreadable,
                                             &cleanup->patience, error);
    cleanup->now = vimg_ebs_now(cleanup->site);
    for (i = 0; cleanup->records && i < cleanup->records->len; i++) {
        VimgEbsRecord *record = cleanup->records->pdata[i];

        g_hash_table_insert(cleanup->images, record->info.uuid, record);
        if (!record->info.deleted)
            g_hash_table_add(cleanup->names, record->info.name);
    }
    return cleanup->records && clean_records(cleanup, error) &&
           vimg_ebs_each_object(cleanup->site, "", clean_object, cleanup, &cleanup->patience,
                                error) &&
           vimg_ebs_each_upload(cleanup->site, "", clean_pending, cleanup, &cleanup->patience,
                                error);
}

char *
vimg_ebs_cleanup(VimgEbsStore *store, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    g_autoptr(JsonArray) removed = json_array_new();
    g_autoptr(JsonArray) kept = json_array_new();
    g_autoptr(GHashTable) images = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) unreadable = vimg_ebs_unreadable_new();
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    Cleanup cleanup = {
        .store = store,
        .site = site,
        .job = job,
        .patience = vimg_ebs_patience(job),
        .dry_run = dry_run,
        .keep_deleted = __atomic_load_n(&store->keep_deleted, __ATOMIC_RELAXED),
        .keep_temporary = __atomic_load_n(&store->keep_temporary, __ATOMIC_RELAXED),
        .unreadable = unreadable,
        .images = images,
        .names = names,
        .removed = removed,
        .kept = kept,
        .room = VIMG_EBS_REPORT_ROOM,
    };
    char *report = clean_all(&cleanup, error) ? format_report(&cleanup) : NULL;

    g_clear_pointer(&cleanup.records, g_ptr_array_unref);
    return report;
}
