/*
 * handlers-status.c: what pools, images and jobs are and do, from memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"

gboolean
vimg_handle_status(VimgCall *call, GError **error)
{
    const vimg_control_status_args *args = call->args;

    return vimg_answer_report(
        call, vimg_model_status(call->model, vimg_optional_from_wire(args->pool), error));
}

gboolean
vimg_handle_metrics(VimgCall *call, GError **error)
{
    return vimg_answer_report(call, vimg_model_metrics(call->model));
}

/* ---- images --------------------------------------------------------------------------------- */

gboolean
vimg_handle_volume_show(VimgCall *call, GError **error)
{
    const vimg_control_volume_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_answer_report(call,
                              vimg_model_volume_show(call->model, &pool, args->volume, error));
}

static void
volume_to_wire(VimgVolumeInfo *info, vimg_control_volume *wire)
{
    wire->uuid = g_steal_pointer(&info->uuid);
    wire->name = g_steal_pointer(&info->name);
    wire->state = g_strdup(info->state);
    wire->reason = vimg_optional_to_wire(&info->reason);
    wire->format = vimg_optional_to_wire(&info->format);
    wire->capacity = info->capacity;
    wire->allocation = info->allocation;
    wire->physical = info->physical;
    wire->created = info->created;
    wire->unique = info->unique;
    wire->shared = info->shared;
    wire->as_of = info->as_of;
}

gboolean
vimg_handle_volume_list(VimgCall *call, GError **error)
{
    const vimg_control_volumes_args *args = call->args;
    vimg_control_volumes_ret *ret = call->ret;
    g_autoptr(GPtrArray) volumes = NULL;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    if (!vimg_check_page(args->max, error))
        return FALSE;
    volumes = vimg_model_volume_page(call->model, &pool, vimg_optional_from_wire(args->after),
                                     args->max, error);
    if (!volumes)
        return FALSE;
    ret->volumes.volumes_val = g_new0(vimg_control_volume, volumes->len);
    ret->volumes.volumes_len = volumes->len;
    for (guint i = 0; i < volumes->len; i++)
        volume_to_wire(volumes->pdata[i], &ret->volumes.volumes_val[i]);
    return TRUE;
}
