/*
 * handlers-import.c: images that the daemon fetches itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"

static const char *
optional(const vimg_remote_optional_text text)
{
    return text ? *text : NULL;
}

gboolean
vimg_handle_volume_import(VimgCall *call, GError **error)
{
    const vimg_control_import_args *args = call->args;
    vimg_control_report *ret = call->ret;
    const VimgImportRequest request = {.name = args->volume,
                                       .url = args->url,
                                       .digest = optional(args->digest),
                                       .format = optional(args->format)};
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    ret->value = vimg_model_vol_import(call->model, &pool, &request, error);
    return ret->value != NULL;
}
