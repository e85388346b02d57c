/*
 * export.c: images that whoever has their URL may download: made, listed, ended
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "pool/export.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define LIVE_MAX 1024                    /* exports at a time */
#define KNOWN_MAX 4096                   /* the same with those that ended */
#define ENDED_KEPT ((gint64)30 * 86400)  /* seconds that one is known after its end */
#define GRACE ((gint64)3600)             /* seconds that a download goes on after that */
#define LIFE_MAX ((guint64)3660 * 86400) /* seconds, of an export */
#define SUMMERS 2                        /* threads, so that a large one is not in the way of all */
#define TOKEN_SIZE 32                    /* random bytes */

static gint64
now_seconds(void)
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
    if (export->zeros)
        g_array_unref(export->zeros);
    g_free(export);
}

VimgExports *
vimg_exports_new(VimgModel *model)
{
    VimgExports *exports = g_new0(VimgExports, 1);

    exports->model = model;
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
    g_free(exports);
}

/* When it ended, or will: from then on nobody begins to download it. */
static gint64
end_of(const VimgExportRecord *record)
{
    return record->revoked ? MIN(record->revoked, record->expires) : record->expires;
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

        if (export->idle.length > 0 || now - end_of(export->record) <= ENDED_KEPT)
            continue;
        g_ptr_array_add(ids, g_strdup(export->record->id));
        g_hash_table_iter_remove(&iter);
    }
    return ids;
}

static void
forget_old(VimgExports *exports)
{
    g_autoptr(GPtrArray) ids = NULL;

    VIMG_LOCK_GUARD(&exports->files_lock);
    vimg_mutex_lock(&exports->lock);
    ids = take_old(exports, now_seconds());
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

/* ---- looking ------------------------------------------------------------------------------ */

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
    info->file = g_strdup(record->file);
    info->format = g_strdup(record->format);
    info->compress = record->compress;
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
    return info_of(export->record, now_seconds());
}

/* Without a lock: pools may be renamed. */
static void
name_pool(VimgModel *model, VimgExportInfo *info)
{
    g_autoptr(VimgPool) pool = NULL;
    VimgPoolId id = {0};

    vimg_uuid_parse(info->pool_uuid, id.uuid);
    pool = vimg_registry_get(model, &id, NULL);
    if (!pool)
        return;
    g_free(info->pool);
    info->pool = g_strdup(vimg_pool_name(pool));
}

char *
vimg_exports_keep(VimgExports *exports, const char *pool, const char *image)
{
    gint64 now = now_seconds();
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&exports->lock);
    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgExport *export = value;
        const VimgExportRecord *record = export->record;

        if (strcmp(record->image, image) == 0 && strcmp(record->pool, pool) == 0 &&
            (export->idle.length > 0 || end_of(record) > now))
            return g_strdup(record->name);
    }
    return NULL;
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

        if (CRYPTO_memcmp(export->record->hash, hash, VIMG_EXPORT_HASH_SIZE) == 0)
            found = export;
    }
    return found;
}

static gboolean
is_within_reach(VimgModel *model, const VimgExportRecord *record)
{
    g_autoptr(VimgPool) pool = NULL;
    VimgPoolId id = {0};

    vimg_uuid_parse(record->pool, id.uuid);
    pool = vimg_registry_get(model, &id, NULL);
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
    gint64 now = now_seconds();

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
    if (strcmp((*out)->state, "live") != 0 && strcmp((*out)->state, "served") != 0)
        return VIMG_EXPORT_ENDED;
    if (!is_within_reach(model, export->record))
        return VIMG_EXPORT_AWAY;
    vimg_export_sum(exports, export);
    return VIMG_EXPORT_LIVE;
}

VimgExport *
vimg_exports_get(VimgExports *exports, const guint8 *hash, GError **error)
{
    VimgExport *export;

    vimg_mutex_lock(&exports->lock);
    export = find_hash(exports, hash);
    if (export && end_of(export->record) + (export->record->revoked ? 0 : GRACE) <= now_seconds())
        export = NULL;
    if (export)
        vimg_export_ref(export);
    vimg_mutex_unlock(&exports->lock);
    if (!export)
        vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, "%s", _("the export has ended"));
    return export;
}

gboolean
vimg_model_export_read(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE], guint64 offset,
                       guint64 length, gsize most, VimgExtent *out, GError **error)
{
    g_autoptr(VimgExport) export = vimg_exports_get(model->exports, hash, error);

    *out = (VimgExtent){0};
    return export && vimg_export_read(model->exports, export, offset, length, most, out, error);
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
    gint64 now = now_seconds();
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
        name_pool(model, g_ptr_array_index(page, i));
    return page;
}

/* ---- making ------------------------------------------------------------------------------- */

/* What is stored as it would be served, or is zeros and data at the offsets that a guest sees. */
static gboolean
choose_format(const char *stored, const char *asked, VimgExportRecord *record, GError **error)
{
    gboolean plain = g_strcmp0(stored, "raw") == 0 || g_strcmp0(stored, "iso") == 0;

    if (!asked || g_strcmp0(asked, stored) == 0 || (plain && strcmp(asked, "raw") == 0)) {
        record->format = g_strdup(stored ? stored : "raw");
        return TRUE;
    }
    record->format = g_strdup(asked);
    record->convert = plain && strcmp(asked, "qcow2") == 0;
    return record->convert ||
           vimg_throw(
               error, VIMG_ERROR_OPERATION_UNSUPPORTED,
               _("an image stored as %1$s cannot be exported as %2$s: export it as it is, and convert the download with 'qemu-img convert -f %1$s -O %2$s'"),
               stored ? stored : "raw", asked);
}

/* "debian.raw" that is made qcow2 is downloaded as "debian.qcow2". */
static char *
name_download(const char *name, const VimgExportRecord *record)
{
    static const char *const plain[] = {".raw", ".img", ".iso"};
    gsize size = strlen(name);

    for (gsize i = 0; record->convert && i < G_N_ELEMENTS(plain); i++) {
        if (size > strlen(plain[i]) && g_str_has_suffix(name, plain[i])) {
            size -= strlen(plain[i]);
            break;
        }
    }
    return g_strdup_printf("%.*s%s%s", (int)size, name, record->convert ? ".qcow2" : "",
                           record->compress ? ".zst" : "");
}

VimgExportRecord *
vimg_export_record_new(const VimgPool *pool, const VimgPluginImage *image,
                       const VimgExportRequest *request, GError **error)
{
    g_autoptr(VimgExportRecord) record = g_new0(VimgExportRecord, 1);
    guint8 uuid[VIMG_UUID_SIZE];

    if (request->lifetime == 0 || request->lifetime > LIFE_MAX) {
        vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("an export lives from 1 to %llu seconds"),
                   VIMG_ULL(LIFE_MAX));
        return NULL;
    }
    if (!choose_format(image->format, request->format, record, error))
        return NULL;
    vimg_uuid_random(uuid);
    vimg_uuid_format(uuid, record->id);
    memcpy(record->pool, pool->uuid_text, sizeof(record->pool));
    g_strlcpy(record->image, image->uuid, sizeof(record->image));
    record->pool_name = g_strdup(vimg_pool_name(pool));
    record->name = g_strdup(image->name);
    record->compress = request->compress;
    record->file = name_download(image->name, record);
    record->capacity = image->capacity;
    record->stored = record->size = image->physical;
    record->created = now_seconds();
    record->expires = record->created + (gint64)request->lifetime;
    return g_steal_pointer(&record);
}

/* Returns: (transfer full) a token; its hash is what @hash becomes. */
static char *
make_token(guint8 hash[VIMG_EXPORT_HASH_SIZE], GError **error)
{
    guint8 random[TOKEN_SIZE];
    char *token;

    if (getentropy(random, sizeof(random)) < 0) {
        vimg_throw_errno(error, _("cannot make a token"));
        return NULL;
    }
    token = g_base64_encode(random, sizeof(random));
    explicit_bzero(random, sizeof(random));
    g_strdelimit(token, "+", '-');
    g_strdelimit(token, "/", '_');
    *strchr(token, '=') = '\0';
    EVP_Digest(token, strlen(token), hash, NULL, EVP_sha256(), NULL);
    return token;
}

gboolean
vimg_exports_add(VimgExports *exports, VimgExport *export, GError **error)
{
    gint64 now = now_seconds();
    GHashTableIter iter;
    gpointer value;
    guint live = 0;

    VIMG_LOCK_GUARD(&exports->lock);
    g_hash_table_iter_init(&iter, exports->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        live += end_of(((VimgExport *)value)->record) > now;
    if (live >= LIVE_MAX || g_hash_table_size(exports->by_id) >= KNOWN_MAX)
        return vimg_throw(error, VIMG_ERROR_BUSY,
                          _("there are %u exports already: revoke those that nobody needs"), live);
    g_hash_table_insert(exports->by_id, export->record->id, vimg_export_ref(export));
    return TRUE;
}

static void
remove_export(VimgExports *exports, VimgExport *export)
{
    vimg_mutex_lock(&exports->lock);
    g_hash_table_remove(exports->by_id, export->record->id);
    vimg_mutex_unlock(&exports->lock);
    VIMG_LOCK_GUARD(&exports->files_lock);
    vimg_export_record_remove(exports->dir, export->record->id);
}

/* In the table first, so that there is no moment in which its image may be purged. */
static gboolean
publish(VimgExports *exports, VimgExport *export, GError **error)
{
    forget_old(exports);
    if (!vimg_exports_add(exports, export, error))
        return FALSE;
    if ((!export->layout ||
         vimg_export_map_save(exports->dir, export->record, export->layout, error)) &&
        vimg_export_save(exports, export, error))
        return TRUE;
    remove_export(exports, export);
    return FALSE;
}

static VimgExport *
make_export(VimgUse *use, const VimgExportRequest *request, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(VimgExport) export = NULL;
    VimgExportRecord *record;

    vimg_use_image(use, &image);
    record = vimg_export_record_new(use->pool, &image, request, error);
    if (!record)
        return NULL;
    export = vimg_export_new(record);
    if (!record->convert)
        return g_steal_pointer(&export);
    export->layout = vimg_export_lay_out(use, &image, error);
    if (!export->layout)
        return NULL;
    record->size = vimg_qcow2_layout_size(export->layout);
    return g_steal_pointer(&export);
}

static char *
make_url(const VimgExports *exports, const VimgExportRecord *record, const char *token)
{
    g_autofree char *file = g_uri_escape_string(record->file, NULL, FALSE);

    return g_strdup_printf("%s/%s/%s", exports->url, token, file);
}

static VimgExportInfo *
create(VimgExports *exports, VimgUse *use, const VimgExportRequest *request, char **url,
       GError **error)
{
    g_autoptr(VimgExport) export = make_export(use, request, error);
    VimgExportInfo *info;
    char *token;

    token = export ? make_token(export->record->hash, error) : NULL;
    if (!token)
        return NULL;
    if (!publish(exports, export, error)) {
        explicit_bzero(token, strlen(token));
        g_free(token);
        return NULL;
    }
    *url = make_url(exports, export->record, token);
    explicit_bzero(token, strlen(token));
    g_free(token);
    info = vimg_export_info(exports, export);
    vimg_export_sum(exports, export);
    vimg_info("volume '%s' of storage pool '%s' is exported: %s", info->image, info->pool,
              info->id);
    return info;
}

VimgExportInfo *
vimg_model_export_create(VimgModel *model, const VimgPoolId *id, const VimgExportRequest *request,
                         char **url, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    VimgVolId vol = {.pool = id->name, .name = (char *)request->image};
    g_auto(VimgUse) use = {0};
    VimgExportInfo *info;

    *url = NULL;
    if (!pool)
        return NULL;
    if (!model->exports->url) {
        vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED, "%s",
                   _("exports are not served here: set export_listen in virtimaged.conf"));
        return NULL;
    }
    if (!vimg_use_volume_of(pool, &vol, VIMG_ACTION_DOWNLOAD, VIMG_EXPORT_KIND, &use, error))
        return NULL;
    info = create(model->exports, &use, request, url, error);
    if (!info)
        vimg_use_fail(&use, error);
    return info;
}

void
vimg_model_set_export_url(VimgModel *model, const char *url)
{
    g_free(model->exports->url);
    model->exports->url = g_strdup(url);
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

gboolean
vimg_model_export_revoke(VimgModel *model, const char *id, GError **error)
{
    VimgExports *exports = model->exports;
    g_autoptr(VimgExport) export = vimg_exports_get_by_id(exports, id);

    if (!export)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("no export with id '%s'"), id);
    vimg_info("export %s is revoked", export->record->id);
    if (export->record->nbd) {
        vimg_export_stop_nbd(exports, export);
        return TRUE;
    }
    vimg_mutex_lock(&exports->lock);
    if (!export->record->revoked)
        export->record->revoked = now_seconds();
    vimg_mutex_unlock(&exports->lock);
    return vimg_export_save(exports, export, error);
}
