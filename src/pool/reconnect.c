/*
 * reconnect.c: pools whose storage was lost, until it is back
 *
 * One thread knows when each is due; the attempts themselves are tasks, so that a storage that
 * hangs delays no other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"
#include "util/log.h"

/* ---- one attempt ------------------------------------------------------------------------ */

/*
 * Whether to try: waits for another attempt, whose success is ours.  While an attempt runs it
 * counts as a session, so a stopped pool does not start again under it.
 */
static gboolean
begin_attempt(VimgPool *pool, VimgSession **session, gboolean *done, GError **error)
{
    VIMG_LOCK_GUARD(&pool->lock);
    while (pool->active && pool->status == VIMG_POOL_CONNECTING)
        vimg_cond_wait(&pool->changed, &pool->lock);
    if (!pool->active)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("storage pool '%s' is not active"),
                          vimg_pool_name(pool));
    *done = pool->status == VIMG_POOL_CONNECTED;
    if (*done)
        return TRUE;
    pool->status = VIMG_POOL_CONNECTING;
    pool->sessions++;
    if (pool->session)
        *session = vimg_session_ref(pool->session);
    return TRUE;
}

/* Nobody new shall use a session that does not answer; it closes when its last user ends. */
static void
drop_session(VimgPool *pool, VimgSession *session)
{
    vimg_mutex_lock(&pool->lock);
    if (pool->session == session)
        pool->session = NULL;
    else
        session = NULL;
    vimg_mutex_unlock(&pool->lock);
    vimg_session_unref(session);
}

static VimgPoolDef *
copy_def(VimgPool *pool, guint *defined)
{
    VIMG_LOCK_GUARD(&pool->lock);
    *defined = pool->defined;
    return vimg_pool_def_copy(pool->def);
}

/*
 * Returns: (transfer full) the old session if it answers again, else a fresh one.  @defined: which
 * definition it was connected by.
 */
static VimgSession *
connect_again(VimgPool *pool, VimgSession *old, guint *defined, VimgPluginStore *info,
              GError **error)
{
    g_autoptr(VimgPoolDef) def = copy_def(pool, defined);

    if (old) {
        if (vimg_session_update(pool, old, def, NULL) &&
            vimg_store_probe(vimg_session_store(old), info, NULL))
            return vimg_session_ref(old);
        drop_session(pool, old);
    }
    return vimg_session_open(pool, def, VIMG_OPEN_CREATE, info, error);
}

static void
end_attempt(VimgPool *pool, VimgSession *session, const VimgPluginStore *info, const GError *error)
{
    g_autoptr(VimgSession) former = NULL; /* dropped after the lock */

    VIMG_LOCK_GUARD(&pool->lock);
    pool->sessions--;
    /* said meanwhile, it is still so, and the next attempt is due */
    pool->back = pool->back && !session && pool->retry_at == 1;
    vimg_cond_broadcast(&pool->changed);
    if (!pool->active) {
        vimg_cache_clear(pool);
        return;
    }
    if (!session) {
        pool->status = VIMG_POOL_DISCONNECTED;
        vimg_pool_set_lost(pool, error->message);
        return;
    }
    if (pool->session != session) {
        former = pool->session;
        pool->session = vimg_session_ref(session);
    }
    pool->status = VIMG_POOL_CONNECTED;
    pool->reconnects++;
    pool->retry_at = 0;
    g_clear_pointer(&pool->lost, g_free);
    vimg_pool_set_info(pool, info);
}

/* Nobody told a pool that was being connected of a definition that came meanwhile. */
static void
catch_up(VimgPool *pool, VimgSession *session, guint defined)
{
    guint now = defined;
    g_autoptr(VimgPoolDef) def = copy_def(pool, &now);
    g_autoptr(GError) error = NULL;

    if (now != defined && !vimg_session_update(pool, session, def, &error)) {
        vimg_warning("storage pool '%s' still works by its former definition: %s",
                     vimg_pool_name(pool), error->message);
        vimg_session_failed(session, error);
    }
}

gboolean
vimg_pool_reconnect(VimgPool *pool, GError **error)
{
    g_auto(VimgPluginStore) info = {.size = sizeof(info)};
    g_autoptr(VimgSession) old = NULL;
    g_autoptr(VimgSession) session = NULL;
    g_autoptr(GError) local = NULL;
    gboolean done = FALSE;
    guint defined = 0;

    if (!begin_attempt(pool, &old, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    session = connect_again(pool, old, &defined, &info, &local);
    if (session && !vimg_cache_refresh(pool, session, &local))
        g_clear_pointer(&session, vimg_session_unref);
    end_attempt(pool, session, &info, local);
    if (session) {
        catch_up(pool, session, defined);
        vimg_adopt_kick(pool);
        return TRUE;
    }
    vimg_reconnect_kick(pool->model);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

void
vimg_pool_await_back(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    while (pool->active && pool->back &&
           !__atomic_load_n(&pool->model->hurried, __ATOMIC_ACQUIRE) &&
           vimg_cond_wait_until(&pool->changed, &pool->lock, pool->back_until))
        ;
}

/* ---- the clock -------------------------------------------------------------------------- */

static void
attempt(VimgPool *pool)
{
    g_autoptr(GError) error = NULL;

    if (vimg_model_ending(pool->model))
        return;
    if (!vimg_pool_reconnect(pool, &error)) {
        vimg_debug("storage pool '%s' is still lost: %s", vimg_pool_name(pool), error->message);
        return;
    }
    vimg_info("storage pool '%s' has its storage back", vimg_pool_name(pool));
    vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
}

/* Returns: when the next one is due; 0: none. */
static gint64
try_due(VimgModel *model)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    gint64 now = g_get_monotonic_time();
    gint64 next = 0;
    guint i;

    for (i = 0; i < pools->len; i++) {
        VimgPool *pool = g_ptr_array_index(pools, i);
        gboolean due = FALSE;

        vimg_mutex_lock(&pool->lock);
        if (pool->active && pool->status == VIMG_POOL_DISCONNECTED && pool->retry_at > 0) {
            due = pool->retry_at <= now;
            if (due)
                pool->retry_at = 0;
            else if (next == 0 || pool->retry_at < next)
                next = pool->retry_at;
        }
        vimg_mutex_unlock(&pool->lock);
        if (due)
            vimg_model_spawn(model, attempt, pool);
    }
    return next;
}

static void
retry_main(gpointer data)
{
    VimgModel *model = data;
    gint64 next = 0;

    for (;;) {
        gboolean ending;

        vimg_mutex_lock(&model->tasks_lock);
        while (!model->ending && !model->retry) {
            if (next == 0)
                vimg_cond_wait(&model->tasks_changed, &model->tasks_lock);
            else if (!vimg_cond_wait_until(&model->tasks_changed, &model->tasks_lock, next))
                break;
        }
        model->retry = FALSE;
        ending = model->ending;
        vimg_mutex_unlock(&model->tasks_lock);
        if (ending)
            return;
        next = try_due(model);
    }
}

void
vimg_reconnect_kick(VimgModel *model)
{
    VIMG_LOCK_GUARD(&model->tasks_lock);
    model->retry = TRUE;
    vimg_cond_broadcast(&model->tasks_changed);
}

gboolean
vimg_reconnect_start(VimgModel *model, GError **error)
{
    model->retrying =
        vimg_thread_start(&model->retry_thread, "vimg-reconnect", retry_main, model, error);
    return model->retrying;
}

/* After the model began to end. */
void
vimg_reconnect_stop(VimgModel *model)
{
    vimg_reconnect_kick(model);
    if (model->retrying)
        vimg_thread_join(model->retry_thread);
    model->retrying = FALSE;
}
