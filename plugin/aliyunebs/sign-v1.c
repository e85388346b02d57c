/*
 * sign-v1.c: HMAC-SHA1, the first signature of the service, which old private ones know alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "sign.h"

/* The queries that are signed; others, as "prefix", are not. */
static const char *const sub_resources[] = {
    "acl",
    "append",
    "bucketInfo",
    "callback",
    "callback-var",
    "cloudboxes",
    "continuation-token",
    "delete",
    "location",
    "objectMeta",
    "partNumber",
    "position",
    "regionList",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "security-token",
    "sequential",
    "stat",
    "symlink",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    NULL,
};

static gboolean
is_signed(const char *name, const VimgSigning *signing)
{
    return g_str_has_prefix(name, "x-oss-");
}

/* "/bucket/key?acl&versionId=1", not encoded. */
static char *
resource(const VimgSigning *signing)
{
    g_autoptr(GPtrArray) query = vimg_pairs_sorted(signing->query);
    GString *text = g_string_new("/");
    const char *sign = "?";
    guint i;

    if (signing->bucket)
        g_string_append_printf(text, "%s/%s", signing->bucket, signing->key ? signing->key : "");
    for (i = 0; i < query->len; i++) {
        const VimgPair *pair = g_ptr_array_index(query, i);

        if (!g_strv_contains(sub_resources, pair->name) && !g_str_has_prefix(pair->name, "x-oss-"))
            continue;
        g_string_append_printf(text, "%s%s%s%s", sign, pair->name,
                               pair->value && *pair->value ? "=" : "",
                               pair->value ? pair->value : "");
        sign = "&";
    }
    return g_string_free(text, FALSE);
}

void
vimg_sign_v1(const VimgCredential *credential, const VimgSigning *signing)
{
    g_autofree char *date = vimg_sign_date(signing->now, "rfc1123");
    const char *md5 = vimg_pairs_get(signing->headers, "Content-MD5");
    const char *type = vimg_pairs_get(signing->headers, "Content-Type");
    g_autofree char *what = resource(signing);
    g_autoptr(GPtrArray) headers = NULL;
    g_autofree char *lines = NULL;
    g_autofree char *text = NULL;
    g_autofree char *signature = NULL;
    g_autofree char *value = NULL;
    guint8 mac[EVP_MAX_MD_SIZE];

    /* both with one value: implementations sign the one or the other */
    vimg_pairs_add(signing->headers, "Date", date);
    vimg_pairs_add(signing->headers, "x-oss-date", date);
    if (credential->token)
        vimg_pairs_add(signing->headers, "x-oss-security-token", credential->token);
    headers = vimg_sign_headers(signing, is_signed);
    lines = vimg_sign_lines(headers);
    text = g_strdup_printf("%s\n%s\n%s\n%s\n%s%s", signing->method, md5 ? md5 : "",
                           type ? type : "", date, lines, what);
    signature = g_base64_encode(
        mac, vimg_hmac(EVP_sha1(), credential->secret, credential->size, text, mac));
    value = g_strdup_printf("OSS %s:%s", credential->id, signature);
    vimg_pairs_add(signing->headers, "Authorization", value);
}
