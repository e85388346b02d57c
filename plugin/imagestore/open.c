/*
 * open.c: from a pool's definition to its store: opening, building, removing
 *
 * The rule behind all of it: a store is made only where nothing can be lost, that is in an empty
 * directory of a pool that never had a store, or where the administrator says so.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "location.h"
#include "open.h"
#include "option.h"
#include "owner.h"
#include "reach.h"
#include "remote.h"
#include "remove.h"
#include "../throw.h"

#define GIB ((guint64)1024 * 1024 * 1024)

/* ---- options ---------------------------------------------------------------------------- */

static guint64
slice_size(const VimgPluginPool *pool)
{
    return vimg_option_number(pool, "slice", "size", VIMG_SLICE_SIZE_DEFAULT);
}

static gboolean
has_default_reserve(const VimgPluginPool *pool)
{
    return pool->space_reserve == G_MAXUINT64;
}

/* By default the larger of 1 GiB and 5 %, but never more than 10 % of a small file system. */
guint64
vimg_imagestore_reserve(const VimgPluginPool *pool, guint64 total)
{
    guint64 reserve = pool->space_reserve;

    if (has_default_reserve(pool))
        reserve = MIN(MAX(GIB, total / 20), total / 10);
    return MIN(reserve, G_MAXINT64);
}

gboolean
vimg_imagestore_apply(const VimgPluginPool *pool, VimgSliceStore *store, GError **error)
{
    guint64 level = vimg_option_number(pool, "slice", "compression", VIMG_COMPRESSION_DEFAULT);
    VimgSpace space = {0};
    int result = has_default_reserve(pool) ? vimg_slice_store_space(store, &space) : 0;

    if (result != 0)
        return throw_result(error, result, _("cannot get the free space"));
    __atomic_store_n(&store->compression, (gint)CLAMP(level, 1, 9), __ATOMIC_RELAXED);
    __atomic_store_n(&store->space_reserve, vimg_imagestore_reserve(pool, space.total),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&store->keep_deleted, pool->keep_deleted, __ATOMIC_RELAXED);
    __atomic_store_n(&store->keep_temporary, pool->keep_temporary, __ATOMIC_RELAXED);
    __atomic_store_n(&store->verify_rate,
                     vimg_option_number(pool, "verify", "rate", VIMG_VERIFY_RATE_DEFAULT),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&store->quota, pool->space_quota, __ATOMIC_RELAXED);
    return TRUE;
}

gboolean
vimg_imagestore_check(const VimgPluginPool *pool, GError **error)
{
    guint64 size = slice_size(pool);

    if ((size & (size - 1)) != 0 || size < VIMG_SLICE_SIZE_MIN || size > VIMG_SLICE_SIZE_MAX)
        return throw_error(error, VIMG_ERROR_XML,
                           _("slice size %1$llu is not a power of two from %2$llu to %3$llu"),
                           ULL(size), ULL(VIMG_SLICE_SIZE_MIN), ULL(VIMG_SLICE_SIZE_MAX));
    if (!vimg_remote_check(pool, error))
        return FALSE;
    return vimg_remote_is(pool) ? vimg_location_check_name(pool->dir, error)
                                : vimg_location_check(pool->dir, error);
}

char *
vimg_imagestore_identity(const VimgPluginPool *pool)
{
    g_autofree char *dir = NULL;

    if (vimg_remote_is(pool))
        return vimg_remote_identity(pool);
    dir = vimg_location_resolve(pool->dir);
    return g_strconcat("dir:", dir, NULL);
}

/* ---- opening ---------------------------------------------------------------------------- */

static gboolean
throw_lost(GError **error, const VimgPluginPool *pool)
{
    g_autofree char *where = vimg_remote_where(pool);

    return throw_error(
        error, VIMG_ERROR_DISCONNECTED,
        _("store %1$s is not in '%2$s'; mount it there, or make a new one with pool-build --overwrite"),
        pool->store_id, where);
}

static gboolean
throw_foreign(GError **error, const VimgPluginPool *pool)
{
    g_autofree char *where = vimg_remote_where(pool);

    return throw_error(
        error, VIMG_ERROR_PROBE,
        _("'%s' holds files but no store; <image:retrieve existing='yes'/> makes a store beside them"),
        where);
}

static gboolean
make_store(VimgTransport *transport, const VimgPluginPool *pool, GError **error)
{
    return vimg_slice_store_make(transport, &(VimgStoreParams){.slice_size = slice_size(pool)},
                                 error);
}

/* Makes a store if there is none yet and the definition lets us. */
static gboolean
ensure_store(VimgTransport *transport, const VimgPluginPool *pool, gboolean create, GError **error)
{
    g_autofree char *where = vimg_remote_where(pool);
    VimgPlace place;

    if (!vimg_slice_store_survey(transport, &place, error))
        return FALSE;
    if (place == VIMG_PLACE_STORE)
        return TRUE;
    if (pool->store_id)
        return throw_lost(error, pool);
    if (place == VIMG_PLACE_MISSING)
        return throw_error(error, VIMG_ERROR_SYSTEM,
                           _("cannot open path '%1$s': %2$s; pool-build makes it"), where,
                           g_strerror(ENOENT));
    if (place == VIMG_PLACE_FOREIGN && !pool->retrieve_existing)
        return throw_foreign(error, pool);
    if (!create)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("'%s' holds no store; pool-build makes one"), where);
    return make_store(transport, pool, error);
}

static VimgSliceStore *
open_known(VimgTransport *owned, const VimgPluginPool *pool, GError **error)
{
    g_autoptr(VimgSliceStore) store = NULL;
    g_autofree char *where = vimg_remote_where(pool);

    /* before the store is opened, which ends what earlier boots left */
    if (pool->state_dir)
        vimg_owner_note_boot(pool->state_dir);
    store = vimg_slice_store_new(owned, error);
    if (!store)
        return NULL;
    if (pool->store_id && strcmp(pool->store_id, store->uuid) != 0) {
        throw_error(error, VIMG_ERROR_DISCONNECTED,
                    _("'%1$s' holds store %2$s instead of store %3$s"), where, store->uuid,
                    pool->store_id);
        return NULL;
    }
    store->where = vimg_remote_where(pool);
    store->state_dir = g_strdup(pool->state_dir);
    return vimg_imagestore_apply(pool, store, error) ? g_steal_pointer(&store) : NULL;
}

VimgSliceStore *
vimg_imagestore_open(const VimgPluginPool *pool, guint32 open_flags, VimgPluginHost *host,
                     GError **error)
{
    g_autoptr(VimgTransport) transport = NULL;
    VimgSliceStore *store;
    VimgLink *link;

    if (!vimg_imagestore_check(pool, error))
        return NULL;
    transport = vimg_reach(pool, host, &link, error);
    if (!transport || !ensure_store(transport, pool, (open_flags & VIMG_OPEN_CREATE) != 0, error))
        return NULL;
    store = open_known(g_steal_pointer(&transport), pool, error);
    if (store && link)
        vimg_link_expect(link, store->uuid);
    if (store) {
        store->link = link;
        __atomic_store_n(&store->host, host, __ATOMIC_RELAXED);
    }
    return store;
}

gboolean
vimg_imagestore_update(VimgSliceStore *store, const VimgPluginPool *pool, GError **error)
{
    vimg_slice_store_doubt(store);
    if (store->link && !vimg_link_update(store->link, store->transport, pool, error))
        return FALSE;
    return vimg_imagestore_apply(pool, store, error);
}

/* ---- building --------------------------------------------------------------------------- */

/* Takes @owned over; NULL: @error is set. */
static gboolean
build_in(VimgTransport *owned, const VimgPluginPool *pool, guint32 flags, GError **error)
{
    g_autoptr(VimgTransport) transport = owned;
    g_autoptr(VimgSliceStore) store = NULL;
    g_autofree char *where = vimg_remote_where(pool);
    VimgPlace place;

    if (!transport || !vimg_slice_store_survey(transport, &place, error))
        return FALSE;
    if (place == VIMG_PLACE_STORE && (flags & (VIMG_BUILD_NO_OVERWRITE | VIMG_BUILD_OVERWRITE)))
        return throw_error(error, VIMG_ERROR_POOL_BUILT, _("'%s' holds a store already"), where);
    if (place == VIMG_PLACE_STORE) {
        store = open_known(g_steal_pointer(&transport), pool, error);
        return store != NULL;
    }
    if (pool->store_id && (place != VIMG_PLACE_EMPTY || !(flags & VIMG_BUILD_OVERWRITE)))
        return throw_lost(error, pool);
    if (place == VIMG_PLACE_FOREIGN &&
        (!pool->retrieve_existing || (flags & VIMG_BUILD_NO_OVERWRITE)))
        return throw_foreign(error, pool);
    return make_store(transport, pool, error);
}

gboolean
vimg_imagestore_build(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job,
                      GError **error)
{
    g_autoptr(VimgTransport) root = NULL;
    g_autofree char *made = NULL;
    VIMG_TRANSPORT_PATIENCE(job);

    if (!vimg_imagestore_check(pool, error))
        return FALSE;
    root = vimg_reach_root(pool, error);
    if (!root)
        return FALSE;
    if (vimg_location_make(root, pool->dir, &made, error) &&
        build_in(vimg_reach(pool, NULL, NULL, error), pool, build_flags, error))
        return TRUE;
    if (made)
        vimg_location_unmake(root, pool->dir, made);
    return FALSE;
}

/* ---- removing --------------------------------------------------------------------------- */

static void
name_foreign(VimgTransport *transport, const VimgPluginPool *pool)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autofree char *where = vimg_remote_where(pool);
    guint i;

    if (vimg_transport_list(transport, ".", &names) != 0)
        return;
    for (i = 0; i < names->len; i++)
        vimg_slice_store_log(VIMG_LOG_WARNING, "pool '%s': '%s/%s' is not ours and stays",
                             pool->name, where, (const char *)g_ptr_array_index(names, i));
}

static gboolean
remove_store(const VimgPluginPool *pool, VimgPluginJob *job, GError **error)
{
    VimgTransport *transport = vimg_reach(pool, NULL, NULL, error);
    g_autoptr(VimgSliceStore) store = transport ? open_known(transport, pool, error) : NULL;

    return store && vimg_slice_store_remove(store, job, error);
}

gboolean
vimg_imagestore_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgTransport) transport = NULL;
    g_autoptr(VimgTransport) root = NULL;
    g_autofree char *where = vimg_remote_where(pool);
    VimgPlace place;
    VIMG_TRANSPORT_PATIENCE(job);

    if (!vimg_imagestore_check(pool, error))
        return FALSE;
    transport = vimg_reach(pool, NULL, NULL, error);
    if (!transport || !vimg_slice_store_survey(transport, &place, error))
        return FALSE;
    if (place == VIMG_PLACE_MISSING || (place != VIMG_PLACE_STORE && pool->store_id))
        return throw_error(error, VIMG_ERROR_SYSTEM, _("cannot open path '%1$s': %2$s"), where,
                           g_strerror(ENOENT));
    if (place == VIMG_PLACE_STORE && !remove_store(pool, job, error))
        return FALSE;
    root = vimg_reach_root(pool, error);
    if (!root)
        return FALSE;
    if (vimg_location_remove(root, pool->dir) != 0)
        name_foreign(transport, pool);
    return TRUE;
}
