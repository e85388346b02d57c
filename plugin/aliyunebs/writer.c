/*
 * writer.c: one upload
 *
 * An image has one upload in parts, whose id is noted before the first part goes out.  What was
 * sent stays until somebody takes it up again or it is too old: then its parts are compared, not
 * sent.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crc64.h"
#include "image.h"
#include "writer-private.h"
#include "../thread.h"
#include "throw.h"

#define END_SECONDS 5

/* ---- the end of it ---------------------------------------------------------------------- */

static void
writer_free(VimgEbsWriter *writer)
{
    vimg_oss_upload_free(writer->upload);
    vimg_ebs_hold_clear(&writer->hold);
    vimg_oss_object_clear(&writer->object);
    g_clear_pointer(&writer->metadata, g_ptr_array_unref);
    vimg_ebs_journal_free(writer->journal);
    vimg_ebs_record_free(writer->record);
    vimg_ebs_site_unref(writer->site);
    g_free(writer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgEbsWriter, writer_free)

/* ---- opening ---------------------------------------------------------------------------- */

gboolean
vimg_ebs_admit(VimgEbsStore *store, guint64 size, GError **error)
{
    guint64 quota = __atomic_load_n(&store->quota, __ATOMIC_RELAXED);
    guint64 stored;

    {
        LOCK_GUARD(&store->lock);

        stored = store->stored;
    }
    if (quota == 0 || (stored < quota && size <= quota - stored))
        return TRUE;
    return throw_error(error, VIMG_ERROR_NO_SPACE,
                       _("%1$llu bytes are stored, and the pool may hold %2$llu; purge images"),
                       ULL(stored), ULL(quota));
}

/* Held before it is looked at: what is read is what stays. */
static gboolean
load(VimgEbsWriter *writer, const char *uuid, GError **error)
{
    if (!vimg_ebs_hold(&writer->hold, writer->store, writer->site, uuid, &writer->patience, error))
        return FALSE;
    writer->record = vimg_ebs_image_find(writer->site, uuid, &writer->patience, error);
    if (!writer->record || !vimg_ebs_image_check_staged(writer->record, error))
        return FALSE;
    if (writer->record->info.reason)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, "%s", writer->record->info.reason);
    writer->journal = vimg_ebs_journal_load(writer->store, uuid, error);
    if (!writer->journal)
        return FALSE;
    vimg_ebs_set(&writer->journal->uuid, uuid);
    vimg_ebs_set(&writer->journal->name, writer->record->info.name);
    return TRUE;
}

VimgEbsWriter *
vimg_ebs_writer_open(VimgEbsStore *store, const char *uuid, const VimgWriteRequest *request,
                     VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsWriter) writer = g_new0(VimgEbsWriter, 1);

    writer->store = store;
    writer->job = job;
    writer->site = vimg_ebs_store_site(store);
    writer->patience = vimg_ebs_patience(job);
    if (request->offset > 0) {
        throw_error(error, VIMG_ERROR_INVALID_ARG,
                    _("an upload to an object storage begins at the first byte"));
        return NULL;
    }
    if (!vimg_ebs_admit(store, request->reserve, error) || !load(writer, uuid, error) ||
        !vimg_ebs_writer_begin(writer, request->length, error))
        return NULL;
    return g_steal_pointer(&writer);
}

/* ---- what comes ------------------------------------------------------------------------- */

static guint64
crc_of(guint64 before, const guint8 *data, guint64 size)
{
    static const guint8 zeros[65536];
    guint64 at;

    if (data)
        return vimg_crc64(before, data, size);
    for (at = 0; at < size; at += MIN(sizeof(zeros), size - at))
        before = vimg_crc64(before, zeros, MIN(sizeof(zeros), size - at));
    return before;
}

gboolean
vimg_ebs_writer_write(VimgEbsWriter *writer, const guint8 *data, guint64 size, GError **error)
{
    if (!vimg_ebs_check_job(writer->job, error) || !vimg_ebs_hold_check(&writer->hold, error))
        return FALSE;
    if (size > G_MAXINT64 - writer->length)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("an image cannot be that long"));
    writer->length += size;
    if (writer->upload)
        return vimg_oss_upload_write(writer->upload, data, size, error);
    writer->crc = crc_of(writer->crc, data, size);
    return TRUE;
}

static guint64
position_of(VimgEbsWriter *writer)
{
    return writer->upload ? vimg_oss_upload_position(writer->upload) : writer->object.size;
}

void
vimg_ebs_writer_stat(VimgEbsWriter *writer, guint64 *allocation, guint64 *position)
{
    *allocation = *position = position_of(writer);
}

/* ---- the end ---------------------------------------------------------------------------- */

static gboolean
note_position(VimgEbsWriter *writer, const VimgPatience *patience, GError **error)
{
    guint64 position = position_of(writer);

    if (position == writer->record->info.position)
        return TRUE;
    writer->record->info.allocation = writer->record->info.position = position;
    return vimg_ebs_record_update(writer->site, writer->record, writer->record->attempt, patience,
                                  error);
}

gboolean
vimg_ebs_writer_finish(VimgEbsWriter *owned, gboolean seal, const VimgPluginImage *image,
                       VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgEbsWriter) writer = owned;
    g_autoptr(VimgEbsRecord) copy = NULL;

    if (!vimg_ebs_hold_confirm(&writer->hold, &writer->patience, error) ||
        (writer->upload && !vimg_oss_upload_flush(writer->upload, error)))
        return FALSE;
    if (seal)
        return vimg_ebs_writer_seal(writer, image, out, error);
    if (!note_position(writer, &writer->patience, error))
        return FALSE;
    copy = vimg_ebs_record_copy(writer->record);
    vimg_ebs_record_give(copy, out);
    return TRUE;
}

void
vimg_ebs_writer_abort(VimgEbsWriter *owned)
{
    g_autoptr(VimgEbsWriter) writer = owned;
    VimgPatience patience;

    if (writer->upload)
        vimg_oss_upload_settle(writer->upload);
    patience = vimg_ebs_patience_for(END_SECONDS);
    if (vimg_ebs_hold_confirm(&writer->hold, &patience, NULL))
        note_position(writer, &patience, NULL);
}
