/*
 * handlers-sync.c: one pool synchronised with another
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"

gboolean
vimg_handle_pool_sync(VimgCall *call, GError **error)
{
    const vimg_control_sync_args *args = call->args;
    const VimgSyncRequest request = {
        .images = (const char *const *)args->images.images_val,
        .n_images = args->images.images_len,
        .deletes = (const char *const *)args->deletes.deletes_val,
        .n_deletes = args->deletes.deletes_len,
        .bandwidth = args->bandwidth,
    };
    VimgPoolId pool;
    VimgPoolId source;

    vimg_pool_from_wire(&args->pool, &pool);
    vimg_pool_from_wire(&args->source, &source);
    return vimg_answer_report(call,
                              vimg_model_pool_sync(call->model, &pool, &source, &request, error));
}
