/*
 * sync.c: the images of one pool in another one too
 *
 * All of it is one job of both pools.  An image that is there with the same content is left alone,
 * one that an earlier run left half done is gone on with, and whatever cannot be done of one image
 * is reported and keeps no other from being done.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/sync-private.h"
#include "util/i18n.h"
#include "util/log.h"

/* A storage that is lost meanwhile is waited for, in microseconds; looking whether to end. */
#define WAIT_MAX (300 * G_USEC_PER_SEC)
#define NAP (G_USEC_PER_SEC / 4)

typedef struct {
    char *name;
    char *uuid; /* NULL: there is no such image */
    char *parent;
    gint64 created;
    guint64 allocation;
    gboolean placed; /* behind its parent */
} Item;

static void
item_free(Item *item)
{
    g_free(item->name);
    g_free(item->uuid);
    g_free(item->parent);
    g_free(item);
}

static void
sync_clear(VimgSync *sync)
{
    vimg_use_clear(&sync->source);
    vimg_use_clear(&sync->use);
    vimg_pool_unref(sync->from);
    vimg_pool_unref(sync->to);
    g_free(sync->network);
    if (sync->items)
        g_ptr_array_unref(sync->items);
    vimg_sync_report_free(sync->report);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgSync, sync_clear)

/* ---- what there is to do ---------------------------------------------------------------- */

static gint
compare_items(gconstpointer a, gconstpointer b)
{
    const Item *x = *(const Item *const *)a;
    const Item *y = *(const Item *const *)b;

    if (x->created != y->created)
        return x->created < y->created ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void
add_item(VimgSync *sync, const char *name, const VimgPluginImage *image)
{
    Item *item = g_new0(Item, 1);

    item->name = g_strdup(name);
    if (image) {
        item->uuid = g_strdup(image->uuid);
        item->parent = g_strdup(image->parent);
        item->created = image->created;
        item->allocation = image->allocation;
    }
    sync->total += item->allocation;
    g_ptr_array_add(sync->items, item);
}

/* Parents before what was made of them, older ones before others. */
static void
order_items(VimgSync *sync)
{
    g_autoptr(GPtrArray) sorted = g_steal_pointer(&sync->items);
    g_autoptr(GHashTable) by_uuid = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) chain = g_ptr_array_new();
    guint i;

    sync->items = g_ptr_array_new_with_free_func((GDestroyNotify)item_free);
    g_ptr_array_sort(sorted, compare_items);
    for (i = 0; i < sorted->len; i++) {
        Item *item = g_ptr_array_index(sorted, i);

        if (item->uuid)
            g_hash_table_insert(by_uuid, item->uuid, item);
    }
    for (i = 0; i < sorted->len; i++) {
        Item *item = g_ptr_array_index(sorted, i);

        /* what a storage says may go round */
        for (; item && !item->placed;
             item = item->parent ? g_hash_table_lookup(by_uuid, item->parent) : NULL) {
            item->placed = TRUE;
            g_ptr_array_add(chain, item);
        }
        while (chain->len > 0)
            g_ptr_array_add(sync->items, g_ptr_array_steal_index(chain, chain->len - 1));
    }
    g_ptr_array_set_free_func(sorted, NULL);
}

/* One that is named is told of whatever its state; of all, those that are saving are not meant. */
static void
choose_images(VimgSync *sync)
{
    const VimgSyncRequest *request = sync->request;
    GHashTableIter iter;
    gpointer value;
    gsize i;

    sync->items = g_ptr_array_new_with_free_func((GDestroyNotify)item_free);
    vimg_mutex_lock(&sync->from->lock);
    for (i = 0; i < request->n_images; i++) {
        const VimgVolume *volume = vimg_cache_find(sync->from, request->images[i]);

        add_item(sync, request->images[i], volume ? &volume->image : NULL);
    }
    if (request->n_images == 0)
        g_hash_table_iter_init(&iter, sync->from->volumes);
    while (request->n_images == 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgPluginImage *image = &((VimgVolume *)value)->image;

        if (image->state != VIMG_IMAGE_SAVING)
            add_item(sync, image->name, image);
    }
    vimg_mutex_unlock(&sync->from->lock);
    order_items(sync);
}

/* ---- all images ------------------------------------------------------------------------- */

/* Nothing else can be done either. */
static gboolean
is_end(const GError *error)
{
    return vimg_error_is(error, VIMG_ERROR_ABORTED) ||
           vimg_error_is(error, VIMG_ERROR_DISCONNECTED);
}

static gboolean
check_cancelled(VimgSync *sync, GError **error)
{
    return !vimg_job_cancelled(sync->use.job) ||
           vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the synchronisation was cancelled"));
}

/* Whether @pool is lost but comes back by itself, perhaps soon. */
static gboolean
is_coming(const VimgPool *pool)
{
    return pool->active && pool->status != VIMG_POOL_CONNECTED &&
           (pool->status == VIMG_POOL_CONNECTING || pool->def->reconnect);
}

/* Until @pool has its storage, nobody looks for it, or all of it takes too long. */
static void
await_storage(VimgSync *sync, VimgPool *pool, gint64 deadline)
{
    VIMG_LOCK_GUARD(&pool->lock);
    while (is_coming(pool) && !vimg_job_cancelled(sync->use.job)) {
        gint64 now = g_get_monotonic_time();

        if (now >= deadline)
            return;
        vimg_cond_wait_until(&pool->changed, &pool->lock, MIN(deadline, now + NAP));
    }
}

/* A storage that was lost for a moment ends nothing: what was begun of the image is gone on with.
 */
static gboolean
sync_patiently(VimgSync *sync, const char *name, GError **error)
{
    GError *local = NULL;
    gint64 deadline;

    if (vimg_sync_image(sync, name, &local))
        return TRUE;
    if (!vimg_error_is(local, VIMG_ERROR_DISCONNECTED)) {
        g_propagate_error(error, local);
        return FALSE;
    }
    vimg_info("synchronisation of storage pool '%s' waits for a lost storage: %s",
              vimg_pool_name(sync->to), local->message);
    g_error_free(local);
    deadline = g_get_monotonic_time() + WAIT_MAX;
    await_storage(sync, sync->from, deadline);
    await_storage(sync, sync->to, deadline);
    return check_cancelled(sync, error) && vimg_sync_image(sync, name, error);
}

static gboolean
sync_images(VimgSync *sync, GError **error)
{
    for (sync->at = 0; sync->at < sync->items->len; sync->at++) {
        const Item *item = g_ptr_array_index(sync->items, sync->at);
        g_autofree char *phase = g_strdup_printf("image %u of %u", sync->at + 1, sync->items->len);
        g_autoptr(GError) local = NULL;

        if (!check_cancelled(sync, error))
            return FALSE;
        vimg_job_turn_to(sync->use.job, item->name);
        vimg_job_part(sync->use.job, phase, sync->done, sync->total);
        if (!sync_patiently(sync, item->name, &local)) {
            if (is_end(local)) {
                g_propagate_error(error, g_steal_pointer(&local));
                return FALSE;
            }
            vimg_sync_report_refused(sync->report, item->name, local);
        }
        sync->done += item->allocation;
    }
    vimg_job_turn_to(sync->use.job, NULL);
    vimg_job_part(sync->use.job, "finishing", sync->done, sync->total);
    return TRUE;
}

/* ---- what is missing at the source ------------------------------------------------------ */

static gboolean
collect_name(const VimgPluginImage *image, gpointer data)
{
    g_hash_table_add(data, g_strdup(image->name));
    return TRUE;
}

/* Returns: (transfer full) the names of all images at the source, or NULL with @error. */
static GHashTable *
list_source(VimgSync *sync, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(VimgUse) source = {0}; /* afresh: its storage may have been connected again */

    if (vimg_use_pool(sync->from, &source, error) &&
        vimg_store_list_whole(vimg_session_store(source.session), collect_name, names, error))
        return g_steal_pointer(&names);
    g_prefix_error(error, "%s: ", _("nothing is deleted, as the source cannot be listed whole"));
    return NULL;
}

/* Returns: (transfer full) what the image @uuid is called; NULL: there is none. */
static char *
name_of(VimgPool *pool, const char *uuid, char **key)
{
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    volume = g_hash_table_lookup(pool->by_image, uuid);
    *key = volume ? g_strdup(volume->key) : NULL;
    return volume ? g_strdup(volume->image.name) : NULL;
}

static gboolean
delete_image(VimgSync *sync, const char *name, const char *key, GHashTable *names, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgUse) use = {0};

    if (g_hash_table_contains(names, name))
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("volume '%1$s' is in storage pool '%2$s' too"), name,
                          vimg_pool_name(sync->from));
    if (!vimg_sync_hold(sync->to, name, key, VIMG_ACTION_DELETE, &use, error))
        return FALSE;
    vimg_use_image(&use, &image);
    if (image.state != VIMG_IMAGE_ACTIVE)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("volume '%s' is not complete: it is not deleted"), name);
    if (!vimg_store_remove_image(vimg_session_store(use.session), image.uuid, error)) {
        vimg_use_restat(&use);
        return FALSE;
    }
    vimg_use_removed(&use);
    vimg_sync_report_deleted(sync->report, &image);
    return TRUE;
}

/* Those that were named, as whoever asked for it was shown them; listed afresh, for hours passed.
 */
static gboolean
delete_images(VimgSync *sync, GError **error)
{
    const VimgSyncRequest *request = sync->request;
    g_autoptr(GError) unlisted = NULL;
    g_autoptr(GHashTable) names = request->n_deletes > 0 ? list_source(sync, &unlisted) : NULL;
    gsize i;

    for (i = 0; i < request->n_deletes; i++) {
        g_autofree char *key = NULL;
        g_autofree char *name = name_of(sync->to, request->deletes[i], &key);
        g_autoptr(GError) local = NULL;

        if (!check_cancelled(sync, error))
            return FALSE;
        if (!name || (names && delete_image(sync, name, key, names, &local)))
            continue;
        if (local && is_end(local)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        vimg_sync_report_refused(sync->report, name, names ? local : unlisted);
    }
    return TRUE;
}

/* ---- all of it -------------------------------------------------------------------------- */

static gboolean
begin(VimgSync *sync, GError **error)
{
    g_autoptr(VimgPoolDef) from = vimg_pool_copy_def(sync->from);
    g_autoptr(VimgPoolDef) to = vimg_pool_copy_def(sync->to);

    if (sync->from == sync->to)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("a storage pool cannot be synchronised with itself"));
    sync->network = g_strdup(to->sync_network ? to->sync_network : from->sync_network);
    sync->report = vimg_sync_report_new();
    if (!vimg_sync_check_enabled(sync->from, error) || !vimg_sync_check_enabled(sync->to, error) ||
        !vimg_use_pool(sync->from, &sync->source, error) ||
        !vimg_use_fill(sync->to, VIMG_SYNC_KIND, &sync->use, error))
        return FALSE;
    VIMG_LOCK_GUARD(&sync->from->lock);
    vimg_job_beside(sync->use.job, vimg_pool_name(sync->from));
    return TRUE;
}

/* What other hosts did there is seen now at the latest. */
static gboolean
look_again(VimgSync *sync, GError **error)
{
    g_autoptr(GHashTable) names = NULL;

    vimg_job_progress(sync->use.job, "listing", 0, 0);
    if (!vimg_cache_refresh(sync->from, sync->source.session, error)) {
        vimg_session_sizes(sync->source.session);
        return FALSE;
    }
    if (!vimg_cache_refresh(sync->to, sync->use.session, error))
        return FALSE;
    if (sync->request->n_deletes == 0)
        return TRUE;
    names = list_source(sync, error);
    return names != NULL;
}

static gboolean
run(VimgSync *sync, GError **error)
{
    if (!look_again(sync, error))
        return FALSE;
    choose_images(sync);
    return sync_images(sync, error) && delete_images(sync, error);
}

/* Sizes follow, then everyone may have it again, then the world hears of it. */
static void
end(VimgSync *sync)
{
    vimg_session_sizes(sync->use.session);
    vimg_model_keep(sync->model);
    vimg_use_clear(&sync->use);
    vimg_use_clear(&sync->source);
    vimg_model_emit_pool(sync->model, sync->to, VIMG_EVENT_POOL_REFRESH, 0);
    vimg_model_release(sync->model);
}

char *
vimg_model_pool_sync(VimgModel *model, const VimgPoolId *id, const VimgPoolId *source,
                     const VimgSyncRequest *request, GError **error)
{
    g_auto(VimgSync) sync = {.model = model, .request = request};
    GError *local = NULL;
    g_autofree char *sum = NULL;
    char *text = NULL;
    gboolean good;

    sync.to = vimg_registry_get(model, id, error);
    sync.from = sync.to ? vimg_registry_get(model, source, error) : NULL;
    if (!sync.from || !begin(&sync, error))
        return NULL;
    good = run(&sync, &local);
    sum = vimg_sync_report_sum(sync.report);
    if (good) {
        text = vimg_sync_report_format(sync.report, vimg_pool_name(sync.from),
                                       vimg_pool_name(sync.to));
        vimg_info("storage pool '%s' was synchronised with '%s': %s", vimg_pool_name(sync.to),
                  vimg_pool_name(sync.from), sum);
    } else {
        vimg_use_fail(&sync.use, &local);
        vimg_warning("synchronisation of storage pool '%s' with '%s' failed: %s; until then: %s",
                     vimg_pool_name(sync.to), vimg_pool_name(sync.from), local->message, sum);
        g_propagate_error(error, local);
    }
    end(&sync);
    return text;
}
