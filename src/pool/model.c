/*
 * model.c: the life of the model: what it is made of, its tasks, its events, its end
 *
 * Nothing here waits for a storage but vimg_model_free().
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/export.h"
#include "pool/model-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

/* Threads that open storages at start and reconnect: one hung storage costs one of them. */
#define MAX_TASK_THREADS 64

typedef struct {
    void (*func)(VimgPool *pool);
    VimgPool *pool; /* a reference */
} Task;

/* ---- identifiers ------------------------------------------------------------------------ */

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
    if (!id)
        return;
    vimg_pool_id_clear(id);
    g_free(id);
}

void
vimg_vol_id_free(VimgVolId *id)
{
    if (!id)
        return;
    vimg_vol_id_clear(id);
    g_free(id);
}

void
vimg_secret_id_free(VimgSecretId *id)
{
    if (!id)
        return;
    vimg_secret_id_clear(id);
    g_free(id);
}

gboolean
vimg_flags_check(guint flags, guint allowed, const char *function, GError **error)
{
    if (flags & ~allowed)
        return vimg_throw(error, VIMG_ERROR_FLAGS, _("unsupported flags (0x%1$x) in function %2$s"),
                          flags & ~allowed, function);
    return TRUE;
}

/* ---- events ----------------------------------------------------------------------------- */

void
vimg_model_set_event_sink(VimgModel *model, VimgEventSink sink, gpointer data)
{
    model->sink = sink;
    model->sink_data = data;
}

void
vimg_model_emit(VimgModel *model, const VimgEvent *event)
{
    if (model->sink)
        model->sink(event, model->sink_data);
}

void
vimg_model_emit_pool(VimgModel *model, VimgPool *pool, VimgEventKind kind, int event)
{
    VimgEvent value = {.kind = kind, .event = event, .pool.name = (char *)vimg_pool_name(pool)};

    memcpy(value.pool.uuid, pool->uuid, sizeof(value.pool.uuid));
    vimg_model_emit(model, &value);
}

/* ---- tasks ------------------------------------------------------------------------------ */

static void
run_tasks(gpointer data)
{
    VimgModel *model = data;

    for (;;) {
        g_autofree Task *task = NULL;

        vimg_mutex_lock(&model->tasks_lock);
        task = g_queue_pop_head(&model->tasks);
        if (!task) {
            model->n_threads--;
            vimg_cond_broadcast(&model->tasks_changed);
            vimg_mutex_unlock(&model->tasks_lock);
            return;
        }
        vimg_mutex_unlock(&model->tasks_lock);
        task->func(task->pool);
        vimg_pool_unref(task->pool);
    }
}

void
vimg_model_spawn(VimgModel *model, void (*func)(VimgPool *pool), VimgPool *pool)
{
    Task *task = g_new0(Task, 1);
    g_autoptr(GError) error = NULL;
    gboolean fresh;

    task->func = func;
    task->pool = vimg_pool_ref(pool);
    vimg_mutex_lock(&model->tasks_lock);
    g_queue_push_tail(&model->tasks, task);
    fresh = model->n_threads < MAX_TASK_THREADS;
    if (fresh)
        model->n_threads++;
    vimg_mutex_unlock(&model->tasks_lock);
    if (!fresh || vimg_thread_start_detached("vimg-task", run_tasks, model, &error))
        return;
    vimg_warning("%s", error->message);
    run_tasks(model); /* late is better than never */
}

gboolean
vimg_model_ending(VimgModel *model)
{
    VIMG_LOCK_GUARD(&model->tasks_lock);
    return model->ending;
}

static void
wait_for_tasks(VimgModel *model, gboolean uses)
{
    VIMG_LOCK_GUARD(&model->tasks_lock);
    while (model->n_threads > 0 || (uses && model->n_uses > 0))
        vimg_cond_wait(&model->tasks_changed, &model->tasks_lock);
}

/* ---- jobs ------------------------------------------------------------------------------- */

GPtrArray *
vimg_model_job_list(VimgModel *model)
{
    return vimg_jobs_list(model->jobs, NULL);
}

gboolean
vimg_model_job_cancel(VimgModel *model, guint64 id, GError **error)
{
    return vimg_jobs_cancel(model->jobs, id) ||
           vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("no job with id %llu"), VIMG_ULL(id));
}

void
vimg_model_jobs_leave(VimgModel *model, guint64 caller)
{
    vimg_jobs_leave(model->jobs, caller);
}

void
vimg_model_jobs_forget(VimgModel *model, guint64 caller)
{
    vimg_jobs_forget(model->jobs, caller);
}

void
vimg_model_set_job_sink(VimgModel *model, VimgJobSink sink, gpointer data)
{
    vimg_jobs_set_sink(model->jobs, sink, data);
}

gboolean
vimg_model_watch_jobs(VimgModel *model, gboolean on, GError **error)
{
    return vimg_jobs_watch(model->jobs, on, error);
}

/* ---- life ------------------------------------------------------------------------------- */

VimgModel *
vimg_model_new(const VimgModelConfig *config, GError **error)
{
    g_autoptr(VimgModel) model = g_new0(VimgModel, 1);
    g_autofree char *secrets = g_build_filename(config->config_dir, "secrets", NULL);

    vimg_mutex_init(&model->lock);
    vimg_mutex_init(&model->files_lock);
    vimg_mutex_init(&model->tasks_lock);
    vimg_cond_init(&model->tasks_changed);
    g_queue_init(&model->tasks);
    model->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    model->by_uuid =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vimg_pool_unref);
    model->config_dir = g_strdup(config->config_dir);
    model->autostart_dir = g_build_filename(config->config_dir, "autostart", NULL);
    model->state_dir = g_strdup(config->state_dir);
    model->stores_dir = g_build_filename(config->state_dir, "stores", NULL);
    model->run_dir = g_strdup(config->run_dir);
    model->zones = g_strdupv((char **)config->zones);
    model->search_paths = g_strdupv((char **)config->search_paths);
    model->metrics_file = g_strdup(config->metrics_file);
    model->metrics_interval = config->metrics_interval;
    model->imports = config->imports;
    model->jobs = vimg_jobs_new();
    model->exports = vimg_exports_new(model);
    model->secrets = vimg_secrets_new(secrets);
    if (!vimg_persist_dirs(model, error))
        return NULL;
    vimg_services_set_state_dir(model->state_dir);
    vimg_services_set_secrets(model->secrets);
    vimg_services_set_status_func(vimg_session_status, model);
    vimg_services_set_kept_func(vimg_session_keeps);
    model->backends = vimg_backends_new(config->plugin_dir, vimg_services_get());
    return g_steal_pointer(&model);
}

static void
reopen(VimgPool *pool, gboolean autostart)
{
    if (!vimg_model_ending(pool->model) && vimg_pool_resume(pool, autostart))
        vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_LIFECYCLE,
                             VIR_STORAGE_POOL_EVENT_STARTED);
    vimg_pool_end(pool);
}

static void
resume_pool(VimgPool *pool)
{
    reopen(pool, FALSE);
}

static void
autostart_pool(VimgPool *pool)
{
    reopen(pool, TRUE);
}

/* Before anyone else knows the model, so each pool is free to be taken. */
static void
open_pools(VimgModel *model, GPtrArray *were_active)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    guint i;

    for (i = 0; i < pools->len; i++) {
        VimgPool *pool = g_ptr_array_index(pools, i);
        gboolean resume = g_ptr_array_find(were_active, pool, NULL);

        if ((resume || pool->autostart) && vimg_pool_begin(pool, VIMG_POOL_STARTING, NULL))
            vimg_model_spawn(model, resume ? resume_pool : autostart_pool, pool);
    }
}

gboolean
vimg_model_start(VimgModel *model, GError **error)
{
    g_autoptr(GPtrArray) were_active =
        g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_unref);

    if (!vimg_secrets_load(model->secrets, error) || !vimg_persist_load(model, were_active, error))
        return FALSE;
    if (!vimg_reconnect_start(model, error) || !vimg_upkeep_start(model, error) ||
        !vimg_metrics_start(model, error) || !vimg_exports_start(model->exports, error))
        return FALSE;
    open_pools(model, were_active);
    return TRUE;
}

/* Sessions close here; the files that say a pool was active stay, for the next start. */
static void
close_pools(VimgModel *model)
{
    g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_unref);
    GHashTableIter iter;
    gpointer pool;
    guint i;

    vimg_mutex_lock(&model->lock);
    g_hash_table_iter_init(&iter, model->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &pool))
        g_ptr_array_add(pools, vimg_pool_ref(pool));
    g_hash_table_remove_all(model->by_name);
    g_hash_table_remove_all(model->by_uuid);
    vimg_mutex_unlock(&model->lock);
    for (i = 0; i < pools->len; i++)
        vimg_pool_detach(g_ptr_array_index(pools, i));
}

void
vimg_model_cancel_jobs(VimgModel *model)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);

    vimg_jobs_cancel_all(model->jobs);
    __atomic_store_n(&model->hurried, 1, __ATOMIC_RELEASE);
    for (guint i = 0; i < pools->len; i++) {
        VimgPool *pool = g_ptr_array_index(pools, i);

        vimg_mutex_lock(&pool->lock);
        vimg_cond_broadcast(&pool->changed);
        vimg_mutex_unlock(&pool->lock);
    }
    vimg_exports_hurry(model->exports);
}

void
vimg_model_stop(VimgModel *model)
{
    vimg_mutex_lock(&model->tasks_lock);
    model->ending = TRUE;
    vimg_mutex_unlock(&model->tasks_lock);
    vimg_reconnect_stop(model);
    vimg_model_cancel_jobs(model);
    vimg_upkeep_stop(model);
    wait_for_tasks(model, FALSE);
}

void
vimg_model_free(VimgModel *model)
{
    if (!model)
        return;
    vimg_model_stop(model);
    vimg_metrics_stop(model);
    vimg_exports_stop(model->exports);
    wait_for_tasks(model, TRUE);
    close_pools(model);
    vimg_services_set_kept_func(NULL);
    vimg_services_set_status_func(NULL, NULL);
    vimg_services_set_host_secrets(NULL, NULL);
    vimg_services_set_secrets(NULL);
    vimg_backends_free(model->backends);
    vimg_secrets_free(model->secrets);
    vimg_exports_free(model->exports);
    vimg_jobs_free(model->jobs);
    g_hash_table_unref(model->by_name);
    g_hash_table_unref(model->by_uuid);
    vimg_cond_clear(&model->tasks_changed);
    vimg_mutex_clear(&model->tasks_lock);
    vimg_mutex_clear(&model->files_lock);
    vimg_mutex_clear(&model->lock);
    g_strfreev(model->zones);
    g_strfreev(model->search_paths);
    g_free(model->metrics_file);
    g_free(model->config_dir);
    g_free(model->autostart_dir);
    g_free(model->state_dir);
    g_free(model->stores_dir);
    g_free(model->run_dir);
    g_free(model);
}

guint
vimg_model_busy(VimgModel *model)
{
    guint busy = vimg_jobs_count(model->jobs);
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&model->lock);
    g_hash_table_iter_init(&iter, model->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgPool *pool = value;

        vimg_mutex_lock(&pool->lock);
        busy += pool->active || pool->busy != VIMG_POOL_FREE;
        vimg_mutex_unlock(&pool->lock);
    }
    return busy;
}
