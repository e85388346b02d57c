/*
 * export-keep.c: what storages are promised for exports, so that no other host removes an image
 *
 * A promise is made before its export is, and ends after it.  One that cannot be ended, as the
 * storage is away, ends by itself when the export would have.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/export.h"
#include "util/log.h"

gboolean
vimg_export_promise(VimgUse *use, const VimgExportRecord *record, GError **error)
{
    GError *local = NULL;

    if (record->direct || vimg_store_keep(vimg_session_store(use->session), record->image,
                                          record->id, record->expires + VIMG_EXPORT_GRACE, &local))
        return TRUE;
    vimg_use_failed(use, local);
    g_propagate_error(error, local);
    return FALSE;
}

/* Returns: (transfer full) NULL: its storage cannot be reached now. */
static VimgSession *
find_session(VimgModel *model, const VimgExportRecord *record)
{
    g_autoptr(VimgPool) pool = NULL;
    VimgPoolId id = {0};

    if (!vimg_export_is_within_reach(model, record))
        return NULL;
    vimg_uuid_parse(record->pool, id.uuid);
    pool = vimg_registry_get(model, &id, NULL);
    return pool ? vimg_pool_session(pool) : NULL;
}

void
vimg_export_release(VimgExports *exports, VimgExport *export)
{
    const VimgExportRecord *record = export->record;
    g_autoptr(VimgSession) session = find_session(exports->model, record);
    g_autoptr(GError) error = NULL;

    if (record->direct)
        return;
    if (!session ||
        !vimg_store_keep(vimg_session_store(session), record->image, record->id, 0, &error)) {
        vimg_info("export '%s' keeps its image a while longer: %s", record->id,
                  error ? error->message : "the pool is not connected");
        return;
    }
    vimg_mutex_lock(&exports->lock);
    export->record->released = TRUE;
    vimg_mutex_unlock(&exports->lock);
    if (!vimg_export_save(exports, export, &error))
        vimg_info("export '%s': %s", record->id, error->message);
}

/* Under lock. */
static gboolean
is_over(const VimgExport *export, gint64 now)
{
    const VimgExportRecord *record = export->record;

    return !record->released && !record->nbd && !record->direct && export->idle.length == 0 &&
           vimg_export_end(record) + (record->revoked ? 0 : VIMG_EXPORT_GRACE) <= now;
}

void
vimg_exports_release_ended(VimgExports *exports)
{
    g_autoptr(GPtrArray) ended = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_export_unref);
    gint64 now = vimg_export_now();
    GHashTableIter iter;
    gpointer value;

    vimg_mutex_lock(&exports->lock);
    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (is_over(value, now))
            g_ptr_array_add(ended, vimg_export_ref(value));
    }
    vimg_mutex_unlock(&exports->lock);
    for (guint i = 0; i < ended->len; i++) {
        VimgExport *export = g_ptr_array_index(ended, i);

        if (vimg_export_is_within_reach(exports->model, export->record))
            vimg_export_release(exports, export);
    }
}
