/*
 * handlers-vol.c: procedures of storage volumes, and the start of streams
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "rpc/handlers.h"
#include "util/i18n.h"

#define CREATE_FLAGS                                                                               \
    (VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA | VIR_STORAGE_VOL_CREATE_REFLINK |                   \
     VIR_STORAGE_VOL_CREATE_VALIDATE)

#define RESIZE_FLAGS                                                                               \
    (VIR_STORAGE_VOL_RESIZE_ALLOCATE | VIR_STORAGE_VOL_RESIZE_DELTA | VIR_STORAGE_VOL_RESIZE_SHRINK)

/* ---- lists ---------------------------------------------------------------------------------- */

gboolean
vimg_handle_pool_num_of_volumes(VimgCall *call, GError **error)
{
    vimg_remote_int *ret = call->ret;
    g_autoptr(GPtrArray) vols = NULL;
    VimgPoolId pool;

    vimg_pool_from_wire(call->args, &pool);
    vols = vimg_model_pool_volumes(call->model, &pool, error);
    if (!vols)
        return FALSE;
    ret->value = (int)vols->len;
    return TRUE;
}

gboolean
vimg_handle_pool_list_volumes(VimgCall *call, GError **error)
{
    const vimg_remote_pool_max_args *args = call->args;
    vimg_remote_names_ret *ret = call->ret;
    g_autoptr(GPtrArray) vols = NULL;
    VimgPoolId pool;
    guint n;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_check_max(args->max, VIMG_REMOTE_LIST_MAX,
                        _("maxnames > REMOTE_STORAGE_VOL_LIST_MAX"), error))
        return FALSE;
    vols = vimg_model_pool_volumes(call->model, &pool, error);
    if (!vols)
        return FALSE;
    n = MIN(vols->len, (guint)args->max);
    ret->names.names_val = g_new0(vimg_remote_text, n);
    ret->names.names_len = n;
    for (guint i = 0; i < n; i++) {
        VimgVolId *id = vols->pdata[i];

        ret->names.names_val[i] = g_steal_pointer(&id->name);
    }
    return TRUE;
}

gboolean
vimg_handle_pool_list_all_volumes(VimgCall *call, GError **error)
{
    const vimg_remote_pool_list_args *args = call->args;
    vimg_remote_vols_ret *ret = call->ret;
    g_autoptr(GPtrArray) vols = NULL;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    vols = vimg_model_pool_volumes(call->model, &pool, error);
    if (!vols || !vimg_check_count(vols->len, error))
        return FALSE;
    ret->count = vols->len;
    if (!args->need_results)
        return TRUE;
    ret->vols.vols_val = g_new0(vimg_remote_vol, vols->len);
    ret->vols.vols_len = vols->len;
    for (guint i = 0; i < vols->len; i++)
        vimg_vol_to_wire(vols->pdata[i], &ret->vols.vols_val[i]);
    return TRUE;
}

/* ---- lookup --------------------------------------------------------------------------------- */

gboolean
vimg_handle_vol_lookup_by_name(VimgCall *call, GError **error)
{
    const vimg_remote_pool_name_args *args = call->args;
    g_auto(VimgVolId) id = {0};
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_model_vol_by_name(call->model, &pool, args->name, &id, error))
        return FALSE;
    vimg_vol_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_vol_lookup_by_key(VimgCall *call, GError **error)
{
    const vimg_remote_string *args = call->args;
    g_auto(VimgVolId) id = {0};

    if (!vimg_model_vol_by_key(call->model, args->value, &id, error))
        return FALSE;
    vimg_vol_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_vol_lookup_by_path(VimgCall *call, GError **error)
{
    const vimg_remote_string *args = call->args;
    g_auto(VimgVolId) id = {0};

    if (!vimg_model_vol_by_path(call->model, args->value, &id, error))
        return FALSE;
    vimg_vol_to_wire(&id, call->ret);
    return TRUE;
}

/* ---- life ----------------------------------------------------------------------------------- */

gboolean
vimg_handle_vol_create_xml(VimgCall *call, GError **error)
{
    const vimg_remote_vol_create_args *args = call->args;
    g_auto(VimgVolId) id = {0};
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_call_check_flags(call, args->flags, CREATE_FLAGS, error) ||
        !vimg_model_vol_create(call->model, &pool, args->xml, args->flags, &id, error))
        return FALSE;
    vimg_vol_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_vol_create_xml_from(VimgCall *call, GError **error)
{
    const vimg_remote_vol_create_from_args *args = call->args;
    g_auto(VimgVolId) id = {0};
    VimgPoolId pool;
    VimgVolId source;

    vimg_pool_from_wire(&args->pool, &pool);
    vimg_vol_from_wire(&args->source, &source);
    if (!vimg_call_check_flags(call, args->flags, CREATE_FLAGS, error) ||
        !vimg_model_vol_clone(call->model, vimg_client_caller(call->client), &pool, args->xml,
                              &source, args->flags, &id, error))
        return FALSE;
    vimg_vol_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_vol_delete(VimgCall *call, GError **error)
{
    const vimg_remote_vol_flags_args *args = call->args;
    const guint known = VIR_STORAGE_VOL_DELETE_ZEROED | VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS;
    VimgVolId vol;

    vimg_vol_from_wire(&args->vol, &vol);
    return vimg_call_check_flags(call, args->flags, known, error) &&
           vimg_model_vol_delete(call->model, &vol, args->flags, error);
}

gboolean
vimg_handle_vol_wipe(VimgCall *call, GError **error)
{
    const vimg_remote_vol_flags_args *args = call->args;
    VimgVolId vol;

    vimg_vol_from_wire(&args->vol, &vol);
    return vimg_call_check_flags(call, args->flags, 0, error) &&
           vimg_model_vol_wipe(call->model, &vol, VIR_STORAGE_VOL_WIPE_ALG_ZERO, args->flags,
                               error);
}

gboolean
vimg_handle_vol_wipe_pattern(VimgCall *call, GError **error)
{
    const vimg_remote_vol_wipe_args *args = call->args;
    VimgVolId vol;

    vimg_vol_from_wire(&args->vol, &vol);
    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    if (args->algorithm > VIR_STORAGE_VOL_WIPE_ALG_TRIM)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("wiping algorithm %u not supported"),
                          args->algorithm);
    return vimg_model_vol_wipe(call->model, &vol, args->algorithm, args->flags, error);
}

gboolean
vimg_handle_vol_resize(VimgCall *call, GError **error)
{
    const vimg_remote_vol_resize_args *args = call->args;
    VimgVolId vol;

    vimg_vol_from_wire(&args->vol, &vol);
    return vimg_call_check_flags(call, args->flags, RESIZE_FLAGS, error) &&
           vimg_model_vol_resize(call->model, &vol, args->capacity, args->flags, error);
}

/* ---- what is true of one -------------------------------------------------------------------- */

static gboolean
fill_info(VimgCall *call, const vimg_remote_vol *wire, gboolean physical, GError **error)
{
    vimg_remote_vol_info *ret = call->ret;
    VimgVolInfo info = {0};
    VimgVolId vol;

    vimg_vol_from_wire(wire, &vol);
    if (!vimg_model_vol_info(call->model, &vol, &info, error))
        return FALSE;
    ret->type = (char)info.type;
    ret->capacity = info.capacity;
    ret->allocation = physical ? info.physical : info.allocation;
    return TRUE;
}

gboolean
vimg_handle_vol_get_info(VimgCall *call, GError **error)
{
    return fill_info(call, call->args, FALSE, error);
}

gboolean
vimg_handle_vol_get_info_flags(VimgCall *call, GError **error)
{
    const vimg_remote_vol_flags_args *args = call->args;

    if (!vimg_call_check_flags(call, args->flags, VIR_STORAGE_VOL_GET_PHYSICAL, error))
        return FALSE;
    return fill_info(call, &args->vol, (args->flags & VIR_STORAGE_VOL_GET_PHYSICAL) != 0, error);
}

gboolean
vimg_handle_vol_get_xml_desc(VimgCall *call, GError **error)
{
    const vimg_remote_vol_flags_args *args = call->args;
    VimgVolId vol;

    vimg_vol_from_wire(&args->vol, &vol);
    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    return vimg_string_to_wire(vimg_model_vol_xml(call->model, &vol, args->flags, error),
                               call->ret);
}

gboolean
vimg_handle_vol_get_path(VimgCall *call, GError **error)
{
    VimgVolId vol;

    vimg_vol_from_wire(call->args, &vol);
    return vimg_string_to_wire(vimg_model_vol_path(call->model, &vol, error), call->ret);
}

/* ---- streams -------------------------------------------------------------------------------- */

gboolean
vimg_handle_vol_upload(VimgCall *call, GError **error)
{
    const vimg_remote_vol_stream_args *args = call->args;
    VimgVolId vol;

    vimg_vol_from_wire(&args->vol, &vol);
    if (!vimg_call_check_flags(call, args->flags, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM, error))
        return FALSE;
    call->upload = TRUE;
    call->sparse = (args->flags & VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM) != 0;
    call->transfer =
        vimg_model_upload(call->model, &vol, args->offset, args->length, call->sparse, error);
    return call->transfer != NULL;
}

gboolean
vimg_handle_vol_download(VimgCall *call, GError **error)
{
    const vimg_remote_vol_stream_args *args = call->args;
    VimgVolId vol;

    vimg_vol_from_wire(&args->vol, &vol);
    if (!vimg_call_check_flags(call, args->flags, VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM, error))
        return FALSE;
    call->upload = FALSE;
    call->sparse = (args->flags & VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) != 0;
    call->transfer = vimg_model_download(call->model, &vol, args->offset, args->length, error);
    return call->transfer != NULL;
}
