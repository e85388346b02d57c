/*
 * handlers-control.c: procedures of virtimage's own program
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"

/* ---- upkeep --------------------------------------------------------------------------------- */

gboolean
vimg_handle_pool_cleanup(VimgCall *call, GError **error)
{
    const vimg_control_cleanup_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_call_check_flags(call, args->flags, VIMG_CONTROL_DRY_RUN, error) &&
           vimg_answer_report(call,
                              vimg_model_pool_cleanup(call->model, &pool,
                                                      args->flags & VIMG_CONTROL_DRY_RUN, error));
}

gboolean
vimg_handle_pool_verify(VimgCall *call, GError **error)
{
    const vimg_control_verify_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_answer_report(
        call,
        vimg_model_pool_verify(call->model, &pool, vimg_optional_from_wire(args->volume), error));
}

/* ---- the trash ------------------------------------------------------------------------------ */

static void
entry_to_wire(VimgTrashEntry *entry, vimg_control_trash_entry *wire)
{
    wire->uuid = g_steal_pointer(&entry->uuid);
    wire->name = g_steal_pointer(&entry->name);
    wire->format = vimg_optional_to_wire(&entry->format);
    wire->capacity = entry->capacity;
    wire->allocation = entry->allocation;
    wire->physical = entry->physical;
    wire->created = entry->created;
    wire->deleted = entry->deleted;
    wire->expires = entry->expires;
    wire->needed_by = vimg_optional_to_wire(&entry->needed_by);
}

gboolean
vimg_handle_trash_list(VimgCall *call, GError **error)
{
    const vimg_control_trash_args *args = call->args;
    vimg_control_trash_ret *ret = call->ret;
    g_autoptr(GPtrArray) entries = NULL;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_check_page(args->max, error))
        return FALSE;
    entries = vimg_model_trash_list(call->model, &pool, vimg_optional_from_wire(args->after),
                                    args->max, error);
    if (!entries)
        return FALSE;
    ret->entries.entries_val = g_new0(vimg_control_trash_entry, entries->len);
    ret->entries.entries_len = entries->len;
    for (guint i = 0; i < entries->len; i++)
        entry_to_wire(entries->pdata[i], &ret->entries.entries_val[i]);
    return TRUE;
}

gboolean
vimg_handle_trash_restore(VimgCall *call, GError **error)
{
    const vimg_control_restore_args *args = call->args;
    g_auto(VimgVolId) id = {0};
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_model_trash_restore(call->model, &pool, args->uuid,
                                  vimg_optional_from_wire(args->name), &id, error))
        return FALSE;
    vimg_vol_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_trash_purge(VimgCall *call, GError **error)
{
    const vimg_control_purge_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_trash_purge(call->model, &pool, args->uuid, error);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void
job_to_wire(VimgJobInfo *job, vimg_control_job *wire)
{
    wire->id = job->id;
    wire->pool = g_steal_pointer(&job->pool);
    wire->volume = vimg_optional_to_wire(&job->volume);
    wire->kind = g_steal_pointer(&job->kind);
    wire->phase = g_steal_pointer(&job->phase);
    wire->done = job->done;
    wire->total = job->total;
    wire->started = job->started;
    wire->cancelled = job->cancelled;
}

gboolean
vimg_handle_job_list(VimgCall *call, GError **error)
{
    vimg_control_jobs_ret *ret = call->ret;
    g_autoptr(GPtrArray) jobs = vimg_model_job_list(call->model);
    guint n = MIN(jobs->len, VIMG_CONTROL_JOBS_MAX);

    ret->jobs.jobs_val = g_new0(vimg_control_job, n);
    ret->jobs.jobs_len = n;
    for (guint i = 0; i < n; i++)
        job_to_wire(jobs->pdata[i], &ret->jobs.jobs_val[i]);
    return TRUE;
}

gboolean
vimg_handle_job_cancel(VimgCall *call, GError **error)
{
    const vimg_control_job_args *args = call->args;

    return vimg_model_job_cancel(call->model, args->id, error);
}
