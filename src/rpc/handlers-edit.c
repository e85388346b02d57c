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
