/*
 * pool-rename.c: a pool goes on under another name
 *
 * Whoever works with a pool holds it, and asks what it is called when that is to be said; so
 * nothing that runs takes notice.  The new name is kept in the registry, then the files are made to
 * have it, then it is true.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/model-private.h"
#include "util/log.h"

/* Over all of it, so that no autostart link is made by the old name. */
static gboolean
rename_files(VimgPool *pool, const char *name, GError **error)
{
    VIMG_LOCK_GUARD(&pool->model->files_lock);
    if (!vimg_persist_rename(pool, name, error))
        return FALSE;
    vimg_registry_rename(pool, name);
    return TRUE;
}

/* It needs the name for its messages only: one that does not listen now hears of it later. */
static void
tell_backend(VimgPool *pool)
{
    g_autoptr(VimgSession) session = vimg_pool_session(pool);
    g_autoptr(VimgPoolDef) def = vimg_pool_copy_def(pool);
    g_autoptr(GError) error = NULL;

    if (session && !vimg_session_update(pool, session, def, &error))
        vimg_warning("storage pool '%s' still works by its former definition: %s",
                     vimg_pool_name(pool), error->message);
}

static void
emit(VimgPool *pool, const char *name, int event)
{
    VimgEvent value = {
        .kind = VIMG_EVENT_POOL_LIFECYCLE, .event = event, .pool.name = (char *)name};

    memcpy(value.pool.uuid, pool->uuid, sizeof(value.pool.uuid));
    vimg_model_emit(pool->model, &value);
}

/* libvirt knows no event for it: to clients one pool goes and another one comes. */
static void
emit_renamed(VimgPool *pool, const char *old, const char *name)
{
    gboolean active = vimg_pool_check_active(pool, TRUE, "%s", NULL);

    emit(pool, old,
         pool->persistent ? VIR_STORAGE_POOL_EVENT_UNDEFINED : VIR_STORAGE_POOL_EVENT_STOPPED);
    if (pool->persistent)
        emit(pool, name, VIR_STORAGE_POOL_EVENT_DEFINED);
    if (active)
        emit(pool, name, VIR_STORAGE_POOL_EVENT_STARTED);
}

gboolean
vimg_model_pool_rename(VimgModel *model, const VimgPoolId *id, const char *name, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgPoolTurn) turn = NULL;
    const char *old;

    if (!vimg_name_check_argument("pool", name, error))
        return FALSE;
    pool = vimg_registry_get(model, id, error);
    if (!pool || !vimg_pool_begin(pool, VIMG_POOL_RENAMING, error))
        return FALSE;
    turn = pool;
    old = vimg_pool_name(pool);
    if (!vimg_registry_reserve(pool, name, error))
        return FALSE;
    if (!rename_files(pool, name, error)) {
        vimg_registry_unreserve(pool, name);
        return FALSE;
    }
    tell_backend(pool);
    emit_renamed(pool, old, name);
    return TRUE;
}
