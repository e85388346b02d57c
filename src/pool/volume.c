/*
 * volume.c: what can be said of volumes without asking a storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/model-private.h"
#include "util/i18n.h"

/* With the pool's lock held. */
static void
fill_id(VimgPool *pool, VimgVolume *volume, VimgVolId *out)
{
    out->pool = g_strdup(vimg_pool_name(pool));
    out->name = g_strdup(volume->image.name);
    out->key = g_strdup(volume->key);
}

/* The path of any volume, but for its name. */
static char *
path_prefix(const VimgPool *pool)
{
    return g_strdup_printf("%s://%s/", pool->def->type,
                           pool->location ? pool->location : vimg_pool_name(pool));
}

char *
vimg_volume_path(const VimgPool *pool, const VimgVolume *volume)
{
    g_autofree char *prefix = path_prefix(pool);

    return g_strconcat(prefix, volume->image.name, NULL);
}

/* ---- lists and lookups ------------------------------------------------------------------ */

static gint
compare_ids(gconstpointer a, gconstpointer b)
{
    const VimgVolId *const *left = a;
    const VimgVolId *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* With the pool's lock held. */
static GPtrArray *
list_volumes(VimgPool *pool)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_vol_id_free);
    GHashTableIter iter;
    gpointer volume;

    g_hash_table_iter_init(&iter, pool->volumes);
    while (list->len < VIMG_POOL_MAX_VOLUMES && g_hash_table_iter_next(&iter, NULL, &volume)) {
        VimgVolId *id = g_new0(VimgVolId, 1);

        fill_id(pool, volume, id);
        g_ptr_array_add(list, id);
    }
    return list;
}

static gboolean
throw_inactive(VimgPool *pool, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("storage pool '%s' is not active"),
                      vimg_pool_name(pool));
}

GPtrArray *
vimg_model_pool_volumes(VimgModel *model, const VimgPoolId *id, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    GPtrArray *list = NULL;

    if (!pool)
        return NULL;
    vimg_mutex_lock(&pool->lock);
    if (pool->active)
        list = list_volumes(pool);
    vimg_mutex_unlock(&pool->lock);
    if (list)
        g_ptr_array_sort(list, compare_ids);
    else
        throw_inactive(pool, error);
    return list;
}

gboolean
vimg_model_vol_by_name(VimgModel *model, const VimgPoolId *id, const char *name, VimgVolId *out,
                       GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    VimgVolume *volume;

    if (!pool)
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    if (!pool->active)
        return throw_inactive(pool, error);
    volume = vimg_cache_find(pool, name);
    if (!volume)
        return vimg_throw(error, VIMG_ERROR_NO_VOL, _("no storage vol with matching name '%s'"),
                          name);
    fill_id(pool, volume, out);
    return TRUE;
}

/* What is behind the prefix "TYPE:STOREID/" in @key; NULL: another storage's. */
static const char *
image_of_key(VimgPool *pool, const char *key)
{
    g_autofree char *prefix = g_strdup_printf("%s:%s/", pool->def->type, pool->store_id);

    return pool->store_id && g_str_has_prefix(key, prefix) ? key + strlen(prefix) : NULL;
}

static gboolean
pool_vol_by_key(VimgPool *pool, const char *key, VimgVolId *out)
{
    const char *uuid;
    VimgVolume *volume;

    VIMG_LOCK_GUARD(&pool->lock);
    uuid = pool->active ? image_of_key(pool, key) : NULL;
    volume = uuid ? g_hash_table_lookup(pool->by_image, uuid) : NULL;
    if (volume)
        fill_id(pool, volume, out);
    return volume != NULL;
}

gboolean
vimg_model_vol_by_key(VimgModel *model, const char *key, VimgVolId *out, GError **error)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    guint i;

    for (i = 0; i < pools->len; i++) {
        if (pool_vol_by_key(g_ptr_array_index(pools, i), key, out))
            return TRUE;
    }
    return vimg_throw(error, VIMG_ERROR_NO_VOL, _("no storage vol with matching key %s"), key);
}

static gboolean
pool_vol_by_path(VimgPool *pool, const char *path, VimgVolId *out)
{
    g_autofree char *prefix = NULL;
    VimgVolume *volume = NULL;

    VIMG_LOCK_GUARD(&pool->lock);
    prefix = path_prefix(pool);
    if (pool->active && g_str_has_prefix(path, prefix))
        volume = vimg_cache_find(pool, path + strlen(prefix));
    if (volume)
        fill_id(pool, volume, out);
    return volume != NULL;
}

gboolean
vimg_model_vol_by_path(VimgModel *model, const char *path, VimgVolId *out, GError **error)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    g_auto(VimgVolId) first = {0};
    guint i;

    /* storages apart may have places of the same name in them */
    for (i = 0; i < pools->len; i++) {
        g_auto(VimgVolId) found = {0};

        if (!pool_vol_by_path(g_ptr_array_index(pools, i), path, &found))
            continue;
        if (first.pool)
            return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                              _("path '%1$s' is in storage pools '%2$s' and '%3$s': name the pool"),
                              path, first.pool, found.pool);
        first = found;
        found = (VimgVolId){0};
    }
    if (!first.pool)
        return vimg_throw(error, VIMG_ERROR_NO_VOL, _("no storage vol with matching path '%s'"),
                          path);
    *out = first;
    first = (VimgVolId){0};
    return TRUE;
}

/* ---- one volume ------------------------------------------------------------------------- */

char *
vimg_model_vol_path(VimgModel *model, const VimgVolId *vol, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgVolume) volume = vimg_vol_find(model, vol, &pool, error);

    if (!volume)
        return NULL;
    VIMG_LOCK_GUARD(&pool->lock);
    return vimg_volume_path(pool, volume);
}

char *
vimg_model_vol_xml(VimgModel *model, const VimgVolId *vol, guint flags, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgVolume) volume = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *path = NULL;
    VimgVolumeView view = {.image = &image};

    if (!vimg_flags_check(flags, 0, "virStorageVolGetXMLDesc", error))
        return NULL;
    volume = vimg_vol_find(model, vol, &pool, error);
    if (!volume)
        return NULL;
    vimg_mutex_lock(&pool->lock);
    vimg_image_copy(&image, &volume->image);
    path = vimg_volume_path(pool, volume);
    view.unique = volume->unique;
    view.shared = volume->shared;
    view.as_of = volume->as_of;
    vimg_mutex_unlock(&pool->lock);
    view.key = volume->key;
    view.path = path;
    return vimg_volume_format(&view);
}

gboolean
vimg_model_vol_info(VimgModel *model, const VimgVolId *vol, VimgVolInfo *out, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgVolume) volume = vimg_vol_find(model, vol, &pool, error);

    if (!volume)
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    out->type = VIR_STORAGE_VOL_NETWORK;
    out->capacity = volume->image.capacity;
    out->allocation = volume->image.allocation;
    out->physical = volume->image.physical;
    return TRUE;
}
