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
    VimgWorkers *workers; /* who do it */
    VimgExport *export;   /* a reference */
    EVP_MD_CTX *digest;   /* of all before @at */
    guint64 at;
} Task;

static void
task_free(Task *task)
{
    EVP_MD_CTX_free(task->digest);
    vimg_export_unref(task->export);
    g_free(task);
}

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

/* For a turn, or to the end. */
static gboolean
sum_on(Task *task, GError **error)
{
    gint64 end = g_get_monotonic_time() + task->exports->sum_turn;
    VimgExport *export = task->export;
    guint64 size = export->record->size;

    while (task->at < size) {
        const VimgExportPart part = {task->at, MIN(size - task->at, STRETCH), .most = PIECE};
        VimgExtent extent;

        if (!is_wanted(task->exports, export) ||
            !vimg_export_read(task->exports, export, &part, &extent, error))
            return FALSE;
        update(task->digest, &extent);
        vimg_buffer_unref(extent.data);
        task->at += extent.length;
        if (g_get_monotonic_time() >= end)
            break;
    }
    return TRUE;
}

/* Returns: (transfer full) hexadecimal. */
static char *
settle(EVP_MD_CTX *digest)
{
    GString *hex = g_string_new(NULL);
    guint8 sum[EVP_MAX_MD_SIZE];
    guint size = 0;

    EVP_DigestFinal_ex(digest, sum, &size);
    for (guint i = 0; i < size; i++)
        g_string_append_printf(hex, "%02x", sum[i]);
    return g_string_free(hex, FALSE);
}

static void
note_sum(VimgExports *exports, VimgExport *export, char *sha256, GError *error)
{
    g_autoptr(GError) local = error;

    vimg_mutex_lock(&exports->lock);
    export->summing = FALSE;
    if (sha256)
        export->record->sha256 = sha256;
    else
        export->sum_failed = g_get_monotonic_time();
    vimg_mutex_unlock(&exports->lock);
    if (!sha256 || !vimg_export_save(exports, export, &local))
        vimg_info("export '%s' has no checksum yet: %s", export->record->id,
                  local ? local->message : "nobody needs it");
}

/* A disk of zeros takes hours and next to no room: others have their turn meanwhile. */
static void
run_sum(gpointer data)
{
    Task *task = data;
    GError *error = NULL;
    gboolean ok = sum_on(task, &error);

    if (ok && task->at < task->export->record->size) {
        vimg_workers_push(task->workers, run_sum, task);
        return;
    }
    note_sum(task->exports, task->export, ok ? settle(task->digest) : NULL, error);
    task_free(task);
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
    task->workers = exports->summer;
    task->export = vimg_export_ref(export);
    task->digest = EVP_MD_CTX_new();
    EVP_DigestInit_ex(task->digest, EVP_sha256(), NULL);
    vimg_workers_push(task->workers, run_sum, task);
}
