/*
 * pool-start.c: from a definition to an open storage and back
 *
 * Everything here runs for whoever has the pool (vimg_pool_begin()), with no lock held.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/export.h"
#include "pool/model-private.h"
#include "pool/primary.h"
#include "util/i18n.h"
#include "util/log.h"

/* Microseconds after which a download from which nothing was asked keeps no pool from stopping. */
#define EXPORT_IDLE (2 * G_USEC_PER_SEC)

static const struct {
    guint create;
    guint build;
} build_flags[] = {
    {VIR_STORAGE_POOL_CREATE_WITH_BUILD, 0},
    {VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE, VIMG_BUILD_OVERWRITE},
    {VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE, VIMG_BUILD_NO_OVERWRITE},
};

gboolean
vimg_pool_check_create_flags(guint flags, const char *function, GError **error)
{
    const guint both = VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE |
                       VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE;

    if (!vimg_flags_check(flags, both | VIR_STORAGE_POOL_CREATE_WITH_BUILD, function, error))
        return FALSE;
    if ((flags & both) == both)
        return vimg_throw(error, VIMG_ERROR_FLAGS,
                          _("Flags '%1$s' and '%2$s' are mutually exclusive"),
                          "VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE",
                          "VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE");
    return TRUE;
}

/* ---- building --------------------------------------------------------------------------- */

/*
 * The storage that was built is the pool's from now on, also if it is lost before the first start.
 * A failure here is one of opening, which the start will report.
 */
static void
remember_built(VimgPool *pool, const VimgPoolDef *def)
{
    g_auto(VimgPluginStore) info = {.size = sizeof(info)};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSession) session = vimg_session_open(pool, def, 0, &info, &error);

    if (!session)
        vimg_warning("storage pool '%s' was built but cannot be opened: %s", vimg_pool_name(pool),
                     error->message);
    vimg_mutex_lock(&pool->lock);
    vimg_cache_clear(pool);
    vimg_mutex_unlock(&pool->lock);
}

/*
 * @known: the storage the pool had, or NULL.  One that is built in its place is another, so that is
 * forgotten first: killed in between, the pool must not be left with a storage that it refuses.
 */
static gboolean
build_storage(VimgPool *pool, const VimgPoolDef *def, const char *known, guint flags,
              GError **error)
{
    const VimgType *type = vimg_backends_get(pool->model->backends, def->type, error);
    g_autoptr(VimgPoolView) view = vimg_pool_view(pool->model, def, known);
    gboolean forget = known && (flags & VIMG_BUILD_OVERWRITE);
    g_autoptr(VimgJob) job = NULL;
    g_autoptr(GError) local = NULL;

    if (!type || (forget && !vimg_persist_store_forget(pool, error)))
        return FALSE;
    job = vimg_job_begin(pool->model->jobs, "build", vimg_pool_name(pool), NULL, 0);
    if (vimg_type_build(type, view, flags, job, error))
        return TRUE;
    if (error)
        vimg_job_fail(job, *error);
    if (forget && !vimg_persist_store_remember(pool, known, &local))
        vimg_warning("storage of pool '%s' is no longer remembered: %s", vimg_pool_name(pool),
                     local->message);
    return FALSE;
}

gboolean
vimg_pool_build(VimgPool *pool, guint flags, GError **error)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);
    g_autoptr(GError) local = NULL;
    g_autofree char *known = NULL;

    if (!vimg_pool_check_path(def, error) || !vimg_session_drain(pool, error))
        return FALSE;
    known = vimg_persist_store_id(pool, &local);
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (!build_storage(pool, def, known, flags, error))
        return FALSE;
    remember_built(pool, def);
    return TRUE;
}

static gboolean
build_if_asked(VimgPool *pool, guint flags, GError **error)
{
    guint build = 0;
    gsize i;

    if (!flags)
        return TRUE;
    for (i = 0; i < G_N_ELEMENTS(build_flags); i++) {
        if (flags & build_flags[i].create)
            build |= build_flags[i].build;
    }
    return vimg_pool_build(pool, build, error);
}

/* ---- starting --------------------------------------------------------------------------- */

static void
give_back(VimgPool *pool, const GError *why)
{
    VIMG_LOCK_GUARD(&pool->lock);
    vimg_cache_clear(pool);
    if (why)
        vimg_pool_note_error(pool, why->message);
}

static void
activate(VimgPool *pool, VimgSession *session, const VimgPluginStore *info)
{
    VIMG_LOCK_GUARD(&pool->lock);
    pool->active = TRUE;
    pool->session = session;
    pool->status = VIMG_POOL_CONNECTED;
    pool->retry_at = 0;
    g_clear_pointer(&pool->lost, g_free);
    vimg_pool_set_info(pool, info);
}

gboolean
vimg_pool_start(VimgPool *pool, guint flags, GError **error)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);
    g_auto(VimgPluginStore) info = {.size = sizeof(info)};
    g_autoptr(VimgSession) session = NULL;

    if (!vimg_zone_check(def, pool->model->zones, error) || !vimg_pool_check_path(def, error) ||
        !vimg_session_drain(pool, error) || !build_if_asked(pool, flags, error))
        return FALSE;
    session = vimg_session_open(pool, def, VIMG_OPEN_CREATE, &info, error);
    if (!session || !vimg_cache_refresh(pool, session, error) ||
        !vimg_persist_run_save(pool, def, error)) {
        give_back(pool, error ? *error : NULL);
        return FALSE;
    }
    activate(pool, g_steal_pointer(&session), &info);
    vimg_adopt_kick(pool);
    return TRUE;
}

/* What a definition says holds from now on, if that waited for the pool to be inactive. */
static void
settle_def(VimgPool *pool)
{
    vimg_mutex_lock(&pool->lock);
    if (pool->next_def) {
        vimg_pool_def_free(pool->def);
        pool->def = g_steal_pointer(&pool->next_def);
    }
    vimg_mutex_unlock(&pool->lock);
    vimg_registry_settle(pool);
}

/* What it cannot reach is its own all the same, and no other pool's. */
static void
take_known_store(VimgPool *pool, const VimgPoolDef *def)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *known = vimg_persist_store_id(pool, &error);

    if (error || (known && !vimg_registry_take_store(pool, def->type, known, &error)))
        vimg_warning("storage of pool '%s': %s", vimg_pool_name(pool), error->message);
}

/* Active all the same: shown as inaccessible, tried again and again. */
static void
activate_lost(VimgPool *pool, const GError *why)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);

    vimg_warning("storage pool '%s' cannot be reached: %s", vimg_pool_name(pool), why->message);
    if (!vimg_persist_run_save(pool, def, &error))
        vimg_warning("%s", error->message);
    take_known_store(pool, def);
    vimg_mutex_lock(&pool->lock);
    pool->active = TRUE;
    pool->status = VIMG_POOL_DISCONNECTED;
    vimg_pool_set_lost(pool, why->message);
    vimg_mutex_unlock(&pool->lock);
    vimg_reconnect_kick(pool->model);
}

/* One that is not persistent, and not active any more. */
static void
vanish(VimgPool *pool)
{
    vimg_registry_remove(pool);
    vimg_primary_undefined(pool->model, pool->uuid_text);
    vimg_persist_store_drop(pool);
}

/* A pool that may not run on this host any more. */
static void
give_up(VimgPool *pool, const GError *why)
{
    g_autoptr(GError) error = NULL;

    vimg_warning("storage pool '%s' is not started again: %s", vimg_pool_name(pool), why->message);
    if (!vimg_persist_run_remove(pool, &error))
        vimg_warning("%s", error->message);
    if (pool->persistent) {
        settle_def(pool);
        return;
    }
    vanish(pool);
}

gboolean
vimg_pool_resume(VimgPool *pool, gboolean autostart)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);
    g_autoptr(GError) error = NULL;

    if (vimg_pool_start(pool, 0, &error))
        return TRUE;
    if (autostart && !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED)) {
        vimg_warning("cannot autostart storage pool '%s': %s", vimg_pool_name(pool),
                     error->message);
        return FALSE;
    }
    if (!vimg_zone_check(def, pool->model->zones, NULL)) {
        give_up(pool, error);
        return FALSE;
    }
    activate_lost(pool, error);
    return TRUE;
}

/* ---- stopping --------------------------------------------------------------------------- */

void
vimg_pool_detach(VimgPool *pool)
{
    VimgSession *session;

    vimg_mutex_lock(&pool->lock);
    session = g_steal_pointer(&pool->session);
    pool->active = FALSE;
    pool->status = VIMG_POOL_DISCONNECTED;
    pool->back = FALSE;
    pool->retry_at = 0;
    g_clear_pointer(&pool->lost, g_free);
    vimg_cache_clear(pool);
    vimg_cond_broadcast(&pool->changed);
    vimg_mutex_unlock(&pool->lock);
    vimg_session_unref(session);
}

const char *const vimg_stop_beside[] = {VIMG_ADOPT_KIND, VIMG_DOCTOR_KIND, NULL};

static gboolean
check_no_other_jobs(VimgPool *pool, GError **error)
{
    g_autofree char *jobs = NULL;

    VIMG_LOCK_GUARD(&pool->lock); /* jobs begin under it, and none while it is being stopped */
    jobs = vimg_jobs_describe(pool->model->jobs, vimg_pool_name(pool), NULL, vimg_stop_beside);
    if (jobs)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("pool '%1$s' has jobs running: %2$s"), vimg_pool_name(pool), jobs);
    return TRUE;
}

gboolean
vimg_pool_stop(VimgPool *pool, GError **error)
{
    vimg_exports_let_go(pool->model->exports, pool, EXPORT_IDLE);
    if (!vimg_pool_check_active(pool, TRUE, N_("storage pool '%s' is not active"), error) ||
        !check_no_other_jobs(pool, error) || !vimg_adopt_stop(pool, error) ||
        !vimg_persist_run_remove(pool, error))
        return FALSE;
    vimg_pool_detach(pool);
    if (pool->persistent) {
        settle_def(pool);
        return TRUE;
    }
    vanish(pool);
    return TRUE;
}
