/*
 * export-make.c: what is found out of an image that is exported, by reading all of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <openssl/evp.h>

#include "pool/export.h"
#include "util/i18n.h"
#include "util/log.h"

#define PIECE ((gsize)1024 * 1024)          /* bytes of data at a time */
#define STRETCH ((guint64)64 * 1024 * 1024) /* of zeros, until it is asked whether to go on */
#define SUM_AGAIN (60 * G_USEC_PER_SEC)     /* until one that failed is tried again */

/* ---- what is not zeros -------------------------------------------------------------------- */

static gboolean
look_at_all(VimgUse *use, VimgReader *reader, VimgQcow2Layout *layout, GError **error)
{
    guint64 at = 0;

    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        VimgExtent extent;

        if (vimg_job_cancelled(use->job))
            return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the transfer was cancelled"));
        if (!vimg_reader_next(reader, &extent, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        if (data)
            vimg_qcow2_layout_add(layout, at, data->data + extent.offset, (gsize)extent.length);
        at += extent.length;
        vimg_job_add(use->job, extent.length);
    }
}

VimgQcow2Layout *
vimg_export_lay_out(VimgUse *use, const VimgPluginImage *image, GError **error)
{
    g_autoptr(VimgQcow2Layout) layout = vimg_qcow2_layout_new(image->physical, error);
    g_autoptr(VimgReader) reader = NULL;
    GError *local = NULL;

    if (!layout)
        return NULL;
    vimg_job_progress(use->job, VIMG_EXPORT_KIND, 0, image->physical);
    reader = vimg_reader_open(vimg_session_store(use->session), image->uuid, 0, image->physical,
                              use->job, &local);
    if (!reader || !look_at_all(use, reader, layout, &local)) {
        vimg_use_failed(use, local);
        g_propagate_error(error, local);
        return NULL;
    }
    vimg_qcow2_layout_settle(layout);
    return g_steal_pointer(&layout);
}

/* ---- checksums ---------------------------------------------------------------------------- */

typedef struct {
    VimgExports *exports;
    VimgExport *export; /* a reference */
} Task;

static void
update(EVP_MD_CTX *digest, const VimgExtent *extent)
{
    static const guint8 zeros[65536];

    if (extent->data) {
        EVP_DigestUpdate(digest, extent->data->data + extent->offset, (gsize)extent->length);
        return;
    }
    for (guint64 left = extent->length; left > 0; left -= MIN(left, sizeof(zeros)))
        EVP_DigestUpdate(digest, zeros, (gsize)MIN(left, sizeof(zeros)));
}

/* Whether anybody could use it. */
static gboolean
is_wanted(VimgExports *exports, VimgExport *export)
{
    VIMG_LOCK_GUARD(&exports->lock);
    return !exports->ending && vimg_export_end(export->record) > vimg_export_now();
}

static char *
sum_up(VimgExports *exports, VimgExport *export, GError **error)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    GString *hex = g_string_new(NULL);
    guint8 sum[EVP_MAX_MD_SIZE];
    guint size = 0;
    VimgExportPart part = {.most = PIECE};
    gboolean ok = TRUE;

    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    while (ok && part.offset < export->record->size) {
        VimgExtent extent = {0};

        part.length = MIN(export->record->size - part.offset, STRETCH);
        ok = is_wanted(exports, export) && vimg_export_read(exports, export, &part, &extent, error);
        if (ok)
            update(digest, &extent);
        vimg_buffer_unref(extent.data);
        part.offset += extent.length;
    }
    EVP_DigestFinal_ex(digest, sum, &size);
    EVP_MD_CTX_free(digest);
    for (guint i = 0; i < size; i++)
        g_string_append_printf(hex, "%02x", sum[i]);
    return g_string_free(hex, !ok);
}

static void
run_sum(gpointer data)
{
    g_autofree Task *task = data;
    VimgExports *exports = task->exports;
    g_autoptr(VimgExport) export = task->export;
    g_autoptr(GError) error = NULL;
    char *sha256 = sum_up(exports, export, &error);

    vimg_mutex_lock(&exports->lock);
    export->summing = FALSE;
    if (sha256)
        export->record->sha256 = sha256;
    else
        export->sum_failed = g_get_monotonic_time();
    vimg_mutex_unlock(&exports->lock);
    if (!sha256 || !vimg_export_save(exports, export, &error))
        vimg_info("export '%s' has no checksum yet: %s", export->record->id,
                  error ? error->message : "nobody needs it");
}

void
vimg_export_sum(VimgExports *exports, VimgExport *export)
{
    Task *task;
    gboolean begin;

    vimg_mutex_lock(&exports->lock);
    begin = exports->summer && !exports->ending && !export->summing && !export->record->sha256 &&
            !export->record->compress && !export->record->nbd && !export->record->direct &&
            !export->record->revoked &&
            (export->sum_failed == 0 || g_get_monotonic_time() - export->sum_failed > SUM_AGAIN);
    if (begin)
        export->summing = TRUE;
    vimg_mutex_unlock(&exports->lock);
    if (!begin)
        return;
    task = g_new0(Task, 1);
    task->exports = exports;
    task->export = vimg_export_ref(export);
    vimg_workers_push(exports->summer, run_sum, task);
}
