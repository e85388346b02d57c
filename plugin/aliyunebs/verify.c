/*
 * verify.c: reading images again, to see whether they are what was uploaded
 *
 * One that is not becomes an error, so that nobody starts from it.  A storage that gives no sum of
 * its own shows only that it is the same object, and can be read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crc64.h"
#include "image.h"
#include "listing.h"
#include "reader.h"
#include "report.h"
#include "verify.h"
#include "throw.h"

typedef struct {
    VimgEbsStore *store;
    VimgPluginJob *job;
    guint64 total; /* bytes */
    guint64 checked;
    JsonArray *damaged;
    gsize room;
} Verify;

static gboolean
read_again(Verify *verify, const VimgEbsRecord *record, GError **error)
{
    g_autoptr(VimgEbsReader) reader =
        vimg_ebs_reader_open(verify->store, record->info.uuid, 0, 0, verify->job, error);
    g_autofree char *found = NULL;
    guint64 crc = 0;
    VimgExtent extent;

    if (!reader)
        return FALSE;
    do {
        if (!vimg_ebs_reader_next(reader, &extent, error))
            return FALSE;
        if (extent.length == 0)
            break;
        crc = vimg_crc64(crc, extent.data->data + extent.offset, extent.length);
        vimg_buffer_unref(extent.data);
        verify->checked += extent.length;
        vimg_ebs_progress(verify->job, "verifying", verify->checked, verify->total);
    } while (TRUE);
    found = g_strdup_printf("%llu", ULL(crc));
    return !record->crc || strcmp(record->crc, found) == 0 ||
           throw_error(error, VIMG_ERROR_DAMAGED,
                       _("the bytes of object '%s' are not those that were uploaded"), record->key);
}

static gboolean
verify_one(Verify *verify, const VimgEbsRecord *record, GError **error)
{
    GError *local = NULL;
    JsonObject *object;

    if (read_again(verify, record, &local))
        return TRUE;
    if (vimg_ebs_is_gone(local)) {
        g_error_free(local);
        return TRUE;
    }
    if (!g_error_matches(local, VIMG_ERROR, VIMG_ERROR_DAMAGED)) {
        g_propagate_error(error, local);
        return FALSE;
    }
    object =
        vimg_ebs_report_note(verify->damaged, &verify->room, record->info.name, local->message);
    if (object)
        json_object_set_string_member(object, "uuid", record->info.uuid);
    vimg_ebs_image_set_error(verify->store, record->info.uuid, local->message, NULL);
    g_error_free(local);
    return TRUE;
}

static gboolean
verify_records(Verify *verify, const GPtrArray *records, const char *uuid, GError **error)
{
    guint i;

    for (i = 0; i < records->len; i++) {
        const VimgEbsRecord *record = records->pdata[i];

        if (uuid && strcmp(record->info.uuid, uuid) != 0)
            continue;
        if (!record->info.deleted && !vimg_ebs_record_is_staged(record) &&
            !verify_one(verify, record, error))
            return FALSE;
    }
    return TRUE;
}

char *
vimg_ebs_verify(VimgEbsStore *store, const char *uuid, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(job);
    g_autoptr(GHashTable) unreadable = vimg_ebs_unreadable_new();
    g_autoptr(GPtrArray) records = vimg_ebs_list_records(store, site, unreadable, &patience, error);
    g_autoptr(JsonArray) damaged = json_array_new();
    g_autoptr(JsonObject) report = json_object_new();
    Verify verify = {.store = store, .job = job, .damaged = damaged, .room = VIMG_EBS_REPORT_ROOM};
    guint i;

    for (i = 0; records && i < records->len; i++) {
        const VimgEbsRecord *record = records->pdata[i];

        if (!uuid || strcmp(record->info.uuid, uuid) == 0)
            verify.total += record->info.physical;
    }
    if (!records || !verify_records(&verify, records, uuid, error))
        return NULL;
    json_object_set_int_member(report, "checked", (gint64)MIN(verify.checked, G_MAXINT64));
    json_object_set_array_member(report, "damaged", json_array_ref(damaged));
    return vimg_json_format(report);
}
