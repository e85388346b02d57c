/*
 * handlers-secret.c: procedures of secrets
 *
 * A value is in a decoded call and in a reply only, which are wiped for what their rows say.  Who
 * may see one is the model's decision (private ones: nobody).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/libvirt.h>

#include "rpc/handlers.h"
#include "util/i18n.h"

#define LIST_FLAGS                                                                                 \
    (VIR_CONNECT_LIST_SECRETS_EPHEMERAL | VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL |                  \
     VIR_CONNECT_LIST_SECRETS_PRIVATE | VIR_CONNECT_LIST_SECRETS_NO_PRIVATE)

/* ---- lists ---------------------------------------------------------------------------------- */

gboolean
vimg_handle_num_of_secrets(VimgCall *call, GError **error)
{
    vimg_remote_int *ret = call->ret;
    g_autoptr(GPtrArray) secrets = vimg_model_secret_list(call->model, 0);

    ret->value = (int)secrets->len;
    return TRUE;
}

gboolean
vimg_handle_list_secrets(VimgCall *call, GError **error)
{
    const vimg_remote_max_args *args = call->args;
    vimg_remote_names_ret *ret = call->ret;
    g_autoptr(GPtrArray) secrets = NULL;
    guint n;

    if (!vimg_check_max(args->max, VIMG_REMOTE_LIST_MAX, _("maxuuids > REMOTE_SECRET_LIST_MAX"),
                        error))
        return FALSE;
    secrets = vimg_model_secret_list(call->model, 0);
    n = MIN(secrets->len, (guint)args->max);
    ret->names.names_val = g_new0(vimg_remote_text, n);
    ret->names.names_len = n;
    for (guint i = 0; i < n; i++) {
        const VimgSecretId *id = secrets->pdata[i];

        ret->names.names_val[i] = g_malloc(VIMG_UUID_TEXT_SIZE);
        vimg_uuid_format(id->uuid, ret->names.names_val[i]);
    }
    return TRUE;
}

gboolean
vimg_handle_list_all_secrets(VimgCall *call, GError **error)
{
    const vimg_remote_list_args *args = call->args;
    vimg_remote_secrets_ret *ret = call->ret;
    g_autoptr(GPtrArray) secrets = NULL;

    if (!vimg_call_check_flags(call, args->flags, LIST_FLAGS, error))
        return FALSE;
    secrets = vimg_model_secret_list(call->model, args->flags);
    if (!vimg_check_count(secrets->len, error))
        return FALSE;
    ret->count = secrets->len;
    if (!args->need_results)
        return TRUE;
    ret->secrets.secrets_val = g_new0(vimg_remote_secret, secrets->len);
    ret->secrets.secrets_len = secrets->len;
    for (guint i = 0; i < secrets->len; i++)
        vimg_secret_to_wire(secrets->pdata[i], &ret->secrets.secrets_val[i]);
    return TRUE;
}

/* ---- one secret ----------------------------------------------------------------------------- */

gboolean
vimg_handle_secret_lookup_by_uuid(VimgCall *call, GError **error)
{
    const vimg_remote_uuid_args *args = call->args;
    g_auto(VimgSecretId) id = {0};

    if (!vimg_model_secret_by_uuid(call->model, (const guint8 *)args->uuid, &id, error))
        return FALSE;
    vimg_secret_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_secret_lookup_by_usage(VimgCall *call, GError **error)
{
    const vimg_remote_secret_usage_args *args = call->args;
    g_auto(VimgSecretId) id = {0};

    if (!vimg_model_secret_by_usage(call->model, args->usage_type, args->usage_id, &id, error))
        return FALSE;
    vimg_secret_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_secret_define_xml(VimgCall *call, GError **error)
{
    const vimg_remote_xml_args *args = call->args;
    g_auto(VimgSecretId) id = {0};

    if (!vimg_call_check_flags(call, args->flags, VIR_SECRET_DEFINE_VALIDATE, error) ||
        !vimg_model_secret_define(call->model, args->xml, args->flags, &id, error))
        return FALSE;
    vimg_secret_to_wire(&id, call->ret);
    return TRUE;
}

gboolean
vimg_handle_secret_get_xml_desc(VimgCall *call, GError **error)
{
    const vimg_remote_secret_flags_args *args = call->args;

    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    return vimg_string_to_wire(
        vimg_model_secret_xml(call->model, (const guint8 *)args->secret.uuid, error), call->ret);
}

gboolean
vimg_handle_secret_set_value(VimgCall *call, GError **error)
{
    const vimg_remote_secret_set_args *args = call->args;

    return vimg_call_check_flags(call, args->flags, 0, error) &&
           vimg_model_secret_set_value(call->model, (const guint8 *)args->secret.uuid,
                                       args->value.value_val, args->value.value_len, error);
}

gboolean
vimg_handle_secret_get_value(VimgCall *call, GError **error)
{
    const vimg_remote_secret_flags_args *args = call->args;
    vimg_remote_secret_value_ret *ret = call->ret;
    VimgBuffer *value;

    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    value = vimg_model_secret_get_value(call->model, (const guint8 *)args->secret.uuid, error);
    if (!value)
        return FALSE;
    ret->value.value_val = g_memdup2(value->data, value->size);
    ret->value.value_len = (u_int)value->size;
    vimg_secret_value_free(value);
    return TRUE;
}

gboolean
vimg_handle_secret_undefine(VimgCall *call, GError **error)
{
    const vimg_remote_secret *args = call->args;

    return vimg_model_secret_undefine(call->model, (const guint8 *)args->uuid, error);
}
