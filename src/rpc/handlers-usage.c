/*
 * handlers-usage.c: what is in a storage, and how it is reached
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"

gboolean
vimg_handle_pool_usage(VimgCall *call, GError **error)
{
    VimgPoolId pool;

    vimg_pool_from_wire(call->args, &pool);
    return vimg_answer_report(call, vimg_model_pool_usage(call->model, &pool, error));
}

gboolean
vimg_handle_vol_diff(VimgCall *call, GError **error)
{
    const vimg_control_diff_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_answer_report(call,
                              vimg_model_vol_diff(call->model, &pool, args->from, args->to, error));
}

gboolean
vimg_handle_vol_flatten(VimgCall *call, GError **error)
{
    const vimg_control_volume_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_answer_report(call,
                              vimg_model_vol_flatten(call->model, &pool, args->volume, error));
}

gboolean
vimg_handle_pool_doctor(VimgCall *call, GError **error)
{
    VimgPoolId pool;

    vimg_pool_from_wire(call->args, &pool);
    return vimg_answer_report(call, vimg_model_pool_doctor(call->model, &pool, error));
}
