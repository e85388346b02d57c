/*
 * handlers-export.c: procedures of virtimage's own program that export images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/client.h"
#include "rpc/handlers.h"

static void
info_to_wire(VimgExportInfo *info, vimg_control_export *wire)
{
    wire->id = g_steal_pointer(&info->id);
    wire->pool = g_steal_pointer(&info->pool);
    wire->volume = g_steal_pointer(&info->image);
    wire->uuid = g_steal_pointer(&info->image_uuid);
    wire->file = g_steal_pointer(&info->file);
    wire->format = g_steal_pointer(&info->format);
    wire->compress = info->compress;
    wire->direct = info->direct;
    wire->size = info->size;
    wire->created = info->created;
    wire->expires = info->expires;
    wire->state = g_strdup(info->state);
    wire->sha256 = vimg_optional_to_wire(&info->sha256);
}

gboolean
vimg_handle_export_create(VimgCall *call, GError **error)
{
    const vimg_control_export_args *args = call->args;
    vimg_control_export_ret *ret = call->ret;
    const VimgExportRequest request = {.image = args->volume,
                                       .format = vimg_optional_from_wire(args->format),
                                       .lifetime = args->lifetime,
                                       .compress = args->compress != 0,
                                       .direct = args->direct != 0};
    g_autoptr(VimgExportInfo) info = NULL;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    info = vimg_model_export_create(call->model, &pool, &request, &ret->url, error);
    if (!info)
        return FALSE;
    info_to_wire(info, &ret->entry);
    return TRUE;
}

gboolean
vimg_handle_export_list(VimgCall *call, GError **error)
{
    const vimg_control_exports_args *args = call->args;
    vimg_control_exports_ret *ret = call->ret;
    g_autoptr(GPtrArray) entries = NULL;

    if (!vimg_check_page(args->max, error))
        return FALSE;
    entries = vimg_model_export_list(call->model, vimg_optional_from_wire(args->after), args->max);
    ret->entries.entries_val = g_new0(vimg_control_export, entries->len);
    ret->entries.entries_len = entries->len;
    for (guint i = 0; i < entries->len; i++)
        info_to_wire(entries->pdata[i], &ret->entries.entries_val[i]);
    return TRUE;
}

gboolean
vimg_handle_export_revoke(VimgCall *call, GError **error)
{
    const vimg_control_revoke_args *args = call->args;

    return vimg_model_export_revoke(call->model, args->id, error);
}

gboolean
vimg_handle_nbd_start(VimgCall *call, GError **error)
{
    const vimg_control_volume_args *args = call->args;
    vimg_control_nbd_ret *ret = call->ret;
    g_autoptr(VimgExportInfo) info = NULL;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    info = vimg_model_nbd_start(call->model, &pool, args->volume, vimg_client_uid(call->client),
                                &ret->socket, error);
    if (!info)
        return FALSE;
    info_to_wire(info, &ret->entry);
    return TRUE;
}

gboolean
vimg_handle_nbd_stop(VimgCall *call, GError **error)
{
    const vimg_control_revoke_args *args = call->args;

    return vimg_model_nbd_stop(call->model, args->id, error);
}
