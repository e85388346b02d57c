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
canonical(const VimgSigning *signing, const GPtrArray *query, const GPtrArray *headers,
          const char *names)
{
    g_autofree char *uri = resource(signing);
    g_autofree char *text = vimg_pairs_encode(query, "");
    g_autofree char *lines = vimg_sign_lines(headers);

    return g_strjoin("\n", signing->method, uri, text, lines, names, VIMG_UNSIGNED_PAYLOAD, NULL);
}

/* What a signature is good for. */
typedef struct {
    char *time;
    char *day;
    char *scope;
    const char *parts[5];
} Scope;

static void
scope_init(Scope *scope, const VimgSigning *signing)
{
    scope->time = vimg_sign_date(signing->now, "%Y%m%dT%H%M%SZ");
    scope->day = g_strndup(scope->time, 8);
    scope->parts[0] = scope->day;
    scope->parts[1] = signing->region;
    scope->parts[2] = signing->product ? signing->product : "oss";
    scope->parts[3] = "aliyun_v4_request";
    scope->parts[4] = NULL;
    scope->scope = g_strjoinv("/", (char **)scope->parts);
}

static void
scope_clear(Scope *scope)
{
    g_free(scope->time);
    g_free(scope->day);
    g_free(scope->scope);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scope, scope_clear)

static char *
sign(const VimgCredential *credential, const Scope *scope, const char *request)
{
    g_autofree char *digest = vimg_sha256_hex(request, strlen(request));
    g_autofree char *text = g_strjoin("\n", ALGORITHM, scope->time, scope->scope, digest, NULL);

    return vimg_sign_chain("aliyun_v4", credential, scope->parts, text);
}

void
vimg_sign_v4(const VimgCredential *credential, const VimgSigning *signing)
{
    g_auto(Scope) scope = {0};
    g_autoptr(GPtrArray) headers = NULL;
    g_autofree char *names = NULL;
    g_autofree char *request = NULL;
    g_autofree char *signature = NULL;
    g_autofree char *value = NULL;

    scope_init(&scope, signing);
    vimg_pairs_add(signing->headers, "x-oss-date", scope.time);
    vimg_pairs_add(signing->headers, "x-oss-content-sha256", VIMG_UNSIGNED_PAYLOAD);
    if (credential->token)
        vimg_pairs_add(signing->headers, "x-oss-security-token", credential->token);
    headers = vimg_sign_headers(signing, is_signed);
    names = additional_names(headers);
    request = canonical(signing, signing->query, headers, names);
    signature = sign(credential, &scope, request);
    value = g_strconcat(ALGORITHM " Credential=", credential->id, "/", scope.scope,
                        *names ? ",AdditionalHeaders=" : "", names, ",Signature=", signature, NULL);
    vimg_pairs_add(signing->headers, "Authorization", value);
}

char *
vimg_sign_v4_query(const VimgCredential *credential, const VimgSigning *signing, guint seconds)
{
    g_auto(Scope) scope = {0};
    g_autoptr(GPtrArray) query = vimg_pairs_new();
    g_autoptr(GPtrArray) headers = vimg_pairs_new();
    g_autofree char *identity = NULL;
    g_autofree char *request = NULL;
    g_autofree char *signature = NULL;

    scope_init(&scope, signing);
    identity = g_strconcat(credential->id, "/", scope.scope, NULL);
    vimg_pairs_add(query, "x-oss-signature-version", ALGORITHM);
    vimg_pairs_add(query, "x-oss-credential", identity);
    vimg_pairs_add(query, "x-oss-date", scope.time);
    vimg_pairs_add_number(query, "x-oss-expires", seconds);
    if (credential->token)
        vimg_pairs_add(query, "x-oss-security-token", credential->token);
    request = canonical(signing, query, headers, "");
    signature = sign(credential, &scope, request);
    vimg_pairs_add(query, "x-oss-signature", signature);
    return vimg_pairs_encode(query, "");
}
