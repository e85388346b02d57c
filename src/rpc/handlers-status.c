/*
 * handlers-status.c: what pools, images and jobs are and do, from memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"
#include "util/i18n.h"

static const char *
optional(const vimg_remote_optional_text text)
{
    return text ? *text : NULL;
}

static gboolean
answer_report(VimgCall *call, char *report)
{
    vimg_control_report *ret = call->ret;

    ret->value = report;
    return report != NULL;
}

gboolean
vimg_handle_status(VimgCall *call, GError **error)
{
    const vimg_control_status_args *args = call->args;

    return answer_report(call, vimg_model_status(call->model, optional(args->pool), error));
}

gboolean
vimg_handle_metrics(VimgCall *call, GError **error)
{
    return answer_report(call, vimg_model_metrics(call->model));
}

/* ---- images --------------------------------------------------------------------------------- */

gboolean
vimg_handle_volume_show(VimgCall *call, GError **error)
{
    const vimg_control_volume_args *args = call->args;
    VimgPoolId pool;

    vimg_pool_from_wire(&args->pool, &pool);
    return answer_report(call, vimg_model_volume_show(call->model, &pool, args->volume, error));
}

/* Returns: (transfer full) @text, which moves, on the wire. */
static vimg_remote_optional_text
to_optional(char **text)
{
    vimg_remote_optional_text wire;

    if (!*text)
        return NULL;
    wire = g_new(vimg_remote_text, 1);
    *wire = g_steal_pointer(text);
    return wire;
}

static void
volume_to_wire(VimgVolumeInfo *info, vimg_control_volume *wire)
{
    wire->uuid = g_steal_pointer(&info->uuid);
    wire->name = g_steal_pointer(&info->name);
    wire->state = g_strdup(info->state);
    wire->reason = to_optional(&info->reason);
    wire->format = to_optional(&info->format);
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
    if (args->max < 1 || args->max > VIMG_CONTROL_PAGE_MAX)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("a page holds 1 to %1$d entries, not %2$u"), VIMG_CONTROL_PAGE_MAX,
                          args->max);
    volumes = vimg_model_volume_page(call->model, &pool, optional(args->after), args->max, error);
    if (!volumes)
        return FALSE;
    ret->volumes.volumes_val = g_new0(vimg_control_volume, volumes->len);
    ret->volumes.volumes_len = volumes->len;
    for (guint i = 0; i < volumes->len; i++)
        volume_to_wire(volumes->pdata[i], &ret->volumes.volumes_val[i]);
    return TRUE;
}
