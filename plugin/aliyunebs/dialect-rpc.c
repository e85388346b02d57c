/*
 * dialect-rpc.c: the RPC form of the ECS API, signed by HMAC-SHA1
 *
 * Parameters go as a form, its path is not signed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "dialect.h"
#include "sign.h"

char *
vimg_rpc_signature(const VimgCredential *credential, const char *method,
                   const GPtrArray *parameters)
{
    g_autofree char *query = vimg_pairs_encode(parameters, "=");
    g_autofree char *again = g_uri_escape_string(query, NULL, FALSE);
    g_autofree char *text = g_strconcat(method, "&%2F&", again, NULL);
    guint8 *key = g_malloc(credential->size + 1);
    guint8 mac[EVP_MAX_MD_SIZE];
    gsize n;

    memcpy(key, credential->secret, credential->size);
    key[credential->size] = '&';
    n = vimg_hmac(EVP_sha1(), key, credential->size + 1, text, mac);
    explicit_bzero(key, credential->size);
    g_free(key);
    return g_base64_encode(mac, n);
}

static void
prepare(const VimgCredential *credential, VimgCall *call)
{
    g_autofree char *time = vimg_sign_date(call->now, "%Y-%m-%dT%H:%M:%SZ");
    g_autoptr(GPtrArray) all = vimg_pairs_sorted(call->parameters);
    g_autofree char *signature = NULL;

    vimg_pairs_add(all, "Action", call->action);
    vimg_pairs_add(all, "Version", call->version);
    vimg_pairs_add(all, "Format", "JSON");
    vimg_pairs_add(all, "AccessKeyId", credential->id);
    vimg_pairs_add(all, "SignatureMethod", "HMAC-SHA1");
    vimg_pairs_add(all, "SignatureVersion", "1.0");
    vimg_pairs_add(all, "SignatureNonce", call->nonce);
    vimg_pairs_add(all, "Timestamp", time);
    if (credential->token)
        vimg_pairs_add(all, "SecurityToken", credential->token);
    signature = vimg_rpc_signature(credential, "POST", all);
    vimg_pairs_add(all, "Signature", signature);
    call->body = vimg_pairs_encode(all, "=");
    call->target = g_strdup(call->url);
    call->headers = vimg_pairs_new();
    vimg_pairs_add(call->headers, "Content-Type", "application/x-www-form-urlencoded");
}

const VimgDialect vimg_dialect_rpc = {.name = "ecs-rpc", .prepare = prepare};
