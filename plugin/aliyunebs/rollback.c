/*
 * rollback.c: undoing what an upload or a clone began and could not end
 *
 * First the import, since it reads the object, then the object, and only the one that we made: in
 * between somebody else may have put another one in its place.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "export.h"
#include "hold.h"
#include "import.h"
#include "listing.h"
#include "multipart.h"
#include "rollback.h"
#include "throw.h"

#define REST (G_USEC_PER_SEC / 4)
#define ROLLBACK_SECONDS 25
#define REPLAY_SECONDS 25 /* for each journal: one that is stuck is left for the next time */

/* Whether trying again is hopeless: what is to be undone is not there any more. */
static gboolean
is_over(const GError *error)
{
    return g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL) ||
           g_error_matches(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
}

/* ---- at the control endpoint ------------------------------------------------------------ */

/* Stops the task and waits for its end. */
static gboolean
end_task(VimgControl *control, const char *id, const VimgPatience *patience, GError **error)
{
    gboolean asked = FALSE;

    for (;;) {
        g_auto(VimgTask) task = {0};
        g_autoptr(GError) local = NULL;

        if (!vimg_control_describe_task(control, id, &task, patience, &local)) {
            if (vimg_ebs_is_gone(local))
                return TRUE;
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        if (task.state != VIMG_TASK_RUNNING)
            return TRUE;
        if (!asked && task.can_cancel && !vimg_control_cancel_task(control, id, patience, &local) &&
            !is_over(local)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        asked = TRUE;
        if (!vimg_patience_sleep(patience, REST, error))
            return FALSE;
    }
}

gboolean
vimg_ebs_end_task(VimgEbsSite *site, const char *id, const VimgPatience *patience, GError **error)
{
    if (!id)
        return TRUE;
    if (!site->control)
        return throw_error(
            error, VIMG_ERROR_FAILED,
            _("an import may run at a control endpoint that the pool no longer has"));
    return end_task(site->control, id, patience, error);
}

/* An image of another one's name is not ours, whatever else speaks for it. */
static gboolean
is_ours(const VimgCloudImage *image, const VimgEbsJournal *journal)
{
    const char *tag = image->tags ? g_hash_table_lookup(image->tags, VIMG_EBS_TAG) : NULL;

    if (tag)
        return strcmp(tag, journal->uuid) == 0;
    return g_strcmp0(image->name, journal->image_name) == 0;
}

/* @available: it can be used, so it stays; NULL, or else: it is gone. */
static gboolean
end_image(VimgControl *control, VimgEbsJournal *journal, const VimgPatience *patience,
          gboolean *available, GError **error)
{
    for (;;) {
        g_auto(VimgCloudImage) image = {0};

        if (!vimg_control_describe_image(control, journal->image_id, journal->image_name, &image,
                                         patience, error))
            return FALSE;
        if (image.state == VIMG_CLOUD_IMAGE_ABSENT)
            return TRUE;
        if (!is_ours(&image, journal))
            return throw_error(error, VIMG_ERROR_FAILED,
                               _("image '%s' of the control endpoint is not ours"), image.id);
        vimg_ebs_set(&journal->image_id, image.id);
        if (image.state == VIMG_CLOUD_IMAGE_AVAILABLE && available)
            return *available = TRUE;
        if (image.in_use)
            return throw_error(
                error, VIMG_ERROR_OPERATION_INVALID,
                _("image '%s' of the control endpoint is in use; delete first what was made from it"),
                image.id);
        if (image.state != VIMG_CLOUD_IMAGE_WAITING &&
            !vimg_control_delete_image(control, image.id, patience, error))
            return FALSE;
        if (!vimg_patience_sleep(patience, REST, error))
            return FALSE;
    }
}

/* The answer to an import was lost, but the import runs: asked for once more, it tells its task. */
static gboolean
learn_task(VimgEbsSite *site, VimgEbsJournal *journal, const VimgPatience *patience, GError **error)
{
    g_auto(VimgCloudImage) image = {0};
    g_autoptr(VimgEbsRecord) record = NULL;

    if (journal->task_id || journal->clone || !journal->record)
        return TRUE;
    if (!vimg_control_describe_image(site->control, NULL, journal->image_name, &image, patience,
                                     error))
        return FALSE;
    if (image.state != VIMG_CLOUD_IMAGE_WAITING || !is_ours(&image, journal))
        return TRUE;
    record = vimg_ebs_record_parse(journal->record, strlen(journal->record), error);
    return record && vimg_ebs_import_ask(site, journal, &record->info, patience, error);
}

gboolean
vimg_ebs_end_import(VimgEbsSite *site, VimgEbsJournal *journal, const VimgPatience *patience,
                    gboolean *available, GError **error)
{
    GError *local = NULL;

    if (!journal->token)
        return TRUE;
    if (!site->control)
        return throw_error(
            error, VIMG_ERROR_FAILED,
            _("an import may run at a control endpoint that the pool no longer has"));
    if (learn_task(site, journal, patience, &local) &&
        vimg_ebs_end_task(site, journal->task_id, patience, &local) &&
        end_image(site->control, journal, patience, available, &local))
        return TRUE;
    g_propagate_prefixed_error(error, local, _("left behind at the control endpoint: image '%s': "),
                               journal->image_name);
    return FALSE;
}

/* ---- in the bucket ---------------------------------------------------------------------- */

typedef struct {
    VimgEbsSite *site;
    const VimgPatience *patience;
} Aborting;

static gboolean
abort_one(gpointer data, const VimgOssPending *pending, GError **error)
{
    const Aborting *aborting = data;

    return vimg_oss_upload_abort(aborting->site->oss, pending->key, pending->id, aborting->patience,
                                 error);
}

gboolean
vimg_ebs_abort_uploads(VimgEbsSite *site, const char *uuid, const VimgPatience *patience,
                       GError **error)
{
    Aborting aborting = {.site = site, .patience = patience};

    return vimg_ebs_each_upload(site, uuid, abort_one, &aborting, patience, error);
}

/* @kept: the upload is there, and was never completed. */
static gboolean
end_object(VimgEbsSite *site, const VimgEbsJournal *journal, const VimgPatience *patience,
           gboolean *kept, GError **error)
{
    g_auto(VimgOssObject) object = {0};
    gboolean there;

    if (!vimg_ebs_look(site, journal->key, &object, &there, patience, error))
        return FALSE;
    if (there)
        return vimg_ebs_drop_object(site, journal->key, journal->uuid, journal->etag,
                                    journal->version, patience, error);
    *kept = journal->step == VIMG_EBS_COMPLETING && !journal->clone;
    return TRUE;
}

/* The image is what it was before its content came. */
static gboolean
reset_record(VimgEbsSite *site, const VimgEbsJournal *journal, VimgEbsRecord *record,
             const VimgPatience *patience, GError **error)
{
    if (journal->clone)
        return vimg_ebs_claim_release(site, journal->name, journal->uuid, patience, error);
    if (!record)
        return TRUE;
    vimg_ebs_record_empty(record);
    return vimg_ebs_record_update(site, record, journal->attempt, patience, error);
}

/* Also where they cannot be listed. */
static gboolean
abort_known(VimgEbsSite *site, const VimgEbsJournal *journal, const VimgPatience *patience,
            GError **error)
{
    return !journal->upload ||
           vimg_oss_upload_abort(site->oss, journal->key, journal->upload, patience, error);
}

static gboolean
undo_object(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal, VimgEbsRecord *record,
            const VimgPatience *patience, GError **error)
{
    gboolean kept = FALSE;
    GError *local = NULL;

    if (end_object(site, journal, patience, &kept, &local)) {
        if (kept && record)
            return vimg_ebs_journal_note(store, journal, VIMG_EBS_UPLOADING, error);
        if (abort_known(site, journal, patience, &local) &&
            vimg_ebs_abort_uploads(site, journal->uuid, patience, &local) &&
            reset_record(site, journal, record, patience, &local)) {
            vimg_ebs_journal_drop(store, journal->uuid);
            return TRUE;
        }
    }
    g_propagate_prefixed_error(error, local, _("left behind: object '%1$s' in bucket '%2$s': "),
                               journal->key, vimg_oss_bucket(site->oss));
    return FALSE;
}

/* ---- all of it -------------------------------------------------------------------------- */

/* An image has what its record says, and that is of one upload, whichever hosts had others. */
static gboolean
is_of(const VimgEbsRecord *record, const VimgEbsJournal *journal)
{
    return g_strcmp0(record->attempt, journal->attempt) == 0;
}

/* *@out: NULL if there is none. */
static gboolean
look_at_record(VimgEbsSite *site, const VimgEbsJournal *journal, VimgEbsRecord **out,
               const VimgPatience *patience, GError **error)
{
    GError *local = NULL;

    *out = vimg_ebs_record_load(site, journal->uuid, patience, &local);
    if (*out || vimg_ebs_is_gone(local)) {
        g_clear_error(&local);
        return TRUE;
    }
    g_propagate_prefixed_error(error, local, _("left behind: object '%1$s' in bucket '%2$s': "),
                               journal->key, vimg_oss_bucket(site->oss));
    return FALSE;
}

/* Whether @record, that of now, waits for just this content. */
static gboolean
is_open(const VimgEbsRecord *record, const VimgEbsJournal *journal)
{
    if (!record)
        return journal->clone;
    return !journal->clone && vimg_ebs_record_is_staged(record) && is_of(record, journal);
}

/* It is put where it is missing, or in place of the one that waits, and looked at again. */
static gboolean
put_record(VimgEbsSite *site, const VimgEbsJournal *journal, VimgEbsRecord *record,
           const VimgPatience *patience, GError **error)
{
    g_autoptr(VimgEbsRecord) now = NULL;

    if (!look_at_record(site, journal, &now, patience, error))
        return FALSE;
    if (!is_open(now, journal))
        return throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image"));
    if (!vimg_ebs_record_save(site, record, patience, error))
        return FALSE;
    g_clear_pointer(&now, vimg_ebs_record_free);
    return look_at_record(site, journal, &now, patience, error) &&
           ((now && is_of(now, journal)) ||
            throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image")));
}

gboolean
vimg_ebs_commit(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                const VimgPatience *patience, VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgEbsRecord) record =
        vimg_ebs_record_parse(journal->record, strlen(journal->record), error);

    if (!record || !vimg_ebs_live_beat(store, site, journal->uuid, patience, error))
        return FALSE;
    vimg_ebs_set(&record->key, journal->key);
    vimg_ebs_set(&record->etag, journal->etag);
    vimg_ebs_set(&record->version, journal->version);
    vimg_ebs_set(&record->attempt, journal->attempt);
    vimg_ebs_set(&record->image_id, journal->image_id);
    record->info.state = VIMG_IMAGE_ACTIVE;
    if (!put_record(site, journal, record, patience, error))
        return FALSE;
    vimg_ebs_journal_drop(store, journal->uuid);
    if (out)
        vimg_ebs_record_give(record, out);
    return TRUE;
}

/* Whether what an import came to can be an image: its object, and the name of a clone, are there.
 */
static gboolean
look_complete(VimgEbsStore *store, VimgEbsSite *site, const VimgEbsJournal *journal, gboolean *out,
              const VimgPatience *patience, GError **error)
{
    g_auto(VimgOssObject) object = {0};
    GError *local = NULL;

    *out = FALSE;
    if (!journal->token || !journal->record || !journal->etag)
        return TRUE;
    if (vimg_oss_head(site->oss, journal->key, &object, patience, &local)) {
        *out = g_ascii_strcasecmp(object.etag, journal->etag) == 0 &&
               (!journal->clone ||
                vimg_ebs_claim_take(store, site, journal->name, journal->uuid, patience, &local));
    }
    if (!local || vimg_ebs_is_gone(local) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS)) {
        g_clear_error(&local);
        return TRUE;
    }
    g_propagate_error(error, local);
    return FALSE;
}

gboolean
vimg_ebs_rollback(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                  const VimgPatience *patience, gboolean *active, GError **error)
{
    g_autoptr(VimgEbsRecord) record = NULL;
    gboolean available = FALSE;
    gboolean complete = FALSE;
    gboolean open;

    *active = FALSE;
    if (journal->step == VIMG_EBS_EXPORTING)
        return vimg_ebs_end_export(store, site, journal, patience, error);
    if (!look_at_record(site, journal, &record, patience, error))
        return FALSE;
    open = is_open(record, journal);
    /* the record comes last: where it names the object all was done, whether or not we heard so */
    *active = record && !open && !vimg_ebs_record_is_staged(record) && is_of(record, journal);
    if (*active) {
        vimg_ebs_journal_drop(store, journal->uuid);
        return TRUE;
    }
    if ((open && !look_complete(store, site, journal, &complete, patience, error)) ||
        !vimg_ebs_end_import(site, journal, patience, complete ? &available : NULL, error))
        return FALSE;
    if (available)
        return *active = vimg_ebs_commit(store, site, journal, patience, NULL, error);
    if (open || !record)
        return undo_object(store, site, journal, record, patience, error);
    /* another host took the image, and what lies there is that one's */
    vimg_ebs_journal_drop(store, journal->uuid);
    return TRUE;
}

static gboolean
give_active(VimgEbsSite *site, const char *uuid, const VimgPatience *patience, VimgPluginImage *out)
{
    g_autoptr(VimgEbsRecord) record = vimg_ebs_record_load(site, uuid, patience, NULL);

    if (record)
        vimg_ebs_record_give(record, out);
    return record != NULL;
}

gboolean
vimg_ebs_undo(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal, VimgPluginImage *out,
              GError **why)
{
    VimgPatience patience = vimg_ebs_patience_for(ROLLBACK_SECONDS);
    g_autoptr(GError) left = NULL;
    gboolean active = FALSE;

    if (vimg_ebs_rollback(store, site, journal, &patience, &active, &left))
        return active && give_active(site, journal->uuid, &patience, out);
    vimg_ebs_warn("image %s: %s", journal->uuid, left->message);
    if (why && *why) {
        GError *both =
            g_error_new(VIMG_ERROR, (*why)->code, _("%1$s; %2$s"), (*why)->message, left->message);

        g_error_free(*why);
        *why = both;
    }
    return FALSE;
}

/* An upload that waits to be taken up is nothing to undo, nor is what the definition keeps. */
static gboolean
is_pending(const VimgEbsSite *site, const VimgEbsJournal *journal)
{
    return journal->uuid && (journal->clone || journal->step == VIMG_EBS_EXPORTING ||
                             (journal->step != VIMG_EBS_UPLOADING && site->rollback));
}

static gboolean
replay_held(VimgEbsStore *store, VimgEbsSite *site, const char *uuid, const VimgPatience *patience,
            gboolean *active, GError **error)
{
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsJournal) journal = NULL;

    if (!vimg_ebs_hold(&hold, store, site, uuid, patience, error))
        return FALSE;
    journal = vimg_ebs_journal_load(store, uuid, error); /* it may have ended since */
    return journal && (!is_pending(site, journal) ||
                       vimg_ebs_rollback(store, site, journal, patience, active, error));
}

/* FALSE: the storage is away, and so it is for the next one. */
static gboolean
replay_one(VimgEbsStore *store, VimgEbsSite *site, const char *uuid, gboolean dry_run,
           const VimgPatience *patience, VimgEbsNote note, gpointer data)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgEbsJournal) journal = vimg_ebs_journal_load(store, uuid, &local);
    gboolean active = FALSE;

    if (!journal) {
        vimg_ebs_warn("%s", local->message);
        return TRUE;
    }
    if (!is_pending(site, journal))
        return TRUE;
    if (!dry_run)
        replay_held(store, site, uuid, patience, &active, &local);
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY))
        return TRUE; /* somebody is at work on it */
    if (note)
        note(data, journal, active, local);
    if (local)
        vimg_ebs_warn("image %s: %s", uuid, local->message);
    return !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

static gboolean
is_closing(gpointer data)
{
    const VimgEbsStore *store = data;

    return __atomic_load_n(&store->closing, __ATOMIC_RELAXED);
}

gboolean
vimg_ebs_replay(VimgEbsStore *store, VimgPluginJob *job, gboolean dry_run, VimgEbsNote note,
                gpointer data, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    g_autoptr(GPtrArray) uuids = vimg_ebs_journal_list(store);
    gboolean more = TRUE;
    guint i;

    for (i = 0; more && i < uuids->len && !is_closing(store); i++) {
        VimgPatience patience = {.cancelled = is_closing, .data = store};

        if (job)
            patience = vimg_ebs_patience(job);
        patience.deadline = g_get_monotonic_time() + REPLAY_SECONDS * G_USEC_PER_SEC;
        if (!vimg_ebs_check_job(job, error))
            return FALSE;
        more = replay_one(store, site, uuids->pdata[i], dry_run, &patience, note, data);
    }
    return TRUE;
}
