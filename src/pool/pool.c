/*
 * pool.c: one pool: its life in memory, and who may work on it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"

/*
 * How long a call waits for another that has the pool.  Long enough for what works in memory or on
 * small files, short enough that a hung storage does not collect callers.
 */
#define PATIENCE (1 * G_USEC_PER_SEC)

static const char *const busy_texts[] = {
    [VIMG_POOL_DEFINING] = N_("storage pool '%s' is being defined"),
    [VIMG_POOL_RENAMING] = N_("storage pool '%s' is being renamed"),
    [VIMG_POOL_STARTING] = N_("storage pool '%s' is being started"),
    [VIMG_POOL_STOPPING] = N_("storage pool '%s' is being stopped"),
    [VIMG_POOL_BUILDING] = N_("storage pool '%s' is being built"),
    [VIMG_POOL_DELETING] = N_("storage pool '%s' is being deleted"),
    [VIMG_POOL_UNDEFINING] = N_("storage pool '%s' is being undefined"),
};
G_STATIC_ASSERT(G_N_ELEMENTS(busy_texts) == VIMG_POOL_N_BUSY);

VimgPool *
vimg_pool_new(VimgModel *model, VimgPoolDef *def)
{
    VimgPool *pool = g_new0(VimgPool, 1);

    pool->refs = 1;
    pool->model = model;
    pool->names = g_slist_prepend(NULL, g_strdup(def->name));
    pool->called = pool->names->data;
    memcpy(pool->uuid, def->uuid, sizeof(pool->uuid));
    vimg_uuid_format(pool->uuid, pool->uuid_text);
    pool->def = def;
    vimg_mutex_init(&pool->lock);
    vimg_cond_init(&pool->changed);
    vimg_cache_init(pool);
    return pool;
}

VimgPool *
vimg_pool_ref(VimgPool *pool)
{
    __atomic_add_fetch(&pool->refs, 1, __ATOMIC_RELAXED);
    return pool;
}

void
vimg_pool_unref(VimgPool *pool)
{
    if (!pool || __atomic_sub_fetch(&pool->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vimg_cache_free(pool);
    g_clear_pointer(&pool->left_out, g_hash_table_unref);
    vimg_pool_def_free(pool->def);
    vimg_pool_def_free(pool->next_def);
    vimg_cond_clear(&pool->changed);
    vimg_mutex_clear(&pool->lock);
    g_free(pool->identity);
    g_free(pool->next_identity);
    g_free(pool->claimed);
    g_free(pool->store_id);
    g_free(pool->location);
    g_free(pool->lost);
    g_free(pool->last_error);
    g_free(pool->hides);
    g_slist_free_full(pool->names, g_free);
    g_free(pool);
}

const char *
vimg_pool_name(const VimgPool *pool)
{
    return __atomic_load_n(&pool->called, __ATOMIC_ACQUIRE);
}

gboolean
vimg_pool_throw_busy(VimgPool *pool, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_BUSY, _(busy_texts[pool->busy]), vimg_pool_name(pool));
}

gboolean
vimg_pool_begin(VimgPool *pool, VimgPoolBusy busy, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;

    VIMG_LOCK_GUARD(&pool->lock);
    while (pool->busy != VIMG_POOL_FREE && !pool->gone) {
        if (!vimg_cond_wait_until(&pool->changed, &pool->lock, deadline))
            break;
    }
    if (pool->gone)
        return vimg_throw(error, VIMG_ERROR_NO_POOL, _("no storage pool with matching name '%s'"),
                          vimg_pool_name(pool));
    if (pool->busy != VIMG_POOL_FREE)
        return vimg_pool_throw_busy(pool, error);
    pool->busy = busy;
    return TRUE;
}

void
vimg_pool_end(VimgPool *pool)
{
    if (!pool)
        return;
    VIMG_LOCK_GUARD(&pool->lock);
    pool->busy = VIMG_POOL_FREE;
    vimg_cond_broadcast(&pool->changed);
}

void
vimg_pool_turn_to(VimgPool *pool, VimgPoolBusy busy)
{
    VIMG_LOCK_GUARD(&pool->lock);
    pool->busy = busy;
}

gboolean
vimg_pool_check_active(VimgPool *pool, gboolean want, const char *message, GError **error)
{
    VIMG_LOCK_GUARD(&pool->lock);
    if (pool->active == want)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _(message), vimg_pool_name(pool));
}

VimgPoolDef *
vimg_pool_copy_def(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return vimg_pool_def_copy(pool->def);
}

void
vimg_pool_set_lost(VimgPool *pool, const char *reason)
{
    if (!pool->active)
        return;
    g_free(pool->lost);
    pool->lost = g_strdup(reason);
    vimg_pool_note_error(pool, reason);
    if (pool->status == VIMG_POOL_CONNECTED)
        pool->status = VIMG_POOL_DISCONNECTED;
    if (pool->retry_at == 0 && pool->def->reconnect)
        pool->retry_at =
            g_get_monotonic_time() + (gint64)pool->def->reconnect_interval * G_USEC_PER_SEC;
}
