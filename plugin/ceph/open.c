/*
 * open.c: from a pool's definition to its store: opening, building, removing, staying connected
 *
 * A RADOS pool is made only for a definition that names none and that never had one, or where the
 * administrator says so.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "definition.h"
#include "open.h"
#include "rados-pool.h"
#include "takes.h"
#include "../thread.h"
#include "../throw.h"

#define PROBE_SECONDS 60

/* What the daemon holds is the store at its beginning. */
typedef struct {
    VimgCephStore store;
    guint timer; /* 0: none */
} OpenStore;

static void
warn(const VimgPluginPool *pool, const char *text)
{
    g_autofree char *line = g_strdup_printf("pool '%s': %s", pool->name, text);

    if (vimg_ceph_services)
        vimg_ceph_services->log(VIMG_LOG_WARNING, line);
}

static char *
store_id_of(const VimgCluster *cluster)
{
    return g_strdup_printf("%s.%" G_GINT64_FORMAT, cluster->fsid, cluster->pool_id);
}

/* @known: NULL: any is good. */
static gboolean
check_id(const VimgCluster *cluster, const char *known, GError **error)
{
    g_autofree char *id = store_id_of(cluster);

    if (!known || strcmp(id, known) == 0)
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_DISCONNECTED,
        _("the monitors lead to storage '%1$s' (cluster and number of the RADOS pool), not to '%2$s'"),
        id, known);
}

static void
apply_options(VimgCephStore *store, VimgCluster *cluster, const VimgPluginPool *pool)
{
    /* near-full ratios are the cluster's own, so by default nothing is kept free */
    guint64 reserve = pool->space_reserve == G_MAXUINT64 ? 0 : pool->space_reserve;

    __atomic_store_n(&cluster->reserve, reserve, __ATOMIC_RELAXED);
    __atomic_store_n(&cluster->quota, pool->space_quota, __ATOMIC_RELAXED);
    __atomic_store_n(&store->keep_deleted, pool->keep_deleted, __ATOMIC_RELAXED);
    __atomic_store_n(&store->keep_temporary, pool->keep_temporary, __ATOMIC_RELAXED);
    __atomic_store_n(&store->verify_rate, vimg_ceph_verify_rate(pool), __ATOMIC_RELAXED);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* A timer. */
static void
look_after(gpointer data)
{
    VimgCephStore *store = data;
    VimgPluginStore info = {.size = sizeof(info)};
    g_autoptr(GError) error = NULL;

    /* the daemon knows, and asks by itself */
    if (__atomic_load_n(&store->lost, __ATOMIC_RELAXED))
        return;
    if (!vimg_ceph_probe(store, &info, &error))
        vimg_ceph_services->status(store->host, error);
    g_free(info.store_id);
}

VimgCephStore *
vimg_ceph_open(const VimgPluginPool *pool, VimgPluginHost *host, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_cluster_connect(pool, FALSE, error);
    OpenStore *opened;

    if (!cluster || !check_id(cluster, pool->store_id, error))
        return NULL;
    opened = g_new0(OpenStore, 1);
    opened->store.host = host;
    opened->store.store_id = store_id_of(cluster);
    thread_must(pthread_mutex_init(&opened->store.lock, NULL));
    apply_options(&opened->store, cluster, pool);
    opened->store.cluster = g_steal_pointer(&cluster);
    if (vimg_ceph_services && vimg_ceph_services->timer_add)
        opened->timer = vimg_ceph_services->timer_add(PROBE_SECONDS, look_after, opened);
    return &opened->store;
}

void
vimg_ceph_close(VimgCephStore *store)
{
    OpenStore *opened = (OpenStore *)store;

    if (!store)
        return;
    if (opened->timer)
        vimg_ceph_services->timer_remove(opened->timer);
    vimg_ceph_takes_settle(store);
    vimg_ceph_closing_settle();
    vimg_cluster_unref(store->cluster);
    g_clear_pointer(&store->ids, g_hash_table_unref);
    pthread_mutex_destroy(&store->lock);
    g_free(store->store_id);
    g_free(opened);
}

/* ---- staying connected ------------------------------------------------------------------ */

/* Returns: (transfer full) the former one; whoever still works on it has a reference. */
static VimgCluster *
replace_cluster(VimgCephStore *store, VimgCluster *cluster)
{
    VimgCluster *former;

    LOCK_GUARD(&store->lock);
    former = store->cluster;
    store->cluster = cluster;
    return former;
}

gboolean
vimg_ceph_update(VimgCephStore *store, const VimgPluginPool *pool, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, NULL);
    g_autoptr(VimgCluster) former = NULL;
    g_autofree char *origin = vimg_cluster_origin(pool, error);

    if (!origin)
        return FALSE;
    if (cluster && strcmp(cluster->origin, origin) == 0) {
        apply_options(store, cluster, pool);
        return TRUE;
    }
    former = vimg_cluster_connect(pool, FALSE, error);
    if (!former || !check_id(former, store->store_id, error))
        return FALSE;
    apply_options(store, former, pool);
    former = replace_cluster(store, former);
    return TRUE;
}

static gboolean
probe(VimgCephStore *store, VimgPluginStore *out, GError **error)
{
    g_autoptr(VimgCluster) cluster = vimg_ceph_store_cluster(store, error);
    g_autoptr(GError) local = NULL;
    VimgClusterSpace space;

    if (!cluster)
        return FALSE;
    /* a full one still lets images be deleted */
    if (!vimg_cluster_probe(cluster, &local) &&
        !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_AUTH) &&
        !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SPACE))
        return throw_error(error, VIMG_ERROR_DISCONNECTED, "%s", local->message);
    if (!vimg_cluster_space(cluster, &space, error))
        return FALSE;
    out->store_id = g_strdup(store->store_id);
    out->capacity = space.total;
    out->allocation = space.stored;
    out->available = space.available;
    out->read_only = g_error_matches(local, VIMG_ERROR, VIMG_ERROR_AUTH);
    return TRUE;
}

gboolean
vimg_ceph_probe(VimgCephStore *store, VimgPluginStore *out, GError **error)
{
    gboolean ok = probe(store, out, error);

    __atomic_store_n(&store->lost, !ok, __ATOMIC_RELAXED);
    return ok;
}

/* ---- building --------------------------------------------------------------------------- */

static gboolean
build_in(VimgCluster *cluster, const VimgPluginPool *pool, guint32 flags, GError **error)
{
    gboolean ours = FALSE;
    int result;

    if (cluster->made)
        return TRUE;
    if (!(flags & VIMG_BUILD_OVERWRITE) && !check_id(cluster, pool->store_id, error))
        return FALSE;
    if (!vimg_rados_pool_is_ours(cluster, &ours, error))
        return FALSE;
    if (ours && (flags & (VIMG_BUILD_NO_OVERWRITE | VIMG_BUILD_OVERWRITE)))
        return throw_error(error, VIMG_ERROR_POOL_BUILT, _("RADOS pool '%s' is there already"),
                           cluster->pool);
    result = rbd_pool_init(cluster->io, false);
    if (result == -EPERM)
        return throw_error(
            error, VIMG_ERROR_PROBE,
            _("RADOS pool '%s' is in use by another application of Ceph, or the key does not allow to make it one of images"),
            cluster->pool);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot prepare RADOS pool '%s'"), cluster->pool);
}

gboolean
vimg_ceph_build(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job, GError **error)
{
    gboolean make = !pool->store_id || (build_flags & VIMG_BUILD_OVERWRITE);
    g_autoptr(VimgCluster) cluster = vimg_cluster_connect(pool, make, error);

    return cluster && build_in(cluster, pool, build_flags, error);
}

/* ---- removing --------------------------------------------------------------------------- */

/* Others may have images in them. */
static int
count_namespaces(VimgCluster *cluster, size_t *n)
{
    char names[1];
    size_t size = 0;
    int result = rbd_namespace_list(cluster->io, names, &size);

    *n = result == -ERANGE ? size : 0;
    return result == -ERANGE ? 0 : result;
}

/* Images and trash that are not ours. */
static gboolean
is_empty(VimgCluster *cluster, gboolean *empty, GError **error)
{
    rbd_trash_image_info_t trash[1];
    rbd_image_spec_t images[1];
    size_t n_namespaces = 0;
    size_t n_images = 0;
    size_t n_trash = 0;
    int result = rbd_list2(cluster->io, images, &n_images);

    *empty = FALSE;
    if (result == 0)
        result = rbd_trash_list(cluster->io, trash, &n_trash);
    if (result == 0)
        result = count_namespaces(cluster, &n_namespaces);
    if (result < 0 && result != -ERANGE)
        return vimg_cluster_throw(error, result, _("cannot read from RADOS pool '%s'"),
                                  cluster->pool);
    *empty = result >= 0 && n_images == 0 && n_trash == 0 && n_namespaces == 0;
    return TRUE;
}

static gboolean
remove_pool(VimgCluster *cluster, const VimgPluginPool *pool, GError **error)
{
    gboolean empty = FALSE;
    gboolean ours = FALSE;

    if (!vimg_rados_pool_is_ours(cluster, &ours, error) ||
        (ours && !is_empty(cluster, &empty, error)))
        return FALSE;
    if (ours && empty)
        return vimg_rados_pool_delete(cluster, error);
    if (ours)
        warn(pool, "its RADOS pool holds images of others and stays");
    return TRUE;
}

gboolean
vimg_ceph_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgCephStore) store = vimg_ceph_open(pool, NULL, error);
    g_autoptr(VimgCluster) cluster = store ? vimg_ceph_store_cluster(store, error) : NULL;

    return cluster && vimg_ceph_store_remove_all(store, job, error) &&
           remove_pool(cluster, pool, error);
}
