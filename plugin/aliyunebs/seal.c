/*
 * seal.c: where an upload begins and how it becomes an image
 *
 * Each step is in the journal before it is taken.  If one fails, what was made is undone, and the
 * failure itself is what the user sees, with what had to be left behind.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "import.h"
#include "rollback.h"
#include "writer-private.h"
#include "throw.h"

#define MEMORY ((guint64)256 * 1024 * 1024) /* bytes that parts in flight may take, or two */
#define PART_SPARSE                                                                                \
    ((guint64)128 * 1024 * 1024) /* bytes at most, of what only may become large                   \
                                  */

/* ---- beginning -------------------------------------------------------------------------- */

static gboolean
open_upload(VimgEbsWriter *writer, const char *id, GError **error)
{
    writer->rules = (VimgOssUploadRules){
        .key = writer->journal->key,
        .id = id,
        .part_size = writer->record->part_size,
        .workers =
            (guint)CLAMP(MEMORY / MAX(writer->record->part_size, 1), 2, VIMG_OSS_WORKERS + 1) - 1,
        .exclusive = TRUE,
        .metadata = writer->metadata,
        .patience = &writer->patience,
    };
    writer->upload = vimg_oss_upload_begin(writer->site->oss, &writer->rules, error);
    return writer->upload || vimg_ebs_throw_taken(writer->journal->key, error);
}

/* From now on the image waits for what comes here, and for nothing that came before. */
static gboolean
take_record(VimgEbsWriter *writer, GError **error)
{
    g_autofree char *former = g_steal_pointer(&writer->record->attempt);

    vimg_ebs_set(&writer->record->attempt, writer->journal->attempt);
    return vimg_ebs_record_update(writer->site, writer->record, former, &writer->patience, error);
}

/* FALSE without @error: it is gone. */
static gboolean
take_up(VimgEbsWriter *writer, GError **error)
{
    GError *local = NULL;

    if (!writer->record->upload || !writer->record->key)
        return FALSE;
    vimg_ebs_set(&writer->journal->key, writer->record->key);
    vimg_ebs_set(&writer->journal->upload, writer->record->upload);
    if (vimg_ebs_journal_note(writer->store, writer->journal, VIMG_EBS_UPLOADING, &local) &&
        open_upload(writer, writer->record->upload, &local) && take_record(writer, &local))
        return TRUE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID))
        g_clear_error(&local);
    else
        g_propagate_error(error, local);
    return FALSE;
}

static gboolean
start(VimgEbsWriter *writer, guint64 total, GError **error)
{
    VimgEbsRecord *record = writer->record;
    VimgEbsJournal *journal = writer->journal;
    g_autofree char *former = g_strdup(record->attempt);

    vimg_ebs_record_empty(record);
    record->attempt = g_steal_pointer(&former);
    record->key = vimg_ebs_key(writer->site, record->info.uuid, record->info.name);
    record->part_size = vimg_oss_part_size(total > 0 ? total : record->info.capacity);
    if (total == 0 && g_strcmp0(record->info.format, "raw") != 0)
        record->part_size = MIN(record->part_size, PART_SPARSE);
    vimg_ebs_set(&journal->key, record->key);
    vimg_ebs_set(&journal->upload, NULL);
    if (!vimg_ebs_journal_note(writer->store, journal, VIMG_EBS_UPLOADING, error) ||
        !vimg_ebs_abort_uploads(writer->site, record->info.uuid, &writer->patience, error) ||
        !vimg_ebs_drop_object(writer->site, record->key, record->info.uuid, NULL, NULL,
                              &writer->patience, error) ||
        !open_upload(writer, NULL, error))
        return FALSE;
    vimg_ebs_set(&journal->upload, vimg_oss_upload_id(writer->upload));
    vimg_ebs_set(&record->upload, journal->upload);
    return vimg_ebs_journal_note(writer->store, journal, VIMG_EBS_UPLOADING, error) &&
           take_record(writer, error);
}

/* Nothing of an import that ended is that of the next one; without @object nor is the object. */
static void
forget_steps(VimgEbsJournal *journal, gboolean object)
{
    char **const fields[] = {&journal->token,   &journal->image_name, &journal->image_id,
                             &journal->task_id, &journal->etag,       &journal->version,
                             &journal->record};
    gsize n = object ? 4 : G_N_ELEMENTS(fields);
    gsize i;

    for (i = 0; i < n; i++)
        g_clear_pointer(fields[i], g_free);
}

/*
 * An object that was completed, and is to stay as the definition has it, is what comes again:
 * *@known.  Its sum is that of the upload, also where the storage gives none.
 */
static gboolean
know_object(VimgEbsWriter *writer, gboolean *known, GError **error)
{
    const VimgEbsJournal *journal = writer->journal;
    g_autoptr(VimgEbsRecord) final =
        journal->record ? vimg_ebs_record_parse(journal->record, strlen(journal->record), NULL)
                        : NULL;
    gboolean there;

    if (writer->site->rollback || !journal->etag || !final || !final->crc ||
        g_strcmp0(writer->record->attempt, journal->attempt) != 0)
        return TRUE;
    if (!vimg_ebs_look(writer->site, journal->key, &writer->object, &there, &writer->patience,
                       error))
        return FALSE;
    *known = there && g_ascii_strcasecmp(writer->object.etag, journal->etag) == 0 &&
             g_ascii_string_to_unsigned(final->crc, 10, 0, G_MAXUINT64, &writer->object.crc, NULL);
    writer->object.has_crc = *known;
    return TRUE;
}

static gboolean
load_again(VimgEbsWriter *writer, GError **error)
{
    VimgEbsRecord *record =
        vimg_ebs_record_load(writer->site, writer->journal->uuid, &writer->patience, error);

    if (!record)
        return FALSE;
    vimg_ebs_record_free(writer->record);
    writer->record = record;
    return TRUE;
}

/* What an earlier attempt left beyond its upload.  @done: nothing else is to be begun. */
static gboolean
look_back(VimgEbsWriter *writer, gboolean *done, GError **error)
{
    gboolean active = FALSE;
    gboolean ok;

    if (writer->journal->step == VIMG_EBS_UPLOADING)
        return TRUE;
    if (!know_object(writer, done, error))
        return FALSE;
    ok = *done
             ? vimg_ebs_end_import(writer->site, writer->journal, &writer->patience, &active, error)
             : vimg_ebs_rollback(writer->store, writer->site, writer->journal, &writer->patience,
                                 &active, error);
    if (!ok)
        return FALSE;
    if (*done && active &&
        !vimg_ebs_commit(writer->store, writer->site, writer->journal, &writer->patience, NULL,
                         error))
        return FALSE;
    if (active)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the image has just become active; refresh the pool"));
    forget_steps(writer->journal, *done);
    return *done || load_again(writer, error);
}

gboolean
vimg_ebs_writer_begin(VimgEbsWriter *writer, guint64 total, GError **error)
{
    g_autoptr(GError) local = NULL;
    gboolean done = FALSE;

    writer->metadata = vimg_ebs_metadata(writer->record->info.uuid);
    if (!look_back(writer, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    forget_steps(writer->journal, FALSE);
    g_free(writer->journal->attempt);
    writer->journal->attempt = g_uuid_string_random();
    if (take_up(writer, &local))
        return TRUE;
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return start(writer, total, error);
}

/* ---- sealing ---------------------------------------------------------------------------- */

/* The image as it will be, kept with the journal. */
static VimgEbsRecord *
describe(VimgEbsWriter *writer, const VimgPluginImage *image)
{
    VimgEbsRecord *record = vimg_ebs_record_copy(writer->record);

    vimg_ebs_record_empty(record);
    if (image->format)
        vimg_ebs_set(&record->info.format, image->format);
    vimg_ebs_set(&record->info.copy_of,
                 VIMG_PLUGIN_IMAGE_HAS(image, copy_of) ? image->copy_of : NULL);
    record->info.capacity = image->capacity;
    record->info.physical = record->info.allocation = writer->length;
    return record;
}

/* Of what lies there already only the sum is known, and the length. */
static gboolean
compare(VimgEbsWriter *writer, GError **error)
{
    return (writer->length == writer->object.size && writer->crc == writer->object.crc) ||
           throw_error(
               error, VIMG_ERROR_OPERATION_INVALID,
               _("the data differs from what was uploaded before; wipe the image to start afresh"));
}

static gboolean
complete(VimgEbsWriter *writer, GError **error)
{
    g_auto(VimgOssObject) seen = {0};

    if (!writer->upload)
        return compare(writer, error);
    if (!vimg_oss_upload_finish(writer->upload, &writer->object, error))
        return vimg_ebs_throw_taken(writer->journal->key, error);
    if (!vimg_oss_head(writer->site->oss, writer->journal->key, &seen, &writer->patience, error))
        return FALSE;
    if (seen.size == writer->length && g_ascii_strcasecmp(seen.etag, writer->object.etag) == 0)
        return TRUE;
    return throw_error(error, VIMG_ERROR_DAMAGED,
                       _("object '%1$s' has %2$llu bytes, not the %3$llu that were uploaded"),
                       writer->journal->key, ULL(seen.size), ULL(writer->length));
}

static gboolean
make_object(VimgEbsWriter *writer, VimgEbsRecord *final, GError **error)
{
    VimgEbsJournal *journal = writer->journal;
    g_autoptr(GError) left = NULL;
    g_autofree char *crc = NULL;

    if (writer->upload &&
        !vimg_ebs_journal_note(writer->store, journal, VIMG_EBS_COMPLETING, error))
        return FALSE;
    if (!complete(writer, error))
        return FALSE;
    /* one that was begun twice, as its first answer was lost, has another upload of no use */
    if (!vimg_ebs_abort_uploads(writer->site, journal->uuid, &writer->patience, &left))
        vimg_ebs_warn("uploads of image %s are left for a cleanup: %s", journal->uuid,
                      left->message);
    crc = g_strdup_printf("%llu", ULL(writer->object.crc));
    vimg_ebs_set(&final->crc, writer->object.has_crc ? crc : NULL);
    g_free(journal->record);
    journal->record = vimg_ebs_record_format(final);
    vimg_ebs_set(&journal->etag, writer->object.etag);
    vimg_ebs_set(&journal->version, writer->object.version);
    return vimg_ebs_journal_note(writer->store, journal, MAX(journal->step, VIMG_EBS_COMPLETED),
                                 error);
}

static gboolean
seal(VimgEbsWriter *writer, const VimgPluginImage *image, VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgEbsRecord) final = describe(writer, image);

    if (!make_object(writer, final, error) ||
        (vimg_ebs_import_wanted(writer->site, final->info.format) &&
         !vimg_ebs_import(writer->store, writer->site, writer->journal, &final->info, writer->job,
                          error)))
        return FALSE;
    return vimg_ebs_commit(writer->store, writer->site, writer->journal, &writer->patience, out,
                           error);
}

gboolean
vimg_ebs_writer_seal(VimgEbsWriter *writer, const VimgPluginImage *image, VimgPluginImage *out,
                     GError **error)
{
    g_autoptr(GError) local = NULL;

    if (seal(writer, image, out, &local))
        return TRUE;
    if (writer->journal->step != VIMG_EBS_UPLOADING &&
        (writer->site->rollback || writer->journal->step == VIMG_EBS_COMPLETING)) {
        g_clear_pointer(&writer->upload, vimg_oss_upload_free);
        vimg_ebs_progress(writer->job, "rolling back", 0, 0);
        if (vimg_ebs_undo(writer->store, writer->site, writer->journal, out, &local))
            return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}
