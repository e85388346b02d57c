/*
 * open.c: from a pool's definition to its store: opening, building, removing, staying connected
 *
 * No connection is kept: whether the storage is there shows with each request.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cleanup.h"
#include "definition.h"
#include "journal.h"
#include "listing.h"
#include "open.h"
#include "rollback.h"
#include "site.h"
#include "../thread.h"
#include "throw.h"

#define LOOK_SECONDS 5
#define PROBE_LOOKS 12               /* looks from one request to the next */
#define UNBOUNDED ((guint64)1 << 60) /* bytes a bucket holds, for those who need a number */

/* What the daemon holds is the store at its beginning. */
typedef struct {
    VimgEbsStore store;
    guint timer; /* 0: none */
    guint looks;
} OpenStore;

static gboolean
check_id(const char *id, const char *known, const char *where, GError **error)
{
    return !known || strcmp(id, known) == 0 ||
           throw_error(error, VIMG_ERROR_DISCONNECTED,
                       _("bucket '%1$s' has storage '%2$s', not '%3$s'"), where, id, known);
}

/* ---- building --------------------------------------------------------------------------- */

static gboolean
find_foreign(gpointer data, const VimgOssEntry *entry, GError **error)
{
    return throw_error(error, VIMG_ERROR_PROBE,
                       _("object '%s' lies there, and the id of an image storage does not"),
                       entry->key);
}

/* What lies below the prefix of a storage may be taken for its own. */
static gboolean
check_above(VimgEbsSite *site, const VimgPatience *patience, GError **error)
{
    const char *slash;

    for (slash = strchr(site->prefix, '/'); slash; slash = strchr(slash + 1, '/')) {
        g_autofree char *above = g_strndup(site->prefix, (gsize)(slash - site->prefix));
        g_autofree char *key = g_strconcat(above, "/id", NULL);
        g_auto(VimgOssObject) seen = {0};
        g_autoptr(GError) local = NULL;

        if (vimg_oss_head(site->oss, key, &seen, patience, &local))
            return throw_error(error, VIMG_ERROR_PROBE,
                               _("prefix '%1$s' lies below that of another storage, '%2$s'"),
                               site->prefix, above);
        if (!vimg_ebs_is_gone(local)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
make_id(VimgEbsSite *site, const VimgPatience *patience, GError **error)
{
    g_autofree char *key = g_strconcat(site->prefix, "/id", NULL);
    g_autofree char *id = g_uuid_string_random();
    g_autoptr(GPtrArray) metadata = vimg_ebs_metadata(id);
    VimgOssPut put = {.key = key,
                      .data = id,
                      .size = strlen(id),
                      .content_type = "text/plain",
                      .metadata = metadata,
                      .exclusive = TRUE};
    g_autoptr(GError) local = NULL;

    if (!check_above(site, patience, error) ||
        !vimg_ebs_each_object(site, "", find_foreign, NULL, patience, error))
        return FALSE;
    /* another host that builds the same is as good */
    if (vimg_oss_put(site->oss, &put, NULL, patience, &local) ||
        g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
build_at(VimgEbsSite *site, const VimgPluginPool *pool, guint32 flags, const VimgPatience *patience,
         GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *id = vimg_ebs_read_id(site, patience, &local);

    if (id && (flags & (VIMG_BUILD_NO_OVERWRITE | VIMG_BUILD_OVERWRITE)))
        return throw_error(error, VIMG_ERROR_POOL_BUILT, _("bucket '%s' has a storage already"),
                           pool->source_name);
    if (id)
        return check_id(id, pool->store_id, pool->source_name, error);
    if (!vimg_ebs_is_gone(local)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (pool->store_id && !(flags & VIMG_BUILD_OVERWRITE))
        return throw_error(
            error, VIMG_ERROR_DISCONNECTED,
            _("bucket '%1$s' has no storage below '%2$s' any more; pool-build --overwrite makes a new one"),
            pool->source_name, site->prefix);
    return make_id(site, patience, error);
}

gboolean
vimg_ebs_build(const VimgPluginPool *pool, guint32 build_flags, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_site_new(pool, error);
    VimgPatience patience = vimg_ebs_patience(job);

    return site && build_at(site, pool, build_flags, &patience, error);
}

/* ---- opening ---------------------------------------------------------------------------- */

static void
apply_limits(VimgEbsStore *store, const VimgPluginPool *pool)
{
    __atomic_store_n(&store->keep_deleted, pool->keep_deleted, __ATOMIC_RELAXED);
    __atomic_store_n(&store->keep_temporary, pool->keep_temporary, __ATOMIC_RELAXED);
    __atomic_store_n(&store->quota, pool->space_quota, __ATOMIC_RELAXED);
}

/* The storage is there, and the one we know. */
static gboolean
check_storage(const VimgEbsStore *store, VimgEbsSite *site, const VimgPatience *patience,
              GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *id = vimg_ebs_read_id(site, patience, &local);

    if (id)
        return check_id(id, store->store_id, vimg_oss_bucket(site->oss), error);
    if (vimg_ebs_is_gone(local))
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("bucket '%1$s' has no storage below '%2$s' any more"),
                           vimg_oss_bucket(site->oss), site->prefix);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* A timer. */
static void
look_after(gpointer data)
{
    OpenStore *opened = data;
    VimgEbsStore *store = &opened->store;
    g_autoptr(VimgEbsSite) site = NULL;
    g_autoptr(GError) error = NULL;
    VimgPatience patience = vimg_ebs_patience(NULL);

    if (opened->looks++ % PROBE_LOOKS != 0)
        return;
    site = vimg_ebs_store_site(store);
    if (check_storage(store, site, &patience, &error))
        vimg_ebs_replay(store, NULL, FALSE, NULL, NULL, NULL);
    else
        vimg_ebs_services->status(store->host, error);
}

/* Where nothing excludes others, two hosts may give one name away twice. */
static void
warn_of_versions(const VimgEbsSite *site, const VimgPluginPool *pool, const VimgPatience *patience)
{
    g_autoptr(GError) error = NULL;
    gboolean versions = FALSE;

    if (vimg_oss_is_s3(site->oss))
        vimg_ebs_warn("pool '%s': a storage that speaks S3 may let two hosts take one name; the "
                      "later image will be shown as an error",
                      pool->name);
    else if (!vimg_oss_has_versions(site->oss, &versions, patience, &error))
        vimg_ebs_warn("pool '%s': it cannot be told whether bucket '%s' keeps versions, where two "
                      "hosts may take one name: %s",
                      pool->name, pool->source_name, error->message);
    else if (versions)
        vimg_ebs_warn("pool '%s': bucket '%s' keeps versions, so two hosts may take one name; the "
                      "later image will be shown as an error",
                      pool->name, pool->source_name);
}

static OpenStore *
store_new(const VimgPluginPool *pool, VimgPluginHost *host, VimgEbsSite *site, GError **error)
{
    g_autofree char *writer = vimg_ebs_journal_host(pool->state_dir, error);
    OpenStore *opened;

    if (!writer)
        return NULL;
    opened = g_new0(OpenStore, 1);
    opened->store.host = host;
    opened->store.state_dir = g_strdup(pool->state_dir);
    opened->store.writer = g_steal_pointer(&writer);
    opened->store.site = vimg_ebs_site_ref(site);
    opened->store.busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    opened->store.known = g_hash_table_new(g_str_hash, g_str_equal);
    opened->store.later = g_hash_table_new(g_str_hash, g_str_equal);
    thread_must(pthread_mutex_init(&opened->store.lock, NULL));
    apply_limits(&opened->store, pool);
    return opened;
}

/* Returns: (transfer full) */
static char *
find_id(VimgEbsSite *site, const VimgPluginPool *pool, gboolean make, const VimgPatience *patience,
        GError **error)
{
    GError *local = NULL;
    g_autofree char *id = vimg_ebs_read_id(site, patience, &local);

    if (!id && vimg_ebs_is_gone(local)) {
        g_clear_error(&local);
        if (make && make_id(site, patience, &local))
            return vimg_ebs_read_id(site, patience, error);
        if (!local)
            throw_error(&local, VIMG_ERROR_DISCONNECTED,
                        _("bucket '%1$s' has no storage below '%2$s'; pool-build makes it"),
                        pool->source_name, site->prefix);
    }
    if (id && check_id(id, pool->store_id, pool->source_name, &local))
        return g_steal_pointer(&id);
    g_propagate_error(error, local);
    return NULL;
}

VimgEbsStore *
vimg_ebs_open(const VimgPluginPool *pool, guint32 open_flags, VimgPluginHost *host, GError **error)
{
    gboolean make = (open_flags & VIMG_OPEN_CREATE) && !pool->store_id;
    g_autoptr(VimgEbsSite) site = vimg_ebs_site_new(pool, error);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_autofree char *id = site ? find_id(site, pool, make, &patience, error) : NULL;
    OpenStore *opened = id ? store_new(pool, host, site, error) : NULL;

    if (!opened)
        return NULL;
    opened->store.store_id = g_steal_pointer(&id);
    warn_of_versions(site, pool, &patience);
    if (vimg_ebs_services && vimg_ebs_services->timer_add)
        opened->timer = vimg_ebs_services->timer_add(LOOK_SECONDS, look_after, opened);
    return &opened->store;
}

void
vimg_ebs_close(VimgEbsStore *store)
{
    OpenStore *opened = (OpenStore *)store;

    if (!store)
        return;
    __atomic_store_n(&store->closing, 1, __ATOMIC_RELAXED);
    if (opened->timer)
        vimg_ebs_services->timer_remove(opened->timer);
    vimg_ebs_site_unref(store->site);
    g_hash_table_unref(store->busy);
    g_hash_table_unref(store->known);
    g_hash_table_unref(store->later);
    pthread_mutex_destroy(&store->lock);
    g_free(store->store_id);
    g_free(store->state_dir);
    g_free(store->writer);
    g_free(opened);
}

/* ---- staying connected ------------------------------------------------------------------ */

static gboolean
renew_keys(VimgEbsSite *site, const VimgPluginPool *pool, GError **error)
{
    g_autoptr(VimgCredential) oss = vimg_ebs_credential(pool, FALSE, error);
    g_autoptr(VimgCredential) control =
        oss && site->control ? vimg_ebs_credential(pool, TRUE, error) : NULL;

    if (!oss || (site->control && !control))
        return FALSE;
    vimg_oss_set_credential(site->oss, oss);
    if (control)
        vimg_control_set_credential(site->control, control);
    return TRUE;
}

gboolean
vimg_ebs_update(VimgEbsStore *store, const VimgPluginPool *pool, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    g_autofree char *origin = vimg_ebs_origin(pool);
    VimgPatience patience = vimg_ebs_patience(NULL);

    apply_limits(store, pool);
    if (strcmp(origin, site->origin) == 0 && vimg_ebs_site_is_here(site, pool))
        return renew_keys(site, pool, error);
    vimg_ebs_site_unref(site);
    site = vimg_ebs_site_new(pool, error);
    if (!site || !check_storage(store, site, &patience, error))
        return FALSE;
    {
        VimgEbsSite *former;
        LOCK_GUARD(&store->lock);

        former = store->site;
        store->site = site;
        site = former;
    }
    return TRUE;
}

gboolean
vimg_ebs_probe(VimgEbsStore *store, VimgPluginStore *out, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    guint64 quota = __atomic_load_n(&store->quota, __ATOMIC_RELAXED);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_autoptr(GHashTable) unreadable = vimg_ebs_unreadable_new();
    g_autoptr(GPtrArray) records = NULL;

    if (!check_storage(store, site, &patience, error))
        return FALSE;
    records = vimg_ebs_list_records(store, site, unreadable, &patience, error);
    if (!records)
        return FALSE;
    {
        LOCK_GUARD(&store->lock);

        out->allocation = store->stored;
    }
    out->capacity = quota > 0 ? quota : UNBOUNDED;
    out->available = out->capacity - MIN(out->capacity, out->allocation);
    out->store_id = g_strdup(store->store_id);
    return TRUE;
}

/* ---- removing --------------------------------------------------------------------------- */

gboolean
vimg_ebs_remove(const VimgPluginPool *pool, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_site_new(pool, error);
    VimgPatience patience = vimg_ebs_patience(job);
    g_autofree char *id = site ? find_id(site, pool, FALSE, &patience, error) : NULL;
    OpenStore *opened = id ? store_new(pool, NULL, site, error) : NULL;
    gboolean ok = opened && vimg_ebs_remove_all(&opened->store, job, error);

    vimg_ebs_close(opened ? &opened->store : NULL);
    return ok;
}
