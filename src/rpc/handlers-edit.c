/*
 * handlers-edit.c: procedures of virtimage's own program that edit pools and zones
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"

gboolean
vimg_handle_pool_enable(VimgCall *call, GError **error)
{
    const vimg_control_enable_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_pool_enable(call->model, &pool, args->enabled != 0, error);
}

gboolean
vimg_handle_pool_describe(VimgCall *call, GError **error)
{
    const vimg_control_describe_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_pool_describe(call->model, &pool,
                                    args->description ? *args->description : NULL, error);
}

gboolean
vimg_handle_pool_rename(VimgCall *call, GError **error)
{
    const vimg_control_rename_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_pool_rename(call->model, &pool, args->name, error);
}

gboolean
vimg_handle_host_key_accept(VimgCall *call, GError **error)
{
    const vimg_control_host_key_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_host_key_accept(call->model, &pool, args->fingerprint, error);
}

gboolean
vimg_handle_zone_list(VimgCall *call, GError **error)
{
    vimg_control_report *ret = call->ret;

    ret->value = vimg_model_zone_list(call->model);
    return TRUE;
}

gboolean
vimg_handle_zone_attach(VimgCall *call, GError **error)
{
    const vimg_control_zone_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_zone_attach(call->model, &pool, args->zone, error);
}

gboolean
vimg_handle_zone_detach(VimgCall *call, GError **error)
{
    const vimg_control_zone_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_model_zone_detach(call->model, &pool, args->zone, error);
}

gboolean
vimg_handle_zone_delete(VimgCall *call, GError **error)
{
    const vimg_control_zone_delete_args *args = call->args;

    return vimg_model_zone_delete(call->model, args->zone,
                                  (const char *const *)args->uuids.uuids_val, args->uuids.uuids_len,
                                  error);
}
