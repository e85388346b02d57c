/*
 * handlers-empty.c: what a connection without a hypervisor has none of
 *
 * Graphical clients ask every connection for domains, networks, interfaces, devices and filters,
 * and give up on one that cannot answer; an empty list is both true and enough.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"
#include "util/i18n.h"

/* The answer was zeroed by the caller, which is what an empty one looks like. */

gboolean
vimg_handle_none(VimgCall *call, GError **error)
{
    return TRUE;
}

gboolean
vimg_handle_list_none(VimgCall *call, GError **error)
{
    const vimg_remote_max_args *args = call->args;

    return vimg_check_max(args->max, VIMG_REMOTE_LIST_MAX, _("list maximum out of range"), error);
}

gboolean
vimg_handle_list_no_devices(VimgCall *call, GError **error)
{
    const vimg_remote_devices_args *args = call->args;

    return vimg_check_max(args->max, VIMG_REMOTE_DEVICES_MAX, _("list maximum out of range"),
                          error);
}
