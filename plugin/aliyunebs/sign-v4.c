/*
 * sign-v4.c: OSS4-HMAC-SHA256, the signature that the service wants today
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "sign.h"

#define ALGORITHM "OSS4-HMAC-SHA256"

static gboolean
is_default(const char *name)
{
    return g_str_has_prefix(name, "x-oss-") || strcmp(name, "content-type") == 0 ||
           strcmp(name, "content-md5") == 0;
}

static gboolean
is_signed(const char *name, const VimgSigning *signing)
{
    return is_default(name) || (signing->additional && g_strv_contains(signing->additional, name));
}

/* "host;range": what is signed though it need not be. */
static char *
additional_names(const GPtrArray *headers)
{
    GString *names = g_string_new(NULL);
    guint i;

    for (i = 0; i < headers->len; i++) {
        const VimgPair *pair = g_ptr_array_index(headers, i);

        if (!is_default(pair->name))
            g_string_append_printf(names, "%s%s", names->len > 0 ? ";" : "", pair->name);
    }
    return g_string_free(names, FALSE);
}

/* The bucket is part of it, though it may be in the host alone. */
static char *
resource(const VimgSigning *signing)
{
    g_autofree char *plain = signing->bucket
                                 ? g_strconcat("/", signing->bucket, "/", signing->key, NULL)
                                 : g_strdup("/");

    return g_uri_escape_string(plain, "/", FALSE);
}

static char *
canonical(const VimgSigning *signing, const GPtrArray *headers, const char *names)
{
    g_autofree char *uri = resource(signing);
    g_autofree char *query = vimg_pairs_encode(signing->query, "");
    g_autofree char *lines = vimg_sign_lines(headers);

    return g_strjoin("\n", signing->method, uri, query, lines, names, VIMG_UNSIGNED_PAYLOAD, NULL);
}

void
vimg_sign_v4(const VimgCredential *credential, const VimgSigning *signing)
{
    const char *product = signing->product ? signing->product : "oss";
    g_autofree char *time = vimg_sign_date(signing->now, "%Y%m%dT%H%M%SZ");
    g_autofree char *day = g_strndup(time, 8);
    const char *parts[] = {day, signing->region, product, "aliyun_v4_request", NULL};
    g_autofree char *scope = g_strjoinv("/", (char **)parts);
    g_autoptr(GPtrArray) headers = NULL;
    g_autofree char *names = NULL;
    g_autofree char *request = NULL;
    g_autofree char *digest = NULL;
    g_autofree char *text = NULL;
    g_autofree char *signature = NULL;
    g_autofree char *value = NULL;

    vimg_pairs_add(signing->headers, "x-oss-date", time);
    vimg_pairs_add(signing->headers, "x-oss-content-sha256", VIMG_UNSIGNED_PAYLOAD);
    if (credential->token)
        vimg_pairs_add(signing->headers, "x-oss-security-token", credential->token);
    headers = vimg_sign_headers(signing, is_signed);
    names = additional_names(headers);
    request = canonical(signing, headers, names);
    digest = vimg_sha256_hex(request, strlen(request));
    text = g_strjoin("\n", ALGORITHM, time, scope, digest, NULL);
    signature = vimg_sign_chain("aliyun_v4", credential, parts, text);
    value = g_strconcat(ALGORITHM " Credential=", credential->id, "/", scope,
                        *names ? ",AdditionalHeaders=" : "", names, ",Signature=", signature, NULL);
    vimg_pairs_add(signing->headers, "Authorization", value);
}
