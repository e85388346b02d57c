/*
 * sign-s3.c: AWS4-HMAC-SHA256, the signature of storages that speak S3
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "sign.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

static gboolean
is_signed(const char *name, const VimgSigning *signing)
{
    return g_str_has_prefix(name, "x-amz-") || strcmp(name, "host") == 0 ||
           strcmp(name, "content-type") == 0 || strcmp(name, "content-md5") == 0 ||
           strcmp(name, "range") == 0;
}

void
vimg_sign_s3(const VimgCredential *credential, const VimgSigning *signing)
{
    g_autofree char *time = vimg_sign_date(signing->now, "%Y%m%dT%H%M%SZ");
    g_autofree char *day = g_strndup(time, 8);
    const char *parts[] = {day, signing->region, "s3", "aws4_request", NULL};
    g_autofree char *scope = g_strjoinv("/", (char **)parts);
    g_autofree char *query = vimg_pairs_encode(signing->query, "=");
    g_autoptr(GPtrArray) headers = NULL;
    g_autofree char *names = NULL;
    g_autofree char *lines = NULL;
    g_autofree char *request = NULL;
    g_autofree char *digest = NULL;
    g_autofree char *text = NULL;
    g_autofree char *signature = NULL;
    g_autofree char *value = NULL;

    vimg_pairs_add(signing->headers, "x-amz-date", time);
    /* of the body the TLS and Content-MD5 take care: it may be long, and is read once */
    if (!vimg_pairs_get(signing->headers, "x-amz-content-sha256"))
        vimg_pairs_add(signing->headers, "x-amz-content-sha256", VIMG_UNSIGNED_PAYLOAD);
    if (credential->token)
        vimg_pairs_add(signing->headers, "x-amz-security-token", credential->token);
    headers = vimg_sign_headers(signing, is_signed);
    names = vimg_sign_names(headers);
    lines = vimg_sign_lines(headers);
    request = g_strjoin("\n", signing->method, signing->path, query, lines, names,
                        vimg_pairs_get(signing->headers, "x-amz-content-sha256"), NULL);
    digest = vimg_sha256_hex(request, strlen(request));
    text = g_strjoin("\n", ALGORITHM, time, scope, digest, NULL);
    signature = vimg_sign_chain("AWS4", credential, parts, text);
    value = g_strdup_printf(ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                            credential->id, scope, names, signature);
    vimg_pairs_add(signing->headers, "Authorization", value);
}
