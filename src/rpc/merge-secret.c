/*
 * merge-secret.c: secrets of both sides in one list
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/handlers.h"
#include "rpc/merge.h"

/* Whoever came as to the host's own daemon sees its secrets alone. */
static VimgSide
list_side(const VimgCall *call)
{
    return vimg_client_is_alias(call->client) ? VIMG_SIDE_HOST : VIMG_SIDE_BOTH;
}

static void
ask_secrets(guint32 flags, VimgQuestion *out)
{
    out->own.list = (vimg_remote_list_args){.need_results = 1, .flags = flags};
    out->procedure = VIMG_REMOTE_CONNECT_LIST_ALL_SECRETS;
    out->proc = (xdrproc_t)xdr_vimg_remote_list_args;
    out->args = &out->own.list;
}

static void
ask_same(const VimgCall *call, VimgQuestion *out)
{
    const vimg_remote_list_args *args = call->args;

    ask_secrets(args->flags, out);
}

static void
ask_all(const VimgCall *call, VimgQuestion *out)
{
    ask_secrets(0, out);
}

/* Drops those whose uuid one of ours has. */
static void
keep_seen(VimgCall *call, vimg_remote_secrets_ret *host)
{
    guint kept = 0;

    for (guint i = 0; i < host->secrets.secrets_len; i++) {
        vimg_remote_secret *secret = &host->secrets.secrets_val[i];
        g_auto(VimgSecretId) ours = {0};

        if (vimg_model_secret_by_uuid(call->model, (const guint8 *)secret->uuid, &ours, NULL)) {
            g_clear_pointer(&secret->usage_id, g_free);
        } else {
            vimg_remote_secret moved = *secret;

            secret->usage_id = NULL;
            host->secrets.secrets_val[kept++] = moved;
        }
    }
    host->secrets.secrets_len = kept;
}

static gboolean
add_secrets(VimgCall *call, gpointer data, GError **error)
{
    const vimg_remote_list_args *args = call->args;
    vimg_remote_secrets_ret *host = data;
    vimg_remote_secrets_ret *ret = call->ret;

    keep_seen(call, host);
    if (!vimg_check_count(ret->count + host->secrets.secrets_len, error))
        return FALSE;
    ret->count += host->secrets.secrets_len;
    if (!args->need_results)
        return TRUE;
    ret->secrets.secrets_val = vimg_merge_append(
        ret->secrets.secrets_val, ret->secrets.secrets_len, host->secrets.secrets_val,
        host->secrets.secrets_len, sizeof(vimg_remote_secret));
    ret->secrets.secrets_len += host->secrets.secrets_len;
    return TRUE;
}

static gboolean
add_count(VimgCall *call, gpointer data, GError **error)
{
    vimg_remote_secrets_ret *host = data;
    vimg_remote_int *ret = call->ret;

    keep_seen(call, host);
    ret->value += (int)host->secrets.secrets_len;
    return TRUE;
}

static gboolean
add_uuids(VimgCall *call, gpointer data, GError **error)
{
    const vimg_remote_max_args *args = call->args;
    vimg_remote_secrets_ret *host = data;
    vimg_remote_names_ret *ret = call->ret;
    guint n = ret->names.names_len;
    guint more;

    keep_seen(call, host);
    more = MIN((guint)args->max - n, host->secrets.secrets_len);
    ret->names.names_val = g_renew(vimg_remote_text, ret->names.names_val, n + more);
    for (guint i = 0; i < more; i++) {
        ret->names.names_val[n + i] = g_malloc(VIMG_UUID_TEXT_SIZE);
        vimg_uuid_format((const guint8 *)host->secrets.secrets_val[i].uuid,
                         ret->names.names_val[n + i]);
    }
    ret->names.names_len = n + more;
    return TRUE;
}

#define SECRETS(ASK)                                                                               \
    .side = list_side, .strict = TRUE, .ask = ASK,                                                 \
    .answer = (xdrproc_t)xdr_vimg_remote_secrets_ret,                                              \
    .answer_size = sizeof(vimg_remote_secrets_ret)

const VimgMerge vimg_merge_secrets = {SECRETS(ask_same), .after = add_secrets};
const VimgMerge vimg_merge_count_secrets = {SECRETS(ask_all), .after = add_count};
const VimgMerge vimg_merge_name_secrets = {SECRETS(ask_all), .after = add_uuids};
