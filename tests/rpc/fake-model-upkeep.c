/*
 * fake-model-upkeep.c: its answers about upkeep, and what there is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fake-model-private.h"

/* ---- upkeep ----------------------------------------------------------------------------- */

char *
vimg_model_pool_cleanup(VimgModel *model, const VimgPoolId *pool, gboolean dry_run, GError **error)
{
    return fake_called(error, "pool_cleanup(%s%s)", fake_pool_text(pool), dry_run ? ", dry" : "")
               ? g_strdup("{}")
               : NULL;
}

char *
vimg_model_pool_verify(VimgModel *model, const VimgPoolId *pool, const char *volume, GError **error)
{
    return fake_called(error, "pool_verify(%s, %s)", fake_pool_text(pool), volume ? volume : "NULL")
               ? g_strdup("{}")
               : NULL;
}

char *
vimg_model_pool_usage(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return fake_called(error, "pool_usage(%s)", fake_pool_text(pool)) ? g_strdup("{}") : NULL;
}

char *
vimg_model_vol_diff(VimgModel *model, const VimgPoolId *pool, const char *from, const char *to,
                    GError **error)
{
    return fake_called(error, "vol_diff(%s, %s, %s)", fake_pool_text(pool), from, to)
               ? g_strdup("{}")
               : NULL;
}

char *
vimg_model_vol_flatten(VimgModel *model, const VimgPoolId *pool, const char *name, GError **error)
{
    return fake_called(error, "vol_flatten(%s, %s)", fake_pool_text(pool), name) ? g_strdup("{}")
                                                                                 : NULL;
}

char *
vimg_model_pool_doctor(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return fake_called(error, "pool_doctor(%s)", fake_pool_text(pool)) ? g_strdup("{}") : NULL;
}

void
vimg_trash_entry_free(VimgTrashEntry *entry)
{
    g_free(entry->uuid);
    g_free(entry->name);
    g_free(entry->format);
    g_free(entry->needed_by);
    g_free(entry);
}

GPtrArray *
vimg_model_trash_list(VimgModel *model, const VimgPoolId *pool, const char *after, guint max,
                      GError **error)
{
    GPtrArray *list;

    if (!fake_called(error, "trash_list(%s, %s, %u)", fake_pool_text(pool), after ? after : "NULL",
                     max))
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
        entry.needed_by = i == 0 ? g_strdup("c") : NULL;
        g_ptr_array_add(list, g_memdup2(&entry, sizeof(entry)));
    }
    return list;
}

gboolean
vimg_model_trash_restore(VimgModel *model, const VimgPoolId *pool, const char *uuid,
                         const char *name, VimgVolId *out, GError **error)
{
    return fake_give_vol(fake_called(error, "trash_restore(%s, %s, %s)", fake_pool_text(pool), uuid,
                                     name ? name : "NULL"),
                         out);
}

gboolean
vimg_model_trash_purge(VimgModel *model, const VimgPoolId *pool, const char *uuid, GError **error)
{
    return fake_called(error, "trash_purge(%s, %s)", fake_pool_text(pool), uuid);
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

    fake_called(NULL, "job_list()");
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
    return fake_called(error, "job_cancel(%" G_GUINT64_FORMAT ")", id);
}

gboolean
vimg_model_watch_jobs(VimgModel *model, gboolean on, GError **error)
{
    return fake_called(error, "watch_jobs(%d)", on);
}

void
vimg_model_jobs_leave(VimgModel *model, guint64 caller)
{
    fake_called(NULL, "jobs_leave");
}

void
vimg_model_jobs_forget(VimgModel *model, guint64 caller)
{
    fake_called(NULL, "jobs_forget");
}

/* ---- what is there ---------------------------------------------------------------------- */

char *
vimg_model_status(VimgModel *model, const char *name, GError **error)
{
    return fake_called(error, "status(%s)", name ? name : "NULL") ? g_strdup("{}") : NULL;
}

char *
vimg_model_metrics(VimgModel *model)
{
    fake_called(NULL, "metrics()");
    return g_strdup("#");
}

char *
vimg_model_volume_show(VimgModel *model, const VimgPoolId *pool, const char *name, GError **error)
{
    return fake_called(error, "volume_show(%s, %s)", fake_pool_text(pool), name) ? g_strdup("{}")
                                                                                 : NULL;
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

    if (!fake_called(error, "volume_page(%s, %s, %u)", fake_pool_text(pool), after ? after : "NULL",
                     max))
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

/* ---- exports ---------------------------------------------------------------------------- */

void
vimg_export_info_free(VimgExportInfo *info)
{
    g_free(info->id);
    g_free(info->pool);
    g_free(info->image);
    g_free(info->image_uuid);
    g_free(info->file);
    g_free(info->format);
    g_free(info->sha256);
    g_free(info);
}

static VimgExportInfo *
make_export(guint n)
{
    VimgExportInfo info = {.compress = n == 1,
                           .direct = n == 1,
                           .size = 1ULL << 33,
                           .capacity = 5,
                           .created = 6,
                           .expires = 7,
                           .state = "live"};

    info.id = g_strdup_printf("x%u", n);
    info.pool = g_strdup("p");
    info.image = g_strdup("v");
    info.image_uuid = g_strdup("u");
    info.file = g_strdup("f");
    info.format = g_strdup("raw");
    info.sha256 = n == 0 ? g_strdup("s") : NULL;
    return g_memdup2(&info, sizeof(info));
}

VimgExportInfo *
vimg_model_export_create(VimgModel *model, const VimgPoolId *pool, const VimgExportRequest *request,
                         char **url, GError **error)
{
    *url = NULL;
    if (!fake_called(error, "export_create(%s, %s, %s, %" G_GUINT64_FORMAT "%s%s)",
                     fake_pool_text(pool), request->image,
                     request->format ? request->format : "NULL", request->lifetime,
                     request->compress ? ", compress" : "", request->direct ? ", direct" : ""))
        return NULL;
    *url = g_strdup("http://x");
    return make_export(0);
}

GPtrArray *
vimg_model_export_list(VimgModel *model, const char *after, guint max)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_export_info_free);

    fake_called(NULL, "export_list(%s, %u)", after ? after : "NULL", max);
    for (guint i = 0; i < fake_model.count; i++)
        g_ptr_array_add(list, make_export(i));
    return list;
}

gboolean
vimg_model_export_revoke(VimgModel *model, const char *id, GError **error)
{
    return fake_called(error, "export_revoke(%s)", id);
}

VimgExportInfo *
vimg_model_nbd_start(VimgModel *model, const VimgPoolId *pool, const char *image, uid_t uid,
                     char **path, GError **error)
{
    *path = NULL;
    if (!fake_called(error, "nbd_start(%s, %s)", fake_pool_text(pool), image))
        return NULL;
    *path = g_strdup("/s");
    return make_export(0);
}

gboolean
vimg_model_nbd_stop(VimgModel *model, const char *id, GError **error)
{
    return fake_called(error, "nbd_stop(%s)", id);
}
