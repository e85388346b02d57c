/*
 * pool-calls.c: what clients do to a pool that exists
 *
 * Each row of the table is one operation: what it is called while it runs, what it does, and what
 * the world hears of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/model-private.h"
#include "util/i18n.h"

typedef gboolean (*TurnFunc)(VimgPool *pool, guint flags, GError **error);

/* @func with the pool for itself, then @event. */
static gboolean
take_turn(VimgModel *model, const VimgPoolId *id, VimgPoolBusy busy, TurnFunc func, guint flags,
          int event, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autoptr(VimgPoolTurn) turn = NULL;

    if (!pool || !vimg_pool_begin(pool, busy, error))
        return FALSE;
    turn = pool;
    if (!func(pool, flags, error))
        return FALSE;
    vimg_model_emit_pool(model, pool, VIMG_EVENT_POOL_LIFECYCLE, event);
    return TRUE;
}

static gboolean
start(VimgPool *pool, guint flags, GError **error)
{
    return vimg_pool_check_active(pool, FALSE, N_("storage pool '%s' is already active"), error) &&
           vimg_pool_start(pool, flags, error);
}

gboolean
vimg_model_pool_create(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return vimg_pool_check_create_flags(flags, "virStoragePoolCreate", error) &&
           take_turn(model, pool, VIMG_POOL_STARTING, start, flags, VIR_STORAGE_POOL_EVENT_STARTED,
                     error);
}

static gboolean
build(VimgPool *pool, guint flags, GError **error)
{
    const guint both = VIR_STORAGE_POOL_BUILD_OVERWRITE | VIR_STORAGE_POOL_BUILD_NO_OVERWRITE;
    guint how = 0;

    if (!vimg_pool_check_active(pool, FALSE, N_("storage pool '%s' is already active"), error) ||
        !vimg_flags_check(flags, both, "virStoragePoolBuild", error))
        return FALSE;
    if ((flags & both) == both)
        return vimg_throw(
            error, VIMG_ERROR_FLAGS, _("Flags '%1$s' and '%2$s' are mutually exclusive"),
            "VIR_STORAGE_POOL_BUILD_OVERWRITE", "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE");
    if (flags & VIR_STORAGE_POOL_BUILD_OVERWRITE)
        how |= VIMG_BUILD_OVERWRITE;
    if (flags & VIR_STORAGE_POOL_BUILD_NO_OVERWRITE)
        how |= VIMG_BUILD_NO_OVERWRITE;
    return vimg_pool_build(pool, how, error);
}

/* What a running storage can have built, or repaired, is that it is cleaned up. */
static gboolean
means_cleanup(VimgPool *pool, guint flags)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);
    const VimgType *type;

    if ((flags & ~(guint)VIR_STORAGE_POOL_BUILD_REPAIR) ||
        !vimg_pool_check_active(pool, TRUE, "%s", NULL))
        return FALSE;
    type = vimg_backends_get(pool->model->backends, def->type, NULL);
    return type && vimg_type_can_clean_up(type);
}

gboolean
vimg_model_pool_build(VimgModel *model, const VimgPoolId *id, guint flags, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autofree char *report = NULL;

    if (!pool)
        return FALSE;
    if (!means_cleanup(pool, flags))
        return take_turn(model, id, VIMG_POOL_BUILDING, build, flags,
                         VIR_STORAGE_POOL_EVENT_CREATED, error);
    report = vimg_pool_cleanup(pool, FALSE, error);
    return report != NULL;
}

static gboolean
stop(VimgPool *pool, guint flags, GError **error)
{
    return vimg_pool_stop(pool, error);
}

gboolean
vimg_model_pool_destroy(VimgModel *model, const VimgPoolId *id, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;

    if (take_turn(model, id, VIMG_POOL_STOPPING, stop, 0, VIR_STORAGE_POOL_EVENT_STOPPED, error))
        return TRUE;
    pool = vimg_registry_get(model, id, NULL);
    if (pool)
        vimg_adopt_kick(pool); /* it may have been ended for nothing */
    return FALSE;
}

static gboolean
undefine(VimgPool *pool, guint flags, GError **error)
{
    return vimg_pool_forget(pool, error);
}

gboolean
vimg_model_pool_undefine(VimgModel *model, const VimgPoolId *pool, GError **error)
{
    return take_turn(model, pool, VIMG_POOL_UNDEFINING, undefine, 0,
                     VIR_STORAGE_POOL_EVENT_UNDEFINED, error);
}

static gboolean
delete_storage(VimgPool *pool, guint flags, GError **error)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);
    g_autofree char *known = NULL;
    g_autoptr(VimgPoolView) view = NULL;
    g_autoptr(VimgJob) job = NULL;
    g_autoptr(GError) local = NULL;
    const VimgType *type;

    if (!vimg_pool_check_active(pool, FALSE, N_("storage pool '%s' is still active"), error) ||
        !vimg_flags_check(flags, VIR_STORAGE_POOL_DELETE_NORMAL, "virStoragePoolDelete", error))
        return FALSE;
    type = vimg_backends_get(pool->model->backends, def->type, error);
    if (!type || !vimg_pool_check_path(def, error) || !vimg_session_drain(pool, error))
        return FALSE;
    known = vimg_persist_store_id(pool, &local);
    if (local) { /* not knowing which one is its own, it may delete none */
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    view = vimg_pool_view(pool->model, def, known);
    job = vimg_job_begin(pool->model->jobs, "delete", vimg_pool_name(pool), NULL, 0);
    if (vimg_type_remove(type, view, job, error) && vimg_persist_store_forget(pool, error))
        return TRUE;
    if (error)
        vimg_job_fail(job, *error);
    return FALSE;
}

gboolean
vimg_model_pool_delete(VimgModel *model, const VimgPoolId *pool, guint flags, GError **error)
{
    return take_turn(model, pool, VIMG_POOL_DELETING, delete_storage, flags,
                     VIR_STORAGE_POOL_EVENT_DELETED, error);
}

/* ---- refresh ---------------------------------------------------------------------------- */

static gboolean
is_connected(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->active && pool->status == VIMG_POOL_CONNECTED;
}

static gboolean
refresh_connected(VimgPool *pool, GError **error)
{
    g_auto(VimgUse) use = {0};
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);

    return vimg_use_pool(pool, &use, error) && vimg_session_update(pool, use.session, def, error) &&
           vimg_session_probe(use.session, error) && vimg_cache_refresh(pool, use.session, error);
}

/* A storage that does not answer its health check is lost, whatever its error says. */
static void
note_lost(VimgPool *pool, const GError *error)
{
    vimg_mutex_lock(&pool->lock);
    if (pool->active && pool->status == VIMG_POOL_CONNECTED)
        vimg_pool_set_lost(pool, error->message);
    vimg_mutex_unlock(&pool->lock);
}

static gboolean
refresh(VimgPool *pool, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (!vimg_pool_check_active(pool, TRUE, N_("storage pool '%s' is not active"), error))
        return FALSE;
    if (is_connected(pool)) {
        if (refresh_connected(pool, &local)) {
            vimg_adopt_kick(pool);
            return TRUE;
        }
        if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID) ||
            g_error_matches(local, VIMG_ERROR, VIMG_ERROR_BUSY) ||
            g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
            g_propagate_error(error, g_steal_pointer(&local)); /* stopped meanwhile */
            return FALSE;
        }
        note_lost(pool, local);
    }
    return vimg_pool_reconnect(pool, error);
}

gboolean
vimg_model_pool_refresh(VimgModel *model, const VimgPoolId *id, guint flags, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;

    if (!vimg_flags_check(flags, 0, "virStoragePoolRefresh", error))
        return FALSE;
    pool = vimg_registry_get(model, id, error);
    if (!pool || !refresh(pool, error))
        return FALSE;
    vimg_model_emit_pool(model, pool, VIMG_EVENT_POOL_REFRESH, 0);
    return TRUE;
}
