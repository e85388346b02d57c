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
#include "report.h"
#include "rollback.h"
#include "../imagestore/throw.h"

#define UUID_LENGTH 36

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
    GHashTable *images; /* of VimgEbsRecord by uuid */
    GHashTable *names;  /* that images have */

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
        note(cleanup, cleanup->removed, journal->name, _("what an upload or a clone left"));
}

/* ---- images ----------------------------------------------------------------------------- */

/* By the storage's own clock.  @ours, if not NULL: whether the object carries our metadata. */
static gboolean
look_at_age(const Cleanup *cleanup, const char *key, gboolean *old, gboolean *ours, GError **error)
{
    g_auto(VimgOssObject) object = {0};
    gint64 age;

    if (!vimg_oss_head(cleanup->site->oss, key, &object, &cleanup->patience, error))
        return FALSE;
    age = object.date - object.modified;
    *old = object.modified > 0 && age >= 0 && (guint64)age >= cleanup->keep_temporary;
    if (ours)
        *ours = vimg_pairs_get(object.metadata, VIMG_EBS_TAG) != NULL;
    return TRUE;
}

/* By what the record says alone. */
static gboolean
may_remove(const Cleanup *cleanup, const VimgEbsRecord *record)
{
    if (record->info.deleted)
        return is_old(cleanup, record->info.deleted, cleanup->keep_deleted);
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
    if (!look_at_age(cleanup, key, &old, NULL, error) || !old ||
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

/* Returns: (transfer full) the uuid in "PREFIX/UUID/…"; NULL: it is no such key. */
static char *
uuid_of(const Cleanup *cleanup, const char *key)
{
    const char *rest = key + strlen(cleanup->site->prefix) + 1;
    g_autofree char *uuid = g_strndup(rest, UUID_LENGTH);

    if (strlen(uuid) < UUID_LENGTH || rest[UUID_LENGTH] != '/' || !g_uuid_string_is_valid(uuid))
        return NULL;
    return g_steal_pointer(&uuid);
}

static gboolean
is_needed(const Cleanup *cleanup, const char *uuid, const char *key, const char *upload)
{
    const VimgEbsRecord *record = g_hash_table_lookup(cleanup->images, uuid);

    if (!record || g_strcmp0(record->key, key) != 0)
        return FALSE;
    return !upload || g_strcmp0(record->upload, upload) == 0;
}

static gboolean
remove_stray(Cleanup *cleanup, const char *uuid, const VimgOssEntry *entry, const char *why,
             GError **error)
{
    gboolean old = FALSE;
    gboolean ours = FALSE;

    if (!look_at_age(cleanup, entry->key, &old, &ours, error))
        return FALSE;
    if (!ours)
        return throw_error(error, VIMG_ERROR_FAILED, _("it is not ours"));
    if (!old)
        return TRUE;
    if (!vimg_ebs_live_check(cleanup->store, cleanup->site, uuid, &cleanup->patience, error) ||
        (!cleanup->dry_run &&
         !vimg_oss_delete_same(cleanup->site->oss, entry->key, entry->etag ? entry->etag : "", NULL,
                               &cleanup->patience, error)))
        return FALSE;
    note(cleanup, cleanup->removed, entry->key, why);
    cleanup->freed += entry->size;
    return TRUE;
}

/* Names were listed a while ago: this one may have become one of an image since. */
static gboolean
is_name_of_image(const Cleanup *cleanup, const char *name, gboolean *is, GError **error)
{
    GError *local = NULL;
    g_autofree char *uuid = vimg_ebs_claim_look(cleanup->site, name, &cleanup->patience, &local);
    g_autoptr(VimgEbsRecord) record =
        uuid ? vimg_ebs_record_load(cleanup->site, uuid, &cleanup->patience, &local) : NULL;

    *is = record && !record->info.deleted && strcmp(record->info.name, name) == 0;
    if (!local || vimg_ebs_is_gone(local)) {
        g_clear_error(&local);
        return TRUE;
    }
    g_propagate_error(error, local);
    return FALSE;
}

static gboolean
clean_name(Cleanup *cleanup, const char *name, const VimgOssEntry *entry, GError **error)
{
    gboolean used = g_hash_table_contains(cleanup->names, name);

    if (!used && !is_name_of_image(cleanup, name, &used, error))
        return FALSE;
    return used || remove_stray(cleanup, name, entry, _("a name without an image"), error);
}

static gboolean
clean_live(Cleanup *cleanup, const char *uuid, const VimgOssEntry *entry, GError **error)
{
    return g_hash_table_contains(cleanup->images, uuid) ||
           remove_stray(cleanup, uuid, entry, _("of an upload that is no more"), error);
}

/* A name, record or sign of life. */
static gboolean
clean_small(Cleanup *cleanup, const VimgOssEntry *entry, gboolean *known, GError **error)
{
    static const struct {
        const char *kind;
        gboolean (*clean)(Cleanup *cleanup, const char *rest, const VimgOssEntry *entry,
                          GError **error);
    } kinds[] = {{"names", clean_name}, {"live", clean_live}, {"records", NULL}, {"id", NULL}};
    const char *rest = entry->key + strlen(cleanup->site->prefix) + 1;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        gsize length = strlen(kinds[i].kind);

        if (strncmp(rest, kinds[i].kind, length) != 0 ||
            (rest[length] != '/' && rest[length] != '\0'))
            continue;
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
    g_autofree char *uuid = uuid_of(cleanup, entry->key);
    gboolean known = uuid != NULL;
    GError *local = NULL;

    if (!vimg_ebs_check_job(cleanup->job, error))
        return FALSE;
    if (!uuid)
        clean_small(cleanup, entry, &known, &local);
    else if (!is_needed(cleanup, uuid, entry->key, NULL) &&
             vimg_ebs_enter(cleanup->store, uuid, NULL)) {
        remove_stray(cleanup, uuid, entry, _("of no image"), &local);
        vimg_ebs_leave(cleanup->store, uuid);
    }
    if (!known)
        note(cleanup, cleanup->kept, entry->key, _("it is not ours"));
    return settle(cleanup, entry->key, local, error);
}

/* ---- uploads ---------------------------------------------------------------------------- */

static gboolean
clean_upload(Cleanup *cleanup, const VimgOssPending *pending, GError **error)
{
    g_autofree char *uuid = uuid_of(cleanup, pending->key);
    GError *local = NULL;

    if (!uuid || is_needed(cleanup, uuid, pending->key, pending->id) ||
        !is_old(cleanup, pending->initiated, cleanup->keep_temporary) ||
        !vimg_ebs_enter(cleanup->store, uuid, NULL))
        return TRUE;
    if (vimg_ebs_live_check(cleanup->store, cleanup->site, uuid, &cleanup->patience, &local) &&
        (cleanup->dry_run || vimg_oss_upload_abort(cleanup->site->oss, pending->key, pending->id,
                                                   &cleanup->patience, &local)))
        note(cleanup, cleanup->removed, pending->key, _("an upload that nobody took up again"));
    vimg_ebs_leave(cleanup->store, uuid);
    return settle(cleanup, pending->key, local, error);
}

static gboolean
clean_uploads(Cleanup *cleanup, GError **error)
{
    g_autofree char *prefix = g_strconcat(cleanup->site->prefix, "/", NULL);
    g_autofree char *key = NULL;
    g_autofree char *id = NULL;
    gboolean more = TRUE;
    guint i;

    if (vimg_oss_is_s3(cleanup->site->oss))
        return TRUE; /* it need not be able to list them; records name those there are */
    while (more) {
        g_autoptr(VimgOssPage) page =
            vimg_oss_list_uploads(cleanup->site->oss, prefix, key, id, &cleanup->patience, error);

        if (!page)
            return FALSE;
        for (i = 0; i < page->pending->len; i++) {
            if (!clean_upload(cleanup, page->pending->pdata[i], error))
                return FALSE;
        }
        more = page->truncated && page->next;
        g_free(key);
        g_free(id);
        key = g_strdup(page->next);
        id = g_strdup(page->next_id);
    }
    return TRUE;
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
    cleanup->records =
        vimg_ebs_list_records(cleanup->store, cleanup->site, TRUE, &cleanup->patience, error);
    for (i = 0; cleanup->records && i < cleanup->records->len; i++) {
        VimgEbsRecord *record = cleanup->records->pdata[i];

        g_hash_table_insert(cleanup->images, record->info.uuid, record);
        if (!record->info.deleted)
            g_hash_table_add(cleanup->names, record->info.name);
    }
    return cleanup->records && clean_records(cleanup, error) &&
           vimg_ebs_each_object(cleanup->site, "", clean_object, cleanup, &cleanup->patience,
                                error) &&
           clean_uploads(cleanup, error);
}

char *
vimg_ebs_cleanup(VimgEbsStore *store, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    g_autoptr(JsonArray) removed = json_array_new();
    g_autoptr(JsonArray) kept = json_array_new();
    g_autoptr(GHashTable) images = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    Cleanup cleanup = {
        .store = store,
        .site = site,
        .job = job,
        .patience = vimg_ebs_patience(job),
        .dry_run = dry_run,
        .keep_deleted = __atomic_load_n(&store->keep_deleted, __ATOMIC_RELAXED),
        .keep_temporary = __atomic_load_n(&store->keep_temporary, __ATOMIC_RELAXED),
        .now = g_get_real_time() / G_USEC_PER_SEC + vimg_oss_skew(site->oss),
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
