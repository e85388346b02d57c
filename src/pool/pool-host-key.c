/*
 * pool-host-key.c: the key by which the server of a pool is known
 *
 * It takes no turn of the pool, which may hang in being started for want of just that key.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"

/* Its next attempt is due now, if it has one at all. */
static void
hurry(VimgPool *pool)
{
    vimg_mutex_lock(&pool->lock);
    if (pool->active && pool->status == VIMG_POOL_DISCONNECTED && pool->retry_at > 0)
        pool->retry_at = 1; /* long past */
    vimg_mutex_unlock(&pool->lock);
    vimg_reconnect_kick(pool->model);
}

gboolean
vimg_model_host_key_accept(VimgModel *model, const VimgPoolId *id, const char *fingerprint,
                           GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autoptr(VimgPoolDef) def = pool ? vimg_pool_copy_def(pool) : NULL;
    const VimgType *type = def ? vimg_backends_get(model->backends, def->type, error) : NULL;
    g_autoptr(VimgPoolView) view = NULL;

    if (!type)
        return FALSE;
    view = vimg_pool_view(model, def, NULL);
    if (!vimg_type_host_key_accept(type, view, fingerprint, error))
        return FALSE;
    hurry(pool);
    return TRUE;
}
