/*
 * export.c: an object that is gone, made again of the image at the control endpoint
 *
 * The endpoint takes no place below our prefix, so what it makes is copied to where content
 * belongs.  Its bytes are others, so the record is changed before anything else goes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "copy.h"
#include "export.h"
#include "hold.h"
#include "image.h"
#include "import.h"
#include "multipart.h"
#include "reader.h"
#include "rollback.h"
#include "throw.h"

#define DIGITS 23 /* of a token, in the prefix of what is exported: 30 bytes at most */
#define ROLLBACK_SECONDS 25
#define TAG VIMG_EBS_TAG "-export" /* names metadata of a copy */

typedef struct {
    VimgEbsStore *store;
    VimgEbsSite *site;
    VimgPluginJob *job;
    VimgPatience patience;
    VimgEbsRecord *record;
    VimgEbsJournal *journal;
} Export;

static void
export_clear(Export *export)
{
    vimg_ebs_journal_free(export->journal);
    vimg_ebs_record_free(export->record);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Export, export_clear)

/* ---- the end ---------------------------------------------------------------------------- */

/* All that has the prefix, which nobody else has ever been told. */
static gboolean
remove_exported(VimgEbsSite *site, const VimgEbsJournal *journal, const VimgPatience *patience,
                GError **error)
{
    g_autoptr(VimgOssPage) page =
        vimg_oss_list(site->oss, journal->image_name, NULL, NULL, patience, error);
    guint i;

    for (i = 0; page && i < page->entries->len; i++) {
        const VimgOssEntry *entry = page->entries->pdata[i];

        if (g_str_has_prefix(entry->key, journal->image_name) &&
            !vimg_ebs_drop_object(site, entry->key, journal->uuid, entry->etag, NULL, patience,
                                  error))
            return FALSE;
    }
    return page != NULL;
}

/* There was no object when it was begun: one that the record does not know is its copy. */
static gboolean
remove_copy(VimgEbsSite *site, const VimgEbsJournal *journal, const VimgPatience *patience,
            GError **error)
{
    g_auto(VimgOssObject) seen = {0};
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgEbsRecord) record = vimg_ebs_record_load(site, journal->uuid, patience, &local);

    if (!record && !vimg_ebs_is_gone(local)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    g_clear_error(&local);
    if (vimg_oss_head(site->oss, journal->key, &seen, patience, &local))
        return (record && record->etag && g_ascii_strcasecmp(seen.etag, record->etag) == 0) ||
               vimg_ebs_drop_object(site, journal->key, journal->uuid, NULL, NULL, patience, error);
    if (vimg_ebs_is_gone(local))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_ebs_end_export(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                    const VimgPatience *patience, GError **error)
{
    GError *local = NULL;

    if (vimg_ebs_end_task(site, journal->task_id, patience, &local) &&
        (!journal->upload ||
         vimg_oss_upload_abort(site->oss, journal->key, journal->upload, patience, &local)) &&
        remove_copy(site, journal, patience, &local) &&
        remove_exported(site, journal, patience, &local)) {
        vimg_ebs_journal_drop(store, journal->uuid);
        return TRUE;
    }
    g_propagate_prefixed_error(error, local, _("left behind: objects '%1$s…' in bucket '%2$s': "),
                               journal->image_name, vimg_oss_bucket(site->oss));
    return FALSE;
}

/* ---- making it -------------------------------------------------------------------------- */

static gboolean
begun(gpointer data, const char *id, GError **error)
{
    Export *export = data;

    vimg_ebs_set(&export->journal->upload, id);
    return vimg_ebs_journal_note(export->store, export->journal, VIMG_EBS_EXPORTING, error);
}

static void
show(gpointer data, guint64 done, guint64 total)
{
    const Export *export = data;

    vimg_ebs_progress(export->job, "copying", done, total);
}

static gboolean
copy_to_place(Export *export, const char *key, VimgOssObject *seen, GError **error)
{
    g_autoptr(GPtrArray) metadata = vimg_ebs_metadata(export->record->info.uuid);
    g_auto(VimgOssObject) made = {0};
    VimgOssCopy copy = {.from = key,
                        .object = &made,
                        .to = export->record->key,
                        .metadata = metadata,
                        .exclusive = TRUE,
                        .patience = &export->patience,
                        .begun = begun,
                        .progress = show,
                        .data = export};

    vimg_pairs_add(metadata, TAG, export->journal->image_name);
    return vimg_oss_head(export->site->oss, key, &made, &export->patience, error) &&
           vimg_oss_copy(export->site->oss, &copy, seen, error);
}

/* Its bytes are others now, and so are its sums. */
static gboolean
know_copy(Export *export, const VimgOssObject *seen, GError **error)
{
    VimgEbsRecord *record = export->record;
    g_autofree char *crc = g_strdup_printf("%llu", ULL(seen->crc));

    vimg_ebs_set(&record->etag, seen->etag);
    vimg_ebs_set(&record->version, seen->version);
    vimg_ebs_set(&record->crc, seen->has_crc ? crc : NULL);
    vimg_ebs_set(&record->info.checksum, NULL);
    vimg_ebs_set(&record->info.checksum_type, NULL);
    record->info.physical = record->info.allocation = seen->size;
    return vimg_ebs_record_save(export->site, record, &export->patience, error);
}

static gboolean
make(Export *export, VimgEbsHold *hold, GError **error)
{
    const char *prefix = export->journal->image_name;
    g_auto(VimgOssObject) seen = {0};
    g_auto(GStrv) keys = vimg_ebs_import_export(export->store, export->site, export->journal,
                                                export->record, export->job, error);

    if (!keys)
        return FALSE;
    if (!g_str_has_prefix(keys[0], prefix))
        return throw_error(error, VIMG_ERROR_INTERNAL,
                           _("the control endpoint exported to '%s', where it was not asked to"),
                           keys[0]);
    return copy_to_place(export, keys[0], &seen, error) &&
           vimg_ebs_hold_confirm(hold, &export->patience, error) && know_copy(export, &seen, error);
}

gboolean
vimg_ebs_is_exported(const VimgOssObject *object)
{
    return object->metadata && vimg_pairs_get(object->metadata, TAG);
}

/* Whether it is to be made: another download may have been faster. */
static gboolean
look(Export *export, const char *uuid, gboolean *needed, GError **error)
{
    g_auto(VimgOssObject) seen = {0};
    GError *local = NULL;

    export->record =
        vimg_ebs_image_find_kept(export->store, export->site, uuid, &export->patience, error);
    if (!export->record)
        return FALSE;
    if (vimg_ebs_head(export->site, export->record, &seen, &export->patience, &local))
        return TRUE;
    *needed = vimg_ebs_is_gone(local) || vimg_ebs_is_exported(&seen);
    if (!*needed) {
        g_propagate_error(error, local);
        return FALSE;
    }
    g_error_free(local);
    return !seen.etag || vimg_ebs_drop_object(export->site, export->record->key, uuid, seen.etag,
                                              seen.version, &export->patience, error);
}

static gboolean
announce(Export *export, GError **error)
{
    g_autofree char *token = g_uuid_string_random();
    VimgEbsJournal *journal = g_new0(VimgEbsJournal, 1);

    export->journal = journal;
    journal->uuid = g_strdup(export->record->info.uuid);
    journal->name = g_strdup(export->record->info.name);
    journal->key = g_strdup(export->record->key);
    journal->attempt = g_strdup(export->record->attempt);
    journal->image_name = g_strdup_printf("vimg-%.*s", DIGITS, token);
    return vimg_ebs_journal_note(export->store, journal, VIMG_EBS_EXPORTING, error);
}

gboolean
vimg_ebs_export(VimgEbsStore *store, VimgEbsSite *site, const char *uuid, VimgPluginJob *job,
                GError **error)
{
    g_auto(VimgEbsHold) hold = {0};
    g_auto(Export) export = {
        .store = store, .site = site, .job = job, .patience = vimg_ebs_patience(job)};
    VimgPatience patience;
    g_autoptr(GError) local = NULL;
    gboolean needed = FALSE;

    if (!vimg_ebs_hold(&hold, store, site, uuid, &export.patience, error) ||
        !look(&export, uuid, &needed, error))
        return FALSE;
    if (!needed)
        return TRUE;
    if (!announce(&export, error))
        return FALSE;
    if (!make(&export, &hold, &local)) {
        vimg_ebs_undo(store, site, export.journal, NULL, &local);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    patience = vimg_ebs_patience_for(ROLLBACK_SECONDS);
    if (!vimg_ebs_end_export(store, site, export.journal, &patience, &local))
        vimg_ebs_warn("image %s: %s", uuid, local->message);
    return TRUE;
}
