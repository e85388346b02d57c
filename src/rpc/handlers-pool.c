/*
 * handlers-pool.c: procedures of storage pools
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "rpc/handlers.h"
#include "util/i18n.h"

/* State, persistence, autostart, and libvirt's own types: a type of ours matches none of those. */
#define LIST_FLAGS                                                                                 \
    (VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE | VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE |             \
     VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT | VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT |        \
     VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART | VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART |      \
     VIR_CONNECT_LIST_STORAGE_POOLS_DIR | VIR_CONNECT_LIST_STORAGE_POOLS_FS |                      \
     VIR_CONNECT_LIST_STORAGE_POOLS_NETFS | VIR_CONNECT_LIST_STORAGE_POOLS_LOGICAL |               \
     VIR_CONNECT_LIST_STORAGE_POOLS_DISK | VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI |                  \
     VIR_CONNECT_LIST_STORAGE_POOLS_SCSI | VIR_CONNECT_LIST_STORAGE_POOLS_MPATH |                  \
     VIR_CONNECT_LIST_STORAGE_POOLS_RBD | VIR_CONNECT_LIST_STORAGE_POOLS_SHEEPDOG |                \
     VIR_CONNECT_LIST_STORAGE_POOLS_GLUSTER | VIR_CONNECT_LIST_STORAGE_POOLS_ZFS |                 \
     VIR_CONNECT_LIST_STORAGE_POOLS_VSTORAGE | VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI_DIRECT)

#define CREATE_FLAGS                                                                               \
    (VIR_STORAGE_POOL_CREATE_WITH_BUILD | VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE |           \
     VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE)

#define BUILD_FLAGS                                                                                \
    (VIR_STORAGE_POOL_BUILD_REPAIR | VIR_STORAGE_POOL_BUILD_RESIZE |                               \
     VIR_STORAGE_POOL_BUILD_NO_OVERWRITE | VIR_STORAGE_POOL_BUILD_OVERWRITE)

static const VimgFlagPair create_pairs[] = {
    VIMG_FLAG_PAIR(VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE,
                   VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE),
    {0},
};

static const VimgFlagPair build_pairs[] = {
    VIMG_FLAG_PAIR(VIR_STORAGE_POOL_BUILD_OVERWRITE, VIR_STORAGE_POOL_BUILD_NO_OVERWRITE),
    {0},
};

/* ---- lists ---------------------------------------------------------------------------------- */

static gboolean
count_pools(VimgCall *call, guint flags)
{
    vimg_remote_int *ret = call->ret;
    g_autoptr(GPtrArray) pools = vimg_model_pool_list(call->model, flags);

    ret->value = (int)pools->len;
    return TRUE;
}

static gboolean
name_pools(VimgCall *call, guint flags, GError **error)
{
    const vimg_remote_max_args *args = call->args;
    vimg_remote_names_ret *ret = call->ret;
    g_autoptr(GPtrArray) pools = NULL;
    guint n;

    if (!vimg_check_max(args->max, VIMG_REMOTE_LIST_MAX,
                        _("maxnames > REMOTE_STORAGE_POOL_LIST_MAX"), error))
        return FALSE;
    pools = vimg_model_pool_list(call->model, flags);
    n = MIN(pools->len, (guint)args->max);
    ret->names.names_val = g_new0(vimg_remote_text, n);
    ret->names.names_len = n;
    for (guint i = 0; i < n; i++) {
        VimgPoolId *id = pools->pdata[i];

        ret->names.names_val[i] = g_steal_pointer(&id->name);
    }
    return TRUE;
}

gboolean
vimg_handle_num_of_pools(VimgCall *call, GError **error)
{
    return count_pools(call, VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE);
}

gboolean
vimg_handle_list_pools(VimgCall *call, GError **error)
{
    return name_pools(call, VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE, error);
}

/* "Defined" is libvirt's old word for inactive. */
gboolean
vimg_handle_num_of_defined_pools(VimgCall *call, GError **error)
{
    return count_pools(call, VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE);
}

gboolean
vimg_handle_list_defined_pools(VimgCall *call, GError **error)
{
    return name_pools(call, VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE, error);
}

gboolean
vimg_handle_list_all_pools(VimgCall *call, GError **error)
{
    const vimg_remote_list_args *args = call->args;
    vimg_remote_pools_ret *ret = call->ret;
    g_autoptr(GPtrArray) pools = NULL;

    if (!vimg_call_check_flags(call, args->flags, LIST_FLAGS, error))
        return FALSE;
    pools = vimg_model_pool_list(call->model, args->flags);
    if (!vimg_check_count(pools->len, error))
        return FALSE;
    ret->count = pools->len;
    if (!args->need_results)
        return TRUE;
    ret->pools.pools_val = g_new0(vimg_remote_pool, pools->len);
    ret->pools.pools_len = pools->len;
    for (guint i = 0; i < pools->len; i++)
        vimg_pool_to_wire(pools->pdata[i], &ret->pools.pools_val[i]);
    return TRUE;
}

gboolean
vimg_handle_find_pool_sources(VimgCall *call, GError **error)
{
    const vimg_remote_find_sources_args *args = call->args;

    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    return vimg_string_to_wire(vimg_model_find_sources(call->model, args->type,
                                                       args->spec ? *args->spec : NULL, args->flags,
                                                       error),
                               call->ret);
}

gboolean
vimg_handle_pool_capabilities(VimgCall *call, GError **error)
{
    const vimg_remote_flags_args *args = call->args;

    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    return vimg_string_to_wire(vimg_model_pool_capabilities(call->model, error), call->ret);
}

/* ---- lookup --------------------------------------------------------------------------------- */

gboolean
vimg_handle_pool_lookup_by_name(VimgCall *call, GError **error)
{
    const vimg_remote_string *args = call->args;
    g_auto(VimgPoolId) id = {0};

    if (!vimg_model_pool_by_name(call->model, args->value, &id, error))
        return FALSE;
    vimg_pool_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_pool_lookup_by_uuid(VimgCall *call, GError **error)
{
    const vimg_remote_uuid_args *args = call->args;
    g_auto(VimgPoolId) id = {0};

    if (!vimg_model_pool_by_uuid(call->model, (const guint8 *)args->uuid, &id, error))
        return FALSE;
    vimg_pool_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_pool_lookup_by_volume(VimgCall *call, GError **error)
{
    g_auto(VimgPoolId) id = {0};
    VimgVolId vol;

    vimg_vol_from_wire(call->args, &vol);
    if (!vimg_model_pool_by_volume(call->model, &vol, &id, error))
        return FALSE;
    vimg_pool_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_pool_lookup_by_target_path(VimgCall *call, GError **error)
{
    const vimg_remote_string *args = call->args;
    g_auto(VimgPoolId) id = {0};

    if (!vimg_model_pool_by_target_path(call->model, args->value, &id, error))
        return FALSE;
    vimg_pool_to_wire(&id, call->ret);
    return TRUE;
}

/* ---- life ----------------------------------------------------------------------------------- */

gboolean
vimg_handle_pool_define_xml(VimgCall *call, GError **error)
{
    const vimg_remote_xml_args *args = call->args;
    g_auto(VimgPoolId) id = {0};

    if (!vimg_call_check_flags(call, args->flags, VIR_STORAGE_POOL_DEFINE_VALIDATE, error) ||
        !vimg_model_pool_define(call->model, args->xml, args->flags, &id, error))
        return FALSE;
    vimg_pool_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_pool_create_xml(VimgCall *call, GError **error)
{
    const vimg_remote_xml_args *args = call->args;
    g_auto(VimgPoolId) id = {0};

    if (!vimg_call_check_flags(call, args->flags, CREATE_FLAGS, error) ||
        !vimg_check_flag_pairs(args->flags, create_pairs, error) ||
        !vimg_model_pool_create_xml(call->model, args->xml, args->flags, &id, error))
        return FALSE;
    vimg_pool_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_pool_create(VimgCall *call, GError **error)
{
    const vimg_remote_pool_flags_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_call_check_flags(call, args->flags, CREATE_FLAGS, error) &&
           vimg_check_flag_pairs(args->flags, create_pairs, error) &&
           vimg_model_pool_create(call->model, &pool, args->flags, error);
}

gboolean
vimg_handle_pool_build(VimgCall *call, GError **error)
{
    const vimg_remote_pool_flags_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_call_check_flags(call, args->flags, BUILD_FLAGS, error) &&
           vimg_check_flag_pairs(args->flags, build_pairs, error) &&
           vimg_model_pool_build(call->model, &pool, args->flags, error);
}

gboolean
vimg_handle_pool_destroy(VimgCall *call, GError **error)
{
    VimgPoolId pool;

    vimg_pool_from_wire(call->args, &pool);
    return vimg_model_pool_destroy(call->model, &pool, error);
}

gboolean
vimg_handle_pool_delete(VimgCall *call, GError **error)
{
    const vimg_remote_pool_flags_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_call_check_flags(call, args->flags, VIR_STORAGE_POOL_DELETE_ZEROED, error) &&
           vimg_model_pool_delete(call->model, &pool, args->flags, error);
}

gboolean
vimg_handle_pool_undefine(VimgCall *call, GError **error)
{
    VimgPoolId pool;

    vimg_pool_from_wire(call->args, &pool);
    return vimg_model_pool_undefine(call->model, &pool, error);
}

gboolean
vimg_handle_pool_refresh(VimgCall *call, GError **error)
{
    const vimg_remote_pool_flags_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_call_check_flags(call, args->flags, 0, error) &&
           vimg_model_pool_refresh(call->model, &pool, args->flags, error);
}

/* ---- what is true of one -------------------------------------------------------------------- */

gboolean
vimg_handle_pool_get_info(VimgCall *call, GError **error)
{
    vimg_remote_pool_info *ret = call->ret;
    VimgPoolInfo info = {0};
    VimgPoolId pool;

    vimg_pool_from_wire(call->args, &pool);
    if (!vimg_model_pool_info(call->model, &pool, &info, error))
        return FALSE;
    ret->state = info.state;
    ret->capacity = info.capacity;
    ret->allocation = info.allocation;
    ret->available = info.available;
    return TRUE;
}

gboolean
vimg_handle_pool_get_xml_desc(VimgCall *call, GError **error)
{
    const vimg_remote_pool_flags_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_call_check_flags(call, args->flags, VIR_STORAGE_XML_INACTIVE, error))
        return FALSE;
    return vimg_string_to_wire(vimg_model_pool_xml(call->model, &pool, args->flags, error),
                               call->ret);
}

/* Args: a pool; ret: whether @ask says so. */
static gboolean
ask_pool(VimgCall *call,
         gboolean (*ask)(VimgModel *model, const VimgPoolId *pool, gboolean *out, GError **error),
         GError **error)
{
    vimg_remote_int *ret = call->ret;
    gboolean yes = FALSE;
    VimgPoolId pool;

    vimg_pool_from_wire(call->args, &pool);
    if (!ask(call->model, &pool, &yes, error))
        return FALSE;
    ret->value = yes ? 1 : 0;
    return TRUE;
}

gboolean
vimg_handle_pool_get_autostart(VimgCall *call, GError **error)
{
    return ask_pool(call, vimg_model_pool_get_autostart, error);
}

gboolean
vimg_handle_pool_is_active(VimgCall *call, GError **error)
{
    return ask_pool(call, vimg_model_pool_is_active, error);
}

gboolean
vimg_handle_pool_is_persistent(VimgCall *call, GError **error)
{
    return ask_pool(call, vimg_model_pool_is_persistent, error);
}

gboolean
vimg_handle_pool_set_autostart(VimgCall *call, GError **error)
{
    const vimg_remote_pool_autostart_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_pool_set_autostart(call->model, &pool, args->autostart != 0, error);
}
