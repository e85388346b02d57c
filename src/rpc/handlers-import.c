/*
 * handlers-import.c: images that the daemon fetches itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"

gboolean
vimg_handle_volume_import(VimgCall *call, GError **error)
{
    const vimg_control_import_args *args = call->args;
    const VimgImportRequest request = {.name = args->volume,
                                       .url = args->url,
                                       .digest = vimg_optional_from_wire(args->digest),
                                       .format = vimg_optional_from_wire(args->format)};
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return vimg_answer_report(call, vimg_model_vol_import(call->model, &pool, &request, error));
}
