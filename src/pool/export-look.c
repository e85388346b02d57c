/*
 * export-look.c: which exports there are, and what is said of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <openssl/crypto.h>

#include "pool/export.h"
#include "util/i18n.h"
#include "util/log.h"

void
vimg_export_info_free(VimgExportInfo *info)
{
    if (!info)
        return;
    g_free(info->id);
    g_free(info->pool);
    g_free(info->pool_uuid);
    g_free(info->image);
    g_free(info->image_uuid);
    g_free(info->generation);
    g_free(info->file);
    g_free(info->format);
    g_free(info->sha256);
    g_free(info);
}

static const char *
state_of(const VimgExportRecord *record, gint64 now)
{
    if (record->nbd && !record->revoked)
        return "served";
    if (record->replaced)
        return "replaced";
    return record->revoked ? "revoked" : now >= record->expires ? "expired" : "live";
}

/* Under lock; what its pool is called is not looked up. */
static VimgExportInfo *
info_of(const VimgExportRecord *record, gint64 now)
{
    VimgExportInfo *info = g_new0(VimgExportInfo, 1);

    info->id = g_strdup(record->id);
    info->pool = g_strdup(record->pool_name);
    info->pool_uuid = g_strdup(record->pool);
    info->image = g_strdup(record->name);
    info->image_uuid = g_strdup(record->image);
    info->generation = g_strdup(record->generation);
    info->file = g_strdup(record->file);
    info->format = g_strdup(record->format);
    info->compress = record->compress;
    info->direct = record->direct;
    info->size = record->size;
    info->capacity = record->capacity;
    info->sha256 = g_strdup(record->sha256);
    info->created = record->created;
    info->expires = record->nbd ? 0 : record->expires;
    info->state = state_of(record, now);
    return info;
}

VimgExportInfo *
vimg_export_info(VimgExports *exports, const VimgExport *export)
{
    VIMG_LOCK_GUARD(&exports->lock);
    return info_of(export->record, vimg_export_now());
}

/* Returns: (transfer full) NULL: there is no such pool any more */
static VimgPool *
find_pool(VimgModel *model, const char *uuid)
{
    VimgPoolId id = {0};

    vimg_uuid_parse(uuid, id.uuid);
    return vimg_registry_get(model, &id, NULL);
}

/* Of what an image holds now.  Returns: (transfer full) NULL: nobody knows */
static char *
find_generation(VimgModel *model, const char *pool_uuid, const char *image_uuid)
{
    g_autoptr(VimgPool) pool = find_pool(model, pool_uuid);
    const VimgVolume *volume;

    if (!pool)
        return NULL;
    VIMG_LOCK_GUARD(&pool->lock);
    volume = g_hash_table_lookup(pool->by_image, image_uuid);
    return volume ? g_strdup(volume->image.generation) : NULL;
}

/* @now: what its image holds; sizes and sums of an export are of what was there when it was made.
 * *@learnt: it was made when nobody knew that. */
static gboolean
is_other(VimgExports *exports, VimgExport *export, const char *now, gboolean *learnt)
{
    VIMG_LOCK_GUARD(&exports->lock);
    *learnt = now && !export->record->generation;
    if (*learnt)
        export->record->generation = g_strdup(now);
    return now && strcmp(export->record->generation, now) != 0;
}

gboolean
vimg_export_is_replaced(VimgExports *exports, VimgExport *export)
{
    const VimgExportRecord *record = export->record;
    g_autofree char *now = find_generation(exports->model, record->pool, record->image);
    g_autoptr(GError) error = NULL;
    gboolean learnt;

    if (is_other(exports, export, now, &learnt)) {
        vimg_export_end_replaced(exports, export);
        return TRUE;
    }
    if (learnt && !record->nbd && !vimg_export_save(exports, export, &error))
        vimg_info("export '%s': %s", record->id, error->message);
    return FALSE;
}

gboolean
vimg_export_is_read(VimgExports *exports, VimgExport *export, const VimgReader *reader)
{
    g_autofree char *generation = NULL;

    vimg_mutex_lock(&exports->lock);
    generation = g_strdup(export->record->generation);
    vimg_mutex_unlock(&exports->lock);
    if (vimg_reader_is_of(reader, generation))
        return TRUE;
    vimg_export_end_replaced(exports, export);
    return FALSE;
}

gboolean
vimg_export_throw_replaced(const VimgExport *export, GError **error)
{
    return vimg_throw(
        error, VIMG_ERROR_NO_VOL,
        _("volume '%s' holds something else than when it was exported: export it again"),
        export->record->name);
}

/* Whether it was, of @info, which may learn what it is of. */
static gboolean
is_replaced(VimgExports *exports, VimgExportInfo *info)
{
    g_autoptr(VimgExport) export = vimg_exports_get_by_id(exports, info->id);

    if (!export)
        return FALSE;
    if (vimg_export_is_replaced(exports, export))
        return TRUE;
    VIMG_LOCK_GUARD(&exports->lock);
    if (!info->generation)
        info->generation = g_strdup(export->record->generation);
    return FALSE;
}

/* What others say of it now.  Without a lock: pools may be renamed. */
static void
look_again(VimgModel *model, VimgExportInfo *info)
{
    g_autoptr(VimgPool) pool = find_pool(model, info->pool_uuid);

    if (strcmp(info->state, "live") == 0 && !info->direct && is_replaced(model->exports, info))
        info->state = "replaced";
    if (!pool)
        return;
    g_free(info->pool);
    info->pool = g_strdup(vimg_pool_name(pool));
}

/* Under lock.  All are compared, whichever it is, and each in the same time. */
static VimgExport *
find_hash(VimgExports *exports, const guint8 *hash)
{
    VimgExport *found = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgExport *export = value;

        if (!export->record->direct &&
            CRYPTO_memcmp(export->record->hash, hash, VIMG_EXPORT_HASH_SIZE) == 0)
            found = export;
    }
    return found;
}

gboolean
vimg_export_is_within_reach(VimgModel *model, const VimgExportRecord *record)
{
    g_autoptr(VimgPool) pool = find_pool(model, record->pool);

    if (!pool)
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->active && pool->status == VIMG_POOL_CONNECTED;
}

VimgExportState
vimg_model_export_find(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE],
                       VimgExportInfo **out)
{
    VimgExports *exports = model->exports;
    g_autoptr(VimgExport) export = NULL;
    gint64 now = vimg_export_now();

    *out = NULL;
    vimg_mutex_lock(&exports->lock);
    export = find_hash(exports, hash);
    if (export) {
        vimg_export_ref(export);
        *out = info_of(export->record, now);
    }
    vimg_mutex_unlock(&exports->lock);
    if (!export)
        return VIMG_EXPORT_ABSENT;
    look_again(model, *out);
    if (strcmp((*out)->state, "live") != 0 && strcmp((*out)->state, "served") != 0)
        return VIMG_EXPORT_ENDED;
    if (!vimg_export_is_within_reach(model, export->record))
        return VIMG_EXPORT_AWAY;
    vimg_export_sum(exports, export);
    return VIMG_EXPORT_LIVE;
}

VimgExport *
vimg_exports_get(VimgExports *exports, const guint8 *hash, GError **error)
{
    g_autoptr(VimgExport) export = NULL;
    gboolean ended = TRUE, replaced = FALSE;

    vimg_mutex_lock(&exports->lock);
    export = find_hash(exports, hash);
    if (export) {
        const VimgExportRecord *record = vimg_export_ref(export)->record;

        replaced = record->replaced;
        ended = vimg_export_end(record) + (record->revoked ? 0 : VIMG_EXPORT_GRACE) <=
                vimg_export_now();
    }
    vimg_mutex_unlock(&exports->lock);
    if (!ended)
        return g_steal_pointer(&export);
    if (replaced)
        vimg_export_throw_replaced(export, error);
    else
        vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, "%s", _("the export has ended"));
    return NULL;
}

gboolean
vimg_model_export_read(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE],
                       const VimgExportPart *part, VimgExtent *out, GError **error)
{
    g_autoptr(VimgExport) export = vimg_exports_get(model->exports, hash, error);

    *out = (VimgExtent){0};
    return export && vimg_export_read(model->exports, export, part, out, error);
}

static gint
compare_exports(gconstpointer a, gconstpointer b)
{
    const VimgExport *const *left = a;
    const VimgExport *const *right = b;

    return strcmp((*left)->record->id, (*right)->record->id);
}

static GPtrArray *
list_behind(VimgExports *exports, const char *after, guint max)
{
    GPtrArray *page = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_export_info_free);
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    gint64 now = vimg_export_now();
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&exports->lock);
    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (!after || strcmp(((VimgExport *)value)->record->id, after) > 0)
            g_ptr_array_add(found, value);
    }
    g_ptr_array_sort(found, compare_exports);
    for (guint i = 0; i < MIN(found->len, max); i++)
        g_ptr_array_add(page, info_of(((VimgExport *)found->pdata[i])->record, now));
    return page;
}

GPtrArray *
vimg_model_export_list(VimgModel *model, const char *after, guint max)
{
    GPtrArray *page = list_behind(model->exports, after, max);

    for (guint i = 0; i < page->len; i++)
        look_again(model, g_ptr_array_index(page, i));
    return page;
}

char **
vimg_model_data_networks(VimgModel *model)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    GPtrArray *networks = g_ptr_array_new();

    for (guint i = 0; i < pools->len; i++) {
        VimgPool *pool = g_ptr_array_index(pools, i);

        VIMG_LOCK_GUARD(&pool->lock);
        if (pool->def->data_network)
            g_ptr_array_add(networks, g_strdup(pool->def->data_network));
    }
    g_ptr_array_add(networks, NULL);
    return (char **)g_ptr_array_free(networks, FALSE);
}
