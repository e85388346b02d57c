/*
 * pool-session.c: the open storage of a pool, alive while anybody uses it
 *
 * A pool that is stopped or connected afresh lets go of its session; calls and transfers that began
 * on it end on it.  The daemon's side of a backend's handle (VimgPluginHost) is a session.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/export.h"
#include "pool/model-private.h"
#include "util/i18n.h"
#include "util/log.h"

/* For calls on a stopped pool that are just ending. */
#define PATIENCE (5 * G_USEC_PER_SEC)
/* For whoever asks while a pool is looked through, which takes seconds where it is large. */
#define BACK_PATIENCE (10 * G_USEC_PER_SEC)

struct _VimgPluginHost {
    gint refs;
    VimgPool *pool;   /* a reference */
    VimgStore *store; /* constant once the session is known to others */
};

static VimgSession *
session_new(VimgPool *pool)
{
    VimgSession *session = g_new0(VimgSession, 1);

    session->refs = 1;
    session->pool = vimg_pool_ref(pool);
    VIMG_LOCK_GUARD(&pool->lock);
    pool->sessions++;
    return session;
}

VimgSession *
vimg_session_ref(VimgSession *session)
{
    __atomic_add_fetch(&session->refs, 1, __ATOMIC_RELAXED);
    return session;
}

void
vimg_session_unref(VimgSession *session)
{
    VimgPool *pool;

    if (!session || __atomic_sub_fetch(&session->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pool = session->pool;
    vimg_store_unref(session->store);
    g_free(session);
    vimg_mutex_lock(&pool->lock);
    pool->sessions--;
    vimg_cond_broadcast(&pool->changed);
    vimg_mutex_unlock(&pool->lock);
    vimg_pool_unref(pool);
}

VimgStore *
vimg_session_store(VimgSession *session)
{
    return session->store;
}

void
vimg_store_info_clear(VimgPluginStore *info)
{
    g_clear_pointer(&info->store_id, g_free);
}

gboolean
vimg_session_drain(VimgPool *pool, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;

    VIMG_LOCK_GUARD(&pool->lock);
    while (pool->sessions > 0) {
        if (!vimg_cond_wait_until(&pool->changed, &pool->lock, deadline))
            return vimg_throw(
                error, VIMG_ERROR_BUSY,
                _("the storage of pool '%s' is still in use by calls that began before it was stopped"),
                vimg_pool_name(pool));
    }
    return TRUE;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* A storage that cannot be found is lost only if the pool ever had one.  Only the right one is
 * taken: a pool that met another keeps the keys of its volumes, and nobody is kept from that one.
 */
static gboolean
take_store(VimgPool *pool, const char *type, const char *known, const char *found, GError **error)
{
    if (known && strcmp(known, found) != 0)
        return vimg_throw(
            error, VIMG_ERROR_DISCONNECTED,
            _("there is another storage, '%1$s', in the place of that of pool '%2$s', '%3$s'"),
            found, vimg_pool_name(pool), known);
    return vimg_registry_take_store(pool, type, found, error) &&
           (known || vimg_persist_store_remember(pool, found, error));
}

static void
take_location(VimgPool *pool, char *location)
{
    VIMG_LOCK_GUARD(&pool->lock);
    g_free(pool->location);
    pool->location = location;
}

VimgSession *
vimg_session_open(VimgPool *pool, const VimgPoolDef *def, guint flags, VimgPluginStore *info,
                  GError **error)
{
    const VimgType *type = vimg_backends_get(pool->model->backends, def->type, error);
    g_autoptr(VimgSession) session = NULL;
    g_autoptr(VimgPoolView) view = NULL;
    g_autoptr(GError) local = NULL;
    g_autofree char *known = NULL;

    if (!type)
        return NULL;
    known = vimg_persist_store_id(pool, &local);
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    view = vimg_pool_view(pool->model, def, known);
    session = session_new(pool);
    session->store = vimg_store_open(type, view, known ? 0 : flags, session, info, error);
    if (!session->store)
        return NULL;
    if (!take_store(pool, def->type, known, info->store_id, error)) {
        vimg_store_info_clear(info);
        return NULL;
    }
    take_location(pool, vimg_type_location(type, view));
    return g_steal_pointer(&session);
}

/* ---- health ----------------------------------------------------------------------------- */

void
vimg_session_failed(VimgSession *session, const GError *error)
{
    VimgPool *pool = session->pool;
    gboolean lost;

    if (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED))
        return;
    vimg_mutex_lock(&pool->lock);
    lost = pool->session == session && pool->status == VIMG_POOL_CONNECTED;
    if (lost)
        vimg_pool_set_lost(pool, error->message);
    vimg_mutex_unlock(&pool->lock);
    if (!lost)
        return;
    vimg_warning("storage pool '%s' lost its storage: %s", vimg_pool_name(pool), error->message);
    vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
    vimg_reconnect_kick(pool->model);
}

/*
 * Under the lock.  All who ask have the time from when that was first said.  What a session says
 * that was let go of for another tells nothing of what that one reaches.
 */
static void
note_back(VimgPool *pool, const VimgSession *session)
{
    if (pool->back || (pool->session && pool->session != session))
        return;
    pool->back = TRUE;
    pool->back_until = g_get_monotonic_time() + BACK_PATIENCE;
}

void
vimg_session_status(VimgSession *session, const GError *error, gpointer data)
{
    VimgPool *pool = session->pool;

    if (error) {
        g_autoptr(GError) lost =
            g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, error->message);

        vimg_session_failed(session, lost);
        return;
    }
    vimg_mutex_lock(&pool->lock);
    /* an attempt that failed just before let go of the session, but those who wait by it go on */
    if (pool->active && pool->status != VIMG_POOL_CONNECTED &&
        (pool->session == session || pool->def->reconnect)) {
        pool->retry_at = 1; /* long past */
        note_back(pool, session);
    }
    vimg_mutex_unlock(&pool->lock);
    vimg_reconnect_kick(pool->model);
}

gboolean
vimg_session_keeps(VimgSession *session, const char *uuid)
{
    const VimgPool *pool = session->pool;
    g_autofree char *name = vimg_exports_keep(pool->model->exports, pool->uuid_text, uuid);

    return name != NULL;
}

void
vimg_pool_set_info(VimgPool *pool, const VimgPluginStore *info)
{
    pool->sizes = (VimgPoolSizes){
        .capacity = info->capacity, .allocation = info->allocation, .available = info->available};
    pool->read_only = info->read_only;
}

gboolean
vimg_session_probe(VimgSession *session, GError **error)
{
    VimgPool *pool = session->pool;
    g_auto(VimgPluginStore) info = {.size = sizeof(info)};

    if (!vimg_store_probe(session->store, &info, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (pool->session == session)
        vimg_pool_set_info(pool, &info);
    return TRUE;
}

gboolean
vimg_session_is_lost(VimgSession *session)
{
    VimgPool *pool = session->pool;

    VIMG_LOCK_GUARD(&pool->lock);
    return pool->session != session || pool->status != VIMG_POOL_CONNECTED;
}

void
vimg_session_sizes(VimgSession *session)
{
    g_autoptr(GError) error = NULL;

    if (vimg_session_is_lost(session))
        return;
    if (!vimg_session_probe(session, &error))
        vimg_session_failed(session, error);
}
