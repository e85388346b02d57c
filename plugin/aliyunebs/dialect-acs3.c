/*
 * dialect-acs3.c: the newer form of the ECS API, signed by ACS3-HMAC-SHA256
 *
 * Parameters go in the query; what is called, when and by whom in headers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "dialect.h"
#include "sign.h"

#define ALGORITHM "ACS3-HMAC-SHA256"

static gboolean
is_signed(const char *name, const VimgSigning *signing)
{
    return g_str_has_prefix(name, "x-acs-") || strcmp(name, "host") == 0 ||
           strcmp(name, "content-type") == 0;
}

static void
authorize(const VimgCredential *credential, VimgCall *call, const char *query, const char *digest)
{
    VimgSigning signing = {.headers = call->headers};
    g_autoptr(GPtrArray) headers = vimg_sign_headers(&signing, is_signed);
    g_autofree char *names = vimg_sign_names(headers);
    g_autofree char *lines = vimg_sign_lines(headers);
    g_autofree char *request =
        g_strjoin("\n", "POST", call->path, query, lines, names, digest, NULL);
    g_autofree char *hash = vimg_sha256_hex(request, strlen(request));
    g_autofree char *text = g_strconcat(ALGORITHM "\n", hash, NULL);
    g_autofree char *signature = NULL;
    g_autofree char *value = NULL;
    guint8 mac[EVP_MAX_MD_SIZE];
    gsize n = vimg_hmac(EVP_sha256(), credential->secret, credential->size, text, mac);

    signature = vimg_hex(mac, n);
    value = g_strdup_printf(ALGORITHM " Credential=%s,SignedHeaders=%s,Signature=%s",
                            credential->id, names, signature);
    vimg_pairs_add(call->headers, "Authorization", value);
}

static void
prepare(const VimgCredential *credential, VimgCall *call)
{
    g_autofree char *time = vimg_sign_date(call->now, "%Y-%m-%dT%H:%M:%SZ");
    g_autofree char *query = vimg_pairs_encode(call->parameters, "=");
    g_autofree char *digest = vimg_sha256_hex("", 0);

    call->headers = vimg_pairs_new();
    vimg_pairs_add(call->headers, "Host", call->host);
    vimg_pairs_add(call->headers, "x-acs-action", call->action);
    vimg_pairs_add(call->headers, "x-acs-version", call->version);
    vimg_pairs_add(call->headers, "x-acs-date", time);
    vimg_pairs_add(call->headers, "x-acs-signature-nonce", call->nonce);
    vimg_pairs_add(call->headers, "x-acs-content-sha256", digest);
    if (credential->token)
        vimg_pairs_add(call->headers, "x-acs-security-token", credential->token);
    authorize(credential, call, query, digest);
    call->target = g_strconcat(call->url, *query ? "?" : "", query, NULL);
}

const VimgDialect vimg_dialect_acs3 = {.name = "ecs-acs3", .prepare = prepare};
