/*
 * export.c: the table of exports: what is in it, what is forgotten, what ends
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "pool/export.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define LIVE_MAX 1024                   /* exports at a time */
#define KNOWN_MAX 4096                  /* the same with those that ended */
#define ENDED_KEPT ((gint64)30 * 86400) /* seconds that one is known after its end */
#define READING_MAX (300 * G_USEC_PER_SEC)
#define SUM_TURN (2 * G_USEC_PER_SEC)
#define SUMMERS 2 /* threads, so that a large one is not in the way of all */

gint64
vimg_export_now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* ---- life --------------------------------------------------------------------------------- */

VimgExport *
vimg_export_new(VimgExportRecord *record)
{
    VimgExport *export = g_new0(VimgExport, 1);

    export->refs = 1;
    export->record = record;
    g_queue_init(&export->idle);
    g_queue_init(&export->pages);
    return export;
}

VimgExport *
vimg_export_ref(VimgExport *export)
{
    __atomic_add_fetch(&export->refs, 1, __ATOMIC_RELAXED);
    return export;
}

void
vimg_export_unref(VimgExport *export)
{
    if (!export || __atomic_sub_fetch(&export->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vimg_export_record_free(export->record);
    vimg_qcow2_layout_free(export->layout);
    g_free(export->guest);
    vimg_export_pages_drop(export, G_MAXINT64);
    if (export->zeros)
        g_array_unref(export->zeros);
    g_free(export);
}

VimgExports *
vimg_exports_new(VimgModel *model)
{
    VimgExports *exports = g_new0(VimgExports, 1);

    exports->model = model;
    exports->reading_max = READING_MAX;
    exports->sum_turn = SUM_TURN;
    exports->dir = g_build_filename(model->state_dir, "exports", NULL);
    vimg_mutex_init(&exports->files_lock);
    vimg_mutex_init(&exports->lock);
    vimg_cond_init(&exports->changed);
    exports->by_id =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vimg_export_unref);
    return exports;
}

void
vimg_exports_free(VimgExports *exports)
{
    if (!exports)
        return;
    g_hash_table_unref(exports->by_id);
    vimg_cond_clear(&exports->changed);
    vimg_mutex_clear(&exports->lock);
    vimg_mutex_clear(&exports->files_lock);
    g_free(exports->dir);
    g_free(exports->url);
    g_free(exports->unserved_why);
    g_free(exports);
}

gint64
vimg_export_end(const VimgExportRecord *record)
{
    return record->revoked ? MIN(record->revoked, record->expires) : record->expires;
}

/* Under lock.  Makes room for another by the one that ended first, if any has. */
static void
take_oldest(VimgExports *exports, gint64 now, GPtrArray *ids)
{
    const VimgExport *oldest = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgExport *export = value;

        if (export->idle.length == 0 && vimg_export_end(export->record) <= now &&
            (!oldest || vimg_export_end(export->record) < vimg_export_end(oldest->record)))
            oldest = export;
    }
    if (!oldest)
        return;
    g_ptr_array_add(ids, g_strdup(oldest->record->id));
    g_hash_table_remove(exports->by_id, oldest->record->id);
}

/* Under lock.  Returns: (transfer full) the ids of those that nobody has to know any more. */
static GPtrArray *
take_old(VimgExports *exports, gint64 now)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgExport *export = value;

        if (export->idle.length > 0 || now - vimg_export_end(export->record) <= ENDED_KEPT)
            continue;
        g_ptr_array_add(ids, g_strdup(export->record->id));
        g_hash_table_iter_remove(&iter);
    }
    if (g_hash_table_size(exports->by_id) >= KNOWN_MAX)
        take_oldest(exports, now, ids);
    return ids;
}

static void
forget_old(VimgExports *exports)
{
    g_autoptr(GPtrArray) ids = NULL;

    VIMG_LOCK_GUARD(&exports->files_lock);
    vimg_mutex_lock(&exports->lock);
    ids = take_old(exports, vimg_export_now());
    vimg_mutex_unlock(&exports->lock);
    for (guint i = 0; i < ids->len; i++)
        vimg_export_record_remove(exports->dir, g_ptr_array_index(ids, i));
}

gboolean
vimg_exports_start(VimgExports *exports, GError **error)
{
    g_autoptr(GPtrArray) records = NULL;

    if (!vimg_dir_make(exports->dir, 0700, error))
        return FALSE;
    records = vimg_export_records_load(exports->dir, error);
    if (!records)
        return FALSE;
    vimg_mutex_lock(&exports->lock);
    while (records->len > 0) {
        VimgExportRecord *record = g_ptr_array_steal_index_fast(records, records->len - 1);

        g_hash_table_insert(exports->by_id, record->id, vimg_export_new(record));
    }
    vimg_mutex_unlock(&exports->lock);
    forget_old(exports);
    exports->summer = vimg_workers_new("vimg-sum", SUMMERS, error);
    exports->reaping = exports->summer && vimg_thread_start(&exports->reaper, "vimg-reap",
                                                            vimg_exports_reap, exports, error);
    return exports->reaping;
}

void
vimg_exports_hurry(VimgExports *exports)
{
    VIMG_LOCK_GUARD(&exports->lock);
    vimg_cond_broadcast(&exports->changed);
}

void
vimg_exports_stop(VimgExports *exports)
{
    vimg_mutex_lock(&exports->lock);
    exports->ending = TRUE;
    vimg_cond_broadcast(&exports->changed);
    vimg_mutex_unlock(&exports->lock);
    if (exports->reaping)
        vimg_thread_join(exports->reaper);
    g_clear_pointer(&exports->summer, vimg_workers_free);
    vimg_exports_let_go(exports, NULL, 0);
}

gboolean
vimg_export_save(VimgExports *exports, VimgExport *export, GError **error)
{
    g_autofree char *text = NULL;
    gboolean known;

    VIMG_LOCK_GUARD(&exports->files_lock);
    vimg_mutex_lock(&exports->lock);
    text = vimg_export_record_format(export->record);
    known = g_hash_table_lookup(exports->by_id, export->record->id) == export;
    vimg_mutex_unlock(&exports->lock);
    return !known || vimg_export_record_save(exports->dir, export->record->id, text, error);
}

/* ---- the table ---------------------------------------------------------------------------- */

gboolean
vimg_exports_add(VimgExports *exports, VimgExport *export, GError **error)
{
    gint64 now = vimg_export_now();
    GHashTableIter iter;
    gpointer value;
    guint live = 0;

    forget_old(exports);
    VIMG_LOCK_GUARD(&exports->lock);
    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        live += vimg_export_end(((VimgExport *)value)->record) > now;
    if (live >= LIVE_MAX)
        return vimg_throw(error, VIMG_ERROR_BUSY,
                          _("there are %u exports already: revoke those that nobody needs"), live);
    g_hash_table_insert(exports->by_id, export->record->id, vimg_export_ref(export));
    return TRUE;
}

void
vimg_exports_remove(VimgExports *exports, VimgExport *export)
{
    vimg_mutex_lock(&exports->lock);
    g_hash_table_remove(exports->by_id, export->record->id);
    vimg_mutex_unlock(&exports->lock);
    VIMG_LOCK_GUARD(&exports->files_lock);
    vimg_export_record_remove(exports->dir, export->record->id);
}

char *
vimg_exports_keep(VimgExports *exports, const char *pool, const char *image)
{
    gint64 now = vimg_export_now();
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&exports->lock);
    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgExport *export = value;
        const VimgExportRecord *record = export->record;

        if (!record->direct && strcmp(record->image, image) == 0 &&
            strcmp(record->pool, pool) == 0 &&
            ((export->idle.length > 0 && !record->revoked) || vimg_export_end(record) > now))
            return g_strdup(record->name);
    }
    return NULL;
}

void
vimg_model_set_export_url(VimgModel *model, const char *url)
{
    g_free(model->exports->url);
    model->exports->url = g_strdup(url);
}

void
vimg_model_set_export_served(VimgModel *model, gboolean served, const char *why)
{
    VimgExports *exports = model->exports;

    VIMG_LOCK_GUARD(&exports->lock);
    exports->unserved = !served;
    g_free(exports->unserved_why);
    exports->unserved_why = g_strdup(why);
    vimg_cond_broadcast(&exports->changed);
}

/* ---- ending ------------------------------------------------------------------------------- */

VimgExport *
vimg_exports_get_by_id(VimgExports *exports, const char *id)
{
    char canonical[VIMG_UUID_TEXT_SIZE] = "";
    guint8 uuid[VIMG_UUID_SIZE];
    VimgExport *export;

    if (vimg_uuid_parse(id, uuid))
        vimg_uuid_format(uuid, canonical);
    VIMG_LOCK_GUARD(&exports->lock);
    export = g_hash_table_lookup(exports->by_id, canonical);
    return export ? vimg_export_ref(export) : NULL;
}

/* Whoever ended it first says why.  Returns: whether the storage keeps the image for it yet */
static gboolean
note_revoked(VimgExports *exports, VimgExport *export, gboolean replaced)
{
    VIMG_LOCK_GUARD(&exports->lock);
    if (!export->record->revoked) {
        export->record->revoked = vimg_export_now();
        export->record->replaced = replaced;
    }
    return !export->record->released;
}

void
vimg_export_end_replaced(VimgExports *exports, VimgExport *export)
{
    g_autoptr(GError) error = NULL;
    gboolean kept;

    if (export->record->nbd || export->record->direct) /* it ends with its server, or by itself */
        return;
    kept = note_revoked(exports, export, TRUE);
    vimg_info("export %s has ended: volume '%s' holds something else than when it was exported",
              export->record->id, export->record->name);
    vimg_export_let_go(exports, export);
    if (!vimg_export_save(exports, export, &error))
        vimg_warning("export '%s': %s", export->record->id, error->message);
    else if (kept)
        vimg_export_release(exports, export);
}

gboolean
vimg_model_export_revoke(VimgModel *model, const char *id, GError **error)
{
    VimgExports *exports = model->exports;
    g_autoptr(VimgExport) export = vimg_exports_get_by_id(exports, id);
    gboolean kept;

    if (!export)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("no export with id '%s'"), id);
    if (export->record->direct)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED, "%s",
            _("the storage itself serves this export until it expires, and cannot be told otherwise: delete and purge the image"));
    vimg_info("export %s is revoked", export->record->id);
    if (export->record->nbd) {
        vimg_export_stop_nbd(exports, export);
        return TRUE;
    }
    kept = note_revoked(exports, export, FALSE);
    vimg_export_let_go(exports, export);
    if (!vimg_export_save(exports, export, error))
        return FALSE;
    if (kept)
        vimg_export_release(exports, export);
    return TRUE;
}
