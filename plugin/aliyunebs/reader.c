/*
 * reader.c: the content of an image, read in ranges
 *
 * Where the object is gone, the control endpoint may still have the image: then it makes an object
 * of it again, with other bytes of the same content.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "download.h"
#include "export.h"
#include "image.h"
#include "reader.h"
#include "../throw.h"

struct _VimgEbsReader {
    VimgEbsStore *store;
    VimgEbsSite *site;
    VimgEbsRecord *record;
    VimgPluginJob *job;
    VimgPatience patience;
    VimgOssObject object; /* as far as it is to be read */
    VimgOssDownload *download;
};

void
vimg_ebs_reader_close(VimgEbsReader *reader)
{
    if (!reader)
        return;
    vimg_oss_download_free(reader->download);
    vimg_oss_object_clear(&reader->object);
    vimg_ebs_record_free(reader->record);
    vimg_ebs_site_unref(reader->site);
    g_free(reader);
}

const char *
vimg_ebs_reader_generation(const VimgEbsReader *reader)
{
    return reader->record->info.generation;
}

gboolean
vimg_ebs_head(VimgEbsSite *site, const VimgEbsRecord *record, VimgOssObject *out,
              const VimgPatience *patience, GError **error)
{
    guint64 crc;
    gboolean known =
        record->crc && g_ascii_string_to_unsigned(record->crc, 10, 0, G_MAXUINT64, &crc, NULL);

    if (!vimg_oss_head(site->oss, record->key, out, patience, error))
        return FALSE;
    if (g_ascii_strcasecmp(out->etag, record->etag) == 0 && out->size == record->info.physical &&
        (!known || !out->has_crc || out->crc == crc)) {
        if (known) /* what is read is compared with what was uploaded, whatever the storage says */
            out->crc = crc;
        out->has_crc = out->has_crc || known;
        return TRUE;
    }
    return throw_error(
        error, VIMG_ERROR_DAMAGED,
        _("object '%1$s' in bucket '%2$s' is not the one that was uploaded; delete the image"),
        record->key, vimg_oss_bucket(site->oss));
}

/* ---- reading ---------------------------------------------------------------------------- */

static gboolean
find_object(VimgEbsReader *reader, const char *uuid, GError **error)
{
    GError *local = NULL;

    if (vimg_ebs_head(reader->site, reader->record, &reader->object, &reader->patience, &local))
        return TRUE;
    if ((!vimg_ebs_is_gone(local) && !vimg_ebs_is_exported(&reader->object)) ||
        !reader->record->image_id || !reader->site->control) {
        if (vimg_ebs_is_gone(local)) {
            g_clear_error(&local);
            throw_error(&local, VIMG_ERROR_DAMAGED,
                        _("object '%1$s' is gone from bucket '%2$s'; delete the image"),
                        reader->record->key, vimg_oss_bucket(reader->site->oss));
        }
        g_propagate_error(error, local);
        return FALSE;
    }
    g_clear_error(&local);
    if (!vimg_ebs_export(reader->store, reader->site, uuid, reader->job, error))
        return FALSE;
    vimg_ebs_record_free(reader->record);
    reader->record =
        vimg_ebs_image_find_kept(reader->store, reader->site, uuid, &reader->patience, error);
    return reader->record &&
           vimg_ebs_head(reader->site, reader->record, &reader->object, &reader->patience, error);
}

static gboolean
start(VimgEbsReader *reader, guint64 offset, guint64 length, GError **error)
{
    VimgOssDownloadRules rules = {
        .key = reader->record->key, .object = &reader->object, .patience = &reader->patience};

    rules.offset = MIN(offset, reader->object.size);
    if (length > 0 && length < reader->object.size - rules.offset) {
        reader->object.size = rules.offset + length;
        reader->object.has_crc = FALSE; /* it is of the whole */
    }
    reader->download = vimg_oss_download_new(reader->site->oss, &rules, error);
    return reader->download != NULL;
}

VimgEbsReader *
vimg_ebs_reader_open(VimgEbsStore *store, const char *uuid, guint64 offset, guint64 length,
                     VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsReader) reader = g_new0(VimgEbsReader, 1);
    guint64 size;

    reader->store = store;
    reader->site = vimg_ebs_store_site(store);
    reader->job = job;
    reader->patience = vimg_ebs_patience(job);
    reader->record =
        vimg_ebs_image_find_kept(reader->store, reader->site, uuid, &reader->patience, error);
    if (!reader->record)
        return NULL;
    if (vimg_ebs_record_is_staged(reader->record)) {
        throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image is not complete"));
        return NULL;
    }
    size = reader->record->info.physical;
    if (!find_object(reader, uuid, error))
        return NULL;
    /* whoever wants all that there was would get a part, or more than he has room for */
    if (reader->record->info.physical != size && length > 0 && length >= size - MIN(offset, size)) {
        throw_error(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("the image had to be exported again, and has %1$llu bytes now, not %2$llu; refresh the pool and try again"),
            ULL(reader->record->info.physical), ULL(size));
        return NULL;
    }
    if (!start(reader, offset, length, error))
        return NULL;
    return g_steal_pointer(&reader);
}

gboolean
vimg_ebs_reader_next(VimgEbsReader *reader, VimgExtent *out, GError **error)
{
    return vimg_ebs_check_job(reader->job, error) &&
           vimg_oss_download_next(reader->download, out, error);
}
