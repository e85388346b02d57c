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
