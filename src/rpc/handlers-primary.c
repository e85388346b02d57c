/*
 * handlers-primary.c: the host's primary storage, as far as images meet it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/client.h"
#include "rpc/handlers.h"

gboolean
vimg_handle_match(VimgCall *call, GError **error)
{
    const vimg_control_status_args *args = call->args;

    return vimg_answer_report(call, vimg_model_match(call->model, vimg_client_caller(call->client),
                                                     vimg_optional_from_wire(args->pool), error));
}

gboolean
vimg_handle_vol_hold(VimgCall *call, GError **error)
{
    const vimg_control_moment_args *args = call->args;
    VimgVolId volume, source;

    vimg_vol_from_wire(&args->volume, &volume);
    vimg_vol_from_wire(&args->source, &source);
    return vimg_model_vol_hold(call->model, vimg_client_caller(call->client), &volume, &source,
                               error);
}

gboolean
vimg_handle_vol_fill(VimgCall *call, GError **error)
{
    const vimg_control_moment_args *args = call->args;
    VimgVolId volume, source;

    vimg_vol_from_wire(&args->volume, &volume);
    vimg_vol_from_wire(&args->source, &source);
    return vimg_answer_report(call,
                              vimg_model_vol_fill(call->model, vimg_client_caller(call->client),
                                                  &volume, &source, error));
}
