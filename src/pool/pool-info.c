/*
 * pool-info.c: what can be said of pools without asking a storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/model-private.h"
#include "util/i18n.h"

static void
fill_id(VimgPool *pool, VimgPoolId *out)
{
    out->name = g_strdup(vimg_pool_name(pool));
    memcpy(out->uuid, pool->uuid, sizeof(out->uuid));
}

/* ---- lists ------------------------------------------------------------------------------ */

#define TYPES                                                                                      \
    (VIR_CONNECT_LIST_STORAGE_POOLS_DIR | VIR_CONNECT_LIST_STORAGE_POOLS_FS |                      \
     VIR_CONNECT_LIST_STORAGE_POOLS_NETFS | VIR_CONNECT_LIST_STORAGE_POOLS_LOGICAL |               \
     VIR_CONNECT_LIST_STORAGE_POOLS_DISK | VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI |                  \
     VIR_CONNECT_LIST_STORAGE_POOLS_SCSI | VIR_CONNECT_LIST_STORAGE_POOLS_MPATH |                  \
     VIR_CONNECT_LIST_STORAGE_POOLS_RBD | VIR_CONNECT_LIST_STORAGE_POOLS_SHEEPDOG |                \
     VIR_CONNECT_LIST_STORAGE_POOLS_GLUSTER | VIR_CONNECT_LIST_STORAGE_POOLS_ZFS |                 \
     VIR_CONNECT_LIST_STORAGE_POOLS_VSTORAGE | VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI_DIRECT)

/* A group of two flags that say yes and no: none of them, or both, is no filter. */
static gboolean
matches(guint flags, guint yes, guint no, gboolean value)
{
    guint asked = flags & (yes | no);

    return !asked || (asked & (value ? yes : no));
}

static gboolean
is_listed(VimgPool *pool, guint flags)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return matches(flags, VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE,
                   VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE, pool->active) &&
           matches(flags, VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT,
                   VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT, pool->persistent) &&
           matches(flags, VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART,
                   VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART, pool->autostart);
}

GPtrArray *
vimg_model_pool_list(VimgModel *model, guint flags)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_id_free);
    g_autoptr(GPtrArray) pools = NULL;
    guint i;

    if (flags & TYPES) /* all of them types of libvirt's own */
        return list;
    pools = vimg_registry_list(model);
    for (i = 0; i < pools->len; i++) {
        VimgPool *pool = g_ptr_array_index(pools, i);
        VimgPoolId *id;

        if (!is_listed(pool, flags))
            continue;
        id = g_new0(VimgPoolId, 1);
        fill_id(pool, id);
        g_ptr_array_add(list, id);
    }
    return list;
}

/* ---- lookups ---------------------------------------------------------------------------- */

gboolean
vimg_model_pool_by_name(VimgModel *model, const char *name, VimgPoolId *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_by_name(model, name, error);

    if (!pool)
        return FALSE;
    fill_id(pool, out);
    return TRUE;
}

gboolean
vimg_model_pool_by_uuid(VimgModel *model, const guint8 *uuid, VimgPoolId *out, GError **error)
{
    VimgPoolId id = {0};
    g_autoptr(VimgPool) pool = NULL;

    memcpy(id.uuid, uuid, sizeof(id.uuid));
    pool = vimg_registry_get(model, &id, error);
    if (!pool)
        return FALSE;
    fill_id(pool, out);
    return TRUE;
}

gboolean
vimg_model_pool_by_volume(VimgModel *model, const VimgVolId *vol, VimgPoolId *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_by_name(model, vol->pool, error);

    if (!pool || !vimg_pool_check_active(pool, TRUE, N_("storage pool '%s' is not active"), error))
        return FALSE;
    fill_id(pool, out);
    return TRUE;
}

static gboolean
has_target(VimgPool *pool, const char *path)
{
    const char *dir;

    VIMG_LOCK_GUARD(&pool->lock);
    dir = pool->def->hosts->len > 0 ? NULL : vimg_pool_def_dir(pool->def);
    return pool->active && g_strcmp0(dir, path) == 0;
}

gboolean
vimg_model_pool_by_target_path(VimgModel *model, const char *path, VimgPoolId *out, GError **error)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    gsize length = strlen(path);
    g_autofree char *plain = NULL;
    guint i;

    while (length > 1 && path[length - 1] == '/')
        length--;
    plain = g_strndup(path, length);
    for (i = 0; i < pools->len; i++) {
        if (has_target(g_ptr_array_index(pools, i), plain)) {
            fill_id(g_ptr_array_index(pools, i), out);
            return TRUE;
        }
    }
    return vimg_throw(error, VIMG_ERROR_NO_POOL,
                      _("no storage pool with matching target path '%s'"), path);
}

/* ---- one pool --------------------------------------------------------------------------- */

/* virStoragePoolState; with the pool's lock held */
static guint8
state_of(const VimgPool *pool)
{
    if (pool->busy == VIMG_POOL_BUILDING)
        return VIR_STORAGE_POOL_BUILDING;
    if (!pool->active)
        return VIR_STORAGE_POOL_INACTIVE;
    return pool->status == VIMG_POOL_CONNECTED ? VIR_STORAGE_POOL_RUNNING
                                               : VIR_STORAGE_POOL_INACCESSIBLE;
}

gboolean
vimg_model_pool_info(VimgModel *model, const VimgPoolId *id, VimgPoolInfo *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);

    if (!pool)
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    out->state = state_of(pool);
    out->capacity = pool->sizes.capacity;
    out->allocation = pool->sizes.allocation;
    out->available = pool->sizes.available;
    return TRUE;
}

char *
vimg_model_pool_xml(VimgModel *model, const VimgPoolId *id, guint flags, GError **error)
{
    g_autoptr(VimgPool) pool = NULL;
    g_autoptr(VimgPoolDef) def = NULL;
    VimgPoolSizes sizes;

    if (!vimg_flags_check(flags, VIR_STORAGE_XML_INACTIVE, "virStoragePoolGetXMLDesc", error))
        return NULL;
    pool = vimg_registry_get(model, id, error);
    if (!pool)
        return NULL;
    vimg_mutex_lock(&pool->lock);
    def = vimg_pool_def_copy((flags & VIR_STORAGE_XML_INACTIVE) && pool->next_def ? pool->next_def
                                                                                  : pool->def);
    sizes = pool->sizes;
    vimg_mutex_unlock(&pool->lock);
    return vimg_pool_def_format(def, &sizes);
}

gboolean
vimg_model_pool_get_autostart(VimgModel *model, const VimgPoolId *id, gboolean *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);

    if (!pool)
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    *out = pool->autostart;
    return TRUE;
}

static gboolean
is_persistent(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->persistent;
}

static gboolean
has_file(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->persistent && !pool->gone;
}

/* Does not take the pool: it must work while that hangs in being started. */
gboolean
vimg_model_pool_set_autostart(VimgModel *model, const VimgPoolId *id, gboolean autostart,
                              GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);

    if (!pool)
        return FALSE;
    VIMG_LOCK_GUARD(&model->files_lock);
    if (!has_file(pool))
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "%s", _("pool has no config file"));
    if (!vimg_persist_autostart(pool, autostart, error))
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    pool->autostart = autostart;
    return TRUE;
}

gboolean
vimg_model_pool_is_active(VimgModel *model, const VimgPoolId *id, gboolean *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);

    if (!pool)
        return FALSE;
    VIMG_LOCK_GUARD(&pool->lock);
    *out = pool->active;
    return TRUE;
}

gboolean
vimg_model_pool_is_persistent(VimgModel *model, const VimgPoolId *id, gboolean *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);

    if (!pool)
        return FALSE;
    *out = is_persistent(pool);
    return TRUE;
}
