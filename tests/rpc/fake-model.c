/*
 * fake-model.c: a model that answers the same to everybody and writes down what it was asked
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fake-model.h"

const guint8 fake_uuid[VIMG_UUID_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

FakeModel fake_model;

void
fake_model_reset(void)
{
    if (!fake_model.log)
        fake_model.log = g_string_new(NULL);
    g_string_truncate(fake_model.log, 0);
    fake_model.count = 2;
    fake_model.fail = FALSE;
}

/* Every function below writes itself down first.  Returns: whether it shall succeed. */
static gboolean G_GNUC_PRINTF(2, 3) called(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_vprintf(fake_model.log, format, args);
    va_end(args);
    return !fake_model.fail || vimg_throw(error, VIMG_ERROR_DAMAGED, "broken");
}

/* "p": the pool, with a mark if its uuid is not the one that the tests send. */
static const char *
pool_text(const VimgPoolId *pool)
{
    static char text[128];

    g_snprintf(text, sizeof(text), "%s%s", pool->name,
               memcmp(pool->uuid, fake_uuid, VIMG_UUID_SIZE) == 0 ? "" : "!");
    return text;
}

static const char *
vol_text(const VimgVolId *vol)
{
    static char text[128];

    g_snprintf(text, sizeof(text), "%s/%s/%s", vol->pool, vol->name, vol->key);
    return text;
}

static const char *
uuid_text(const guint8 *uuid)
{
    return memcmp(uuid, fake_uuid, VIMG_UUID_SIZE) == 0 ? "U" : "!";
}

static gboolean
give_pool(gboolean ok, VimgPoolId *out)
{
    if (ok) {
        out->name = g_strdup("p0");
        memcpy(out->uuid, fake_uuid, sizeof(out->uuid));
    }
    return ok;
}

static gboolean
give_vol(gboolean ok, VimgVolId *out)
{
    if (ok) {
        out->pool = g_strdup("p0");
        out->name = g_strdup("v0");
        out->key = g_strdup("k0");
    }
    return ok;
}

static gboolean
give_secret(gboolean ok, VimgSecretId *out)
{
    if (ok) {
        memcpy(out->uuid, fake_uuid, sizeof(out->uuid));
        out->usage_type = 2;
        out->usage_id = g_strdup("u0");
    }
    return ok;
}

void
vimg_pool_id_clear(VimgPoolId *id)
{
    g_clear_pointer(&id->name, g_free);
}

void
vimg_vol_id_clear(VimgVolId *id)
{
    g_clear_pointer(&id->pool, g_free);
    g_clear_pointer(&id->name, g_free);
    g_clear_pointer(&id->key, g_free);
}

void
vimg_secret_id_clear(VimgSecretId *id)
{
    g_clear_pointer(&id->usage_id, g_free);
}

void
vimg_pool_id_free(VimgPoolId *id)
{
    vimg_pool_id_clear(id);
    g_free(id);
}

void
vimg_vol_id_free(VimgVolId *id)
{
    vimg_vol_id_clear(id);
    g_free(id);
}

void
vimg_secret_id_free(VimgSecretId *id)
{
    vimg_secret_id_clear(id);
    g_free(id);
}

/* ---- pools ------------------------------------------------------------------------------ */

GPtrArray *
vimg_model_pool_list(VimgModel *model, guint flags)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_id_free);

    called(NULL, "pool_list(0x%x)", flags);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgPoolId *id = g_new0(VimgPoolId, 1);

        give_pool(TRUE, id);
        id->name[1] = (char)('0' + i % 10);
        g_ptr_array_add(list, id);
    }
    return list;
}

gboolean
vimg_model_pool_by_name(VimgModel *model, const char *name, VimgPoolId *out, GError **error)
{
    return give_pool(called(error, "pool_by_name(%s)", name), out);
}

gboolean
vimg_model_pool_by_uuid(VimgModel *model, const guint8 *uuid, VimgPoolId *out, GError **error)
{
    return give_pool(called(error, "pool_by_uuid(%s)", uuid_text(uuid)), out);
}

gboolean
vimg_model_pool_by_volume(VimgModel *model, const VimgVolId *vol, VimgPoolId *out, GError **error)
{
    return give_pool(called(error, "pool_by_volume(%s)", vol_text(vol)), out);
}

gboolean
vimg_model_pool_by_target_path(VimgModel *model, const char *path, VimgPoolId *out, GError **error)
{
    return give_pool(called(error, "pool_by_target_path(%s)", path), out);
}

gboolean
vimg_model_pool_define(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                       GError **error)
{
    return give_pool(called(error, "pool_define(%s, 0x%x)", xml, flags), out);
}

gboolean
vimg_model_pool_create_xml(VimgModel *model, const char *xml, guint flags, VimgPoolId *out,
                           GError **error)
{
    return give_pool(called(error, "pool_create_xml(%s, 0x%x)", xml, flags), out);
}

gboolean
vimg_model_pool_create(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return called(error, "pool_create(%s, 0x%x)", pool_text(pool), flags);
}

gboolean
vimg_model_pool_build(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return called(error, "pool_build(%s, 0x%x)", pool_text(pool), flags);
}

gboolean
vimg_model_pool_destroy(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return called(error, "pool_destroy(%s)", pool_text(pool));
}

gboolean
vimg_model_pool_delete(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return called(error, "pool_delete(%s, 0x%x)", pool_text(pool), flags);
}

gboolean
vimg_model_pool_undefine(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return called(error, "pool_undefine(%s)", pool_text(pool));
}

gboolean
vimg_model_pool_refresh(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return called(error, "pool_refresh(%s, 0x%x)", pool_text(pool), flags);
}

gboolean
vimg_model_pool_info(VimgModel *model, const VimgPoolId *pool, VimgPoolInfo *out, GError **error)
{
    *out = (VimgPoolInfo){.state = 2, .capacity = 1ULL << 40, .allocation = 7, .available = 9};
    return called(error, "pool_info(%s)", pool_text(pool));
}

char *
vimg_model_pool_xml(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return called(error, "pool_xml(%s, 0x%x)", pool_text(pool), flags) ? g_strdup("<pool/>") : NULL;
}

gboolean
vimg_model_pool_get_autostart(VimgModel *model, const VimgPoolId *pool, gboolean *out,
                              GError **error)
{
    *out = TRUE;
    return called(error, "pool_get_autostart(%s)", pool_text(pool));
}

gboolean
vimg_model_pool_set_autostart(VimgModel *model, const VimgPoolId *pool, gboolean autostart,
                              GError **error)
{
    return called(error, "pool_set_autostart(%s, %d)", pool_text(pool), autostart);
}

gboolean
vimg_model_pool_is_active(VimgModel *model, const VimgPoolId *pool, gboolean *out, GError **error)
{
    *out = TRUE;
    return called(error, "pool_is_active(%s)", pool_text(pool));
}

gboolean
vimg_model_pool_is_persistent(VimgModel *model, const VimgPoolId *pool, gboolean *out,
                              GError **error)
{
    *out = TRUE;
    return called(error, "pool_is_persistent(%s)", pool_text(pool));
}

GPtrArray *
vimg_model_pool_volumes(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    GPtrArray *list;

    if (!called(error, "pool_volumes(%s)", pool_text(pool)))
        return NULL;
    list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_vol_id_free);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgVolId *id = g_new0(VimgVolId, 1);

        give_vol(TRUE, id);
        id->name[1] = (char)('0' + i % 10);
        g_ptr_array_add(list, id);
    }
    return list;
}

char *
vimg_model_pool_capabilities(VimgModel *model, GError **error)
{
    return called(error, "pool_capabilities()") ? g_strdup("<caps/>") : NULL;
}

char *
vimg_model_find_sources(VimgModel *model, const char *type, const char *spec, guint flags,
                        GError **error)
{
    return called(error, "find_sources(%s, %s, 0x%x)", type, spec ? spec : "NULL", flags)
               ? g_strdup("<sources/>")
               : NULL;
}

/* ---- volumes ---------------------------------------------------------------------------- */

gboolean
vimg_model_vol_by_name(VimgModel *model, const VimgPoolId *pool, const char *name, VimgVolId *out,
                       GError **error)
{
    return give_vol(called(error, "vol_by_name(%s, %s)", pool_text(pool), name), out);
}

gboolean
vimg_model_vol_by_key(VimgModel *model, const char *key, VimgVolId *out, GError **error)
{
    return give_vol(called(error, "vol_by_key(%s)", key), out);
}

gboolean
vimg_model_vol_by_path(VimgModel *model, const char *path, VimgVolId *out, GError **error)
{
    return give_vol(called(error, "vol_by_path(%s)", path), out);
}

char *
vimg_model_vol_path(VimgModel *model, const VimgVolId *vol, GError **error)
{
    return called(error, "vol_path(%s)", vol_text(vol)) ? g_strdup("x://p0/v0") : NULL;
}

char *
vimg_model_vol_xml(VimgModel *model, const VimgVolId *vol, guint flags, GError **error)
{
    return called(error, "vol_xml(%s, 0x%x)", vol_text(vol), flags) ? g_strdup("<volume/>") : NULL;
}

gboolean
vimg_model_vol_info(VimgModel *model, const VimgVolId *vol, VimgVolInfo *out, GError **error)
{
    *out = (VimgVolInfo){.type = 3, .capacity = 1ULL << 33, .allocation = 5, .physical = 6};
    return called(error, "vol_info(%s)", vol_text(vol));
}

gboolean
vimg_model_vol_create(VimgModel *model, const VimgPoolId *pool, const char *xml, guint flags,
                      VimgVolId *out, GError **error)
{
    return give_vol(called(error, "vol_create(%s, %s, 0x%x)", pool_text(pool), xml, flags), out);
}

gboolean
vimg_model_vol_create_from(VimgModel *model, const VimgPoolId *pool, const char *xml,
                           const VimgVolId *source, guint flags, VimgVolId *out, GError **error)
{
    return give_vol(called(error, "vol_create_from(%s, %s, %s, 0x%x)", pool_text(pool), xml,
                           vol_text(source), flags),
                    out);
}

gboolean
vimg_model_vol_delete(VimgModel *model, const VimgVolId *vol, guint flags, GError **error)
{
    return called(error, "vol_delete(%s, 0x%x)", vol_text(vol), flags);
}

gboolean
vimg_model_vol_wipe(VimgModel *model, const VimgVolId *vol, guint algorithm, guint flags,
                    GError **error)
{
    return called(error, "vol_wipe(%s, %u, 0x%x)", vol_text(vol), algorithm, flags);
}

gboolean
vimg_model_vol_resize(VimgModel *model, const VimgVolId *vol, guint64 capacity, guint flags,
                      GError **error)
{
    return called(error, "vol_resize(%s, %" G_GUINT64_FORMAT ", 0x%x)", vol_text(vol), capacity,
                  flags);
}

/* ---- streams ---------------------------------------------------------------------------- */

VimgTransfer *
vimg_model_upload(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                  gboolean sparse, GError **error)
{
    return called(error, "upload(%s, %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "%s)",
                  vol_text(vol), offset, length, sparse ? ", sparse" : "")
               ? (VimgTransfer *)&fake_model
               : NULL;
}

VimgTransfer *
vimg_model_download(VimgModel *model, const VimgVolId *vol, guint64 offset, guint64 length,
                    GError **error)
{
    return called(error, "download(%s, %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ")",
                  vol_text(vol), offset, length)
               ? (VimgTransfer *)&fake_model
               : NULL;
}

/* ---- edited while it runs ----------------------------------------------------------------- */

gboolean
vimg_model_pool_enable(VimgModel *model, const VimgPoolId *pool, gboolean enabled, GError **error)
{
    return called(error, "pool_enable(%s, %d)", pool_text(pool), enabled);
}

gboolean
vimg_model_pool_describe(VimgModel *model, const VimgPoolId *pool, const char *description,
                         GError **error)
{
    return called(error, "pool_describe(%s, %s)", pool_text(pool),
                  description ? description : "NULL");
}

gboolean
vimg_model_pool_rename(VimgModel *model, const VimgPoolId *pool, const char *name, GError **error)
{
    return called(error, "pool_rename(%s, %s)", pool_text(pool), name);
}

gboolean
vimg_model_host_key_accept(VimgModel *model, const VimgPoolId *pool, const char *fingerprint,
                           GError **error)
{
    return called(error, "host_key_accept(%s, %s)", pool_text(pool), fingerprint);
}

char *
vimg_model_zone_list(VimgModel *model)
{
    called(NULL, "zone_list()");
    return g_strdup("{}");
}

gboolean
vimg_model_zone_attach(VimgModel *model, const VimgPoolId *pool, const char *zone, GError **error)
{
    return called(error, "zone_attach(%s, %s)", pool_text(pool), zone);
}

gboolean
vimg_model_zone_detach(VimgModel *model, const VimgPoolId *pool, const char *zone, GError **error)
{
    return called(error, "zone_detach(%s, %s)", pool_text(pool), zone);
}

gboolean
vimg_model_zone_delete(VimgModel *model, const char *zone, const char *const *uuids, gsize n,
                       GError **error)
{
    return called(error, "zone_delete(%s, %u: %s)", zone, (guint)n, n > 0 ? uuids[n - 1] : "");
}

/* ---- synchronisation -------------------------------------------------------------------- */

static char *
count_text(const char *const *texts, gsize n)
{
    return n > 0 ? g_strdup_printf("%u %s", (guint)n, texts[n - 1]) : g_strdup("0");
}

char *
vimg_model_pool_sync(VimgModel *model, const VimgPoolId *pool, const VimgPoolId *source,
                     const VimgSyncRequest *request, GError **error)
{
    g_autofree char *images = count_text(request->images, request->n_images);
    g_autofree char *deletes = count_text(request->deletes, request->n_deletes);
    g_autofree char *from = g_strdup(pool_text(source));

    return called(error, "pool_sync(%s, %s, %s, %s, %" G_GUINT64_FORMAT ")", pool_text(pool), from,
                  images, deletes, request->bandwidth)
               ? g_strdup("{}")
               : NULL;
}

/* ---- imports ---------------------------------------------------------------------------- */

char *
vimg_model_vol_import(VimgModel *model, const VimgPoolId *pool, const VimgImportRequest *request,
                      GError **error)
{
    return called(error, "vol_import(%s, %s, %s, %s, %s)", pool_text(pool), request->name,
                  request->url, request->digest ? request->digest : "NULL",
                  request->format ? request->format : "NULL")
               ? g_strdup("{}")
               : NULL;
}

/* ---- upkeep ----------------------------------------------------------------------------- */

char *
vimg_model_pool_cleanup(VimgModel *model, const VimgPoolId *pool, gboolean dry_run, GError **error)
{
    return called(error, "pool_cleanup(%s%s)", pool_text(pool), dry_run ? ", dry" : "")
               ? g_strdup("{}")
               : NULL;
}

char *
vimg_model_pool_verify(VimgModel *model, const VimgPoolId *pool, const char *volume, GError **error)
{
    return called(error, "pool_verify(%s, %s)", pool_text(pool), volume ? volume : "NULL")
               ? g_strdup("{}")
               : NULL;
}

char *
vimg_model_pool_usage(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return called(error, "pool_usage(%s)", pool_text(pool)) ? g_strdup("{}") : NULL;
}

char *
vimg_model_vol_diff(VimgModel *model, const VimgPoolId *pool, const char *from, const char *to,
                    GError **error)
{
    return called(error, "vol_diff(%s, %s, %s)", pool_text(pool), from, to) ? g_strdup("{}") : NULL;
}

char *
vimg_model_vol_flatten(VimgModel *model, const VimgPoolId *pool, const char *name, GError **error)
{
    return called(error, "vol_flatten(%s, %s)", pool_text(pool), name) ? g_strdup("{}") : NULL;
}

char *
vimg_model_pool_doctor(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return called(error, "pool_doctor(%s)", pool_text(pool)) ? g_strdup("{}") : NULL;
}

void
vimg_trash_entry_free(VimgTrashEntry *entry)
{
    g_free(entry->uuid);
    g_free(entry->name);
    g_free(entry->format);
    g_free(entry);
}

GPtrArray *
vimg_model_trash_list(VimgModel *model, const VimgPoolId *pool, const char *after, guint max,
                      GError **error)
{
    GPtrArray *list;

    if (!called(error, "trash_list(%s, %s, %u)", pool_text(pool), after ? after : "NULL", max))
        return NULL;
    list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_trash_entry_free);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgTrashEntry entry = {.capacity = 1ULL << 33,
                                .allocation = 5,
                                .physical = 6,
                                .created = 7,
                                .deleted = 8,
                                .expires = 9};

        entry.uuid = g_strdup_printf("u%u", i);
        entry.name = g_strdup("n");
        entry.format = i == 0 ? g_strdup("raw") : NULL;
        g_ptr_array_add(list, g_memdup2(&entry, sizeof(entry)));
    }
    return list;
}

gboolean
vimg_model_trash_restore(VimgModel *model, const VimgPoolId *pool, const char *uuid,
                         const char *name, VimgVolId *out, GError **error)
{
    return give_vol(
        called(error, "trash_restore(%s, %s, %s)", pool_text(pool), uuid, name ? name : "NULL"),
        out);
}

gboolean
vimg_model_trash_purge(VimgModel *model, const VimgPoolId *pool, const char *uuid, GError **error)
{
    return called(error, "trash_purge(%s, %s)", pool_text(pool), uuid);
}

void
vimg_job_info_free(VimgJobInfo *info)
{
    g_free(info->pool);
    g_free(info->volume);
    g_free(info->kind);
    g_free(info->phase);
    g_free(info);
}

GPtrArray *
vimg_model_job_list(VimgModel *model)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_job_info_free);

    called(NULL, "job_list()");
    for (guint i = 0; i < fake_model.count; i++) {
        VimgJobInfo job = {.id = i, .done = 1ULL << 33, .total = 2, .started = 3};

        job.pool = g_strdup("p");
        job.volume = i == 0 ? g_strdup("v") : NULL;
        job.kind = g_strdup("k");
        job.phase = g_strdup("");
        job.cancelled = i == 1;
        g_ptr_array_add(list, g_memdup2(&job, sizeof(job)));
    }
    return list;
}

gboolean
vimg_model_job_cancel(VimgModel *model, guint64 id, GError **error)
{
    return called(error, "job_cancel(%" G_GUINT64_FORMAT ")", id);
}

gboolean
vimg_model_watch_jobs(VimgModel *model, gboolean on, GError **error)
{
    return called(error, "watch_jobs(%d)", on);
}

/* ---- what is there ---------------------------------------------------------------------- */

char *
vimg_model_status(VimgModel *model, const char *name, GError **error)
{
    return called(error, "status(%s)", name ? name : "NULL") ? g_strdup("{}") : NULL;
}

char *
vimg_model_metrics(VimgModel *model)
{
    called(NULL, "metrics()");
    return g_strdup("#");
}

char *
vimg_model_volume_show(VimgModel *model, const VimgPoolId *pool, const char *name, GError **error)
{
    return called(error, "volume_show(%s, %s)", pool_text(pool), name) ? g_strdup("{}") : NULL;
}

void
vimg_volume_info_free(VimgVolumeInfo *info)
{
    g_free(info->uuid);
    g_free(info->name);
    g_free(info->reason);
    g_free(info->format);
    g_free(info);
}

GPtrArray *
vimg_model_volume_page(VimgModel *model, const VimgPoolId *pool, const char *after, guint max,
                       GError **error)
{
    GPtrArray *list;

    if (!called(error, "volume_page(%s, %s, %u)", pool_text(pool), after ? after : "NULL", max))
        return NULL;
    list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_volume_info_free);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgVolumeInfo info = {.state = i == 0 ? "error" : "saving",
                               .capacity = 1ULL << 33,
                               .allocation = 5,
                               .physical = 6,
                               .created = 7,
                               .unique = 8,
                               .shared = 9,
                               .as_of = 10};

        info.uuid = g_strdup_printf("u%u", i);
        info.name = g_strdup("n");
        info.reason = i == 0 ? g_strdup("r") : NULL;
        info.format = i == 1 ? g_strdup("raw") : NULL;
        g_ptr_array_add(list, g_memdup2(&info, sizeof(info)));
    }
    return list;
}

/* ---- secrets ---------------------------------------------------------------------------- */

GPtrArray *
vimg_model_secret_list(VimgModel *model, guint flags)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_secret_id_free);

    called(NULL, "secret_list(0x%x)", flags);
    for (guint i = 0; i < fake_model.count; i++) {
        VimgSecretId *id = g_new0(VimgSecretId, 1);

        give_secret(TRUE, id);
        id->usage_id[1] = (char)('0' + i % 10);
        g_ptr_array_add(list, id);
    }
    return list;
}

gboolean
vimg_model_secret_by_uuid(VimgModel *model, const guint8 *uuid, VimgSecretId *out, GError **error)
{
    return give_secret(called(error, "secret_by_uuid(%s)", uuid_text(uuid)), out);
}

gboolean
vimg_model_secret_by_usage(VimgModel *model, int usage_type, const char *usage_id,
                           VimgSecretId *out, GError **error)
{
    return give_secret(called(error, "secret_by_usage(%d, %s)", usage_type, usage_id), out);
}

gboolean
vimg_model_secret_define(VimgModel *model, const char *xml, guint flags, VimgSecretId *out,
                         GError **error)
{
    return give_secret(called(error, "secret_define(%s, 0x%x)", xml, flags), out);
}

char *
vimg_model_secret_xml(VimgModel *model, const guint8 *uuid, GError **error)
{
    return called(error, "secret_xml(%s)", uuid_text(uuid)) ? g_strdup("<secret/>") : NULL;
}

gboolean
vimg_model_secret_set_value(VimgModel *model, const guint8 *uuid, const void *value, gsize size,
                            GError **error)
{
    return called(error, "secret_set_value(%s, %.*s)", uuid_text(uuid), (int)size,
                  (const char *)value);
}

VimgBuffer *
vimg_model_secret_get_value(VimgModel *model, const guint8 *uuid, GError **error)
{
    VimgBuffer *value;

    if (!called(error, "secret_get_value(%s)", uuid_text(uuid)))
        return NULL;
    value = vimg_buffer_new(5);
    memcpy(value->data, "a\0b c", 5);
    return value;
}

void
vimg_secret_value_free(VimgBuffer *value)
{
    vimg_buffer_unref(value);
}

gboolean
vimg_model_secret_undefine(VimgModel *model, const guint8 *uuid, GError **error)
{
    return called(error, "secret_undefine(%s)", uuid_text(uuid));
}
