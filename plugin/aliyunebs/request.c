/*
 * request.c: one request to an object storage: its URL, its signature, and trying again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "oss-private.h"
#include "../thread.h"
#include "throw.h"

#define OURS "x-oss-"
#define THEIRS "x-amz-"

static const VimgSigner signers[] = {
    [VIMG_OSS_V4] = vimg_sign_v4,
    [VIMG_OSS_V1] = vimg_sign_v1,
    [VIMG_OSS_S3] = vimg_sign_s3,
};
G_STATIC_ASSERT(G_N_ELEMENTS(signers) == VIMG_OSS_N_SIGNATURES);

/* What S3 has another header for, or none (NULL). */
static const struct {
    const char *ours;
    const char *name;
    const char *value; /* NULL: the same */
} translations[] = {
    {"x-oss-forbid-overwrite", "If-None-Match", "*"},
    {"x-oss-range-behavior", NULL, NULL},
    {"x-oss-object-acl", "x-amz-acl", NULL},
};

/* ---- asking once ---- */

static void
translate(GPtrArray *headers, const VimgPair *pair)
{
    g_autofree char *name = NULL;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(translations); i++) {
        if (strcmp(pair->name, translations[i].ours) != 0)
            continue;
        if (translations[i].name)
            vimg_pairs_add(headers, translations[i].name,
                           translations[i].value ? translations[i].value : pair->value);
        return;
    }
    if (g_str_has_prefix(pair->name, OURS))
        name = g_strconcat(THEIRS, pair->name + strlen(OURS), NULL);
    vimg_pairs_add(headers, name ? name : pair->name, pair->value);
}

/* Returns: (transfer full) */
static GPtrArray *
make_headers(const VimgOss *oss, const VimgOssRequest *request)
{
    GPtrArray *headers = vimg_pairs_new();
    guint i;

    vimg_pairs_add(headers, "Host", oss->authority);
    for (i = 0; request->headers && i < request->headers->len; i++) {
        const VimgPair *pair = g_ptr_array_index(request->headers, i);

        if (vimg_oss_is_s3(oss))
            translate(headers, pair);
        else
            vimg_pairs_add(headers, pair->name, pair->value);
    }
    return headers;
}

static char *
make_path(const VimgOss *oss, const char *name)
{
    g_autofree char *key = name ? g_uri_escape_string(name, "/", FALSE) : g_strdup("");

    if (oss->style == VIMG_OSS_PATH)
        return g_strconcat("/", oss->bucket, "/", key, NULL);
    return g_strconcat("/", key, NULL);
}

static VimgCredential *
get_credential(VimgOss *oss)
{
    LOCK_GUARD(&oss->lock);

    return vimg_credential_ref(oss->credential);
}

static gint64
now(VimgOss *oss)
{
    return g_get_real_time() / G_USEC_PER_SEC + vimg_oss_skew(oss);
}

static gboolean
attempt(VimgOss *oss, VimgOssRequest *request, const VimgPatience *patience, GError **error)
{
    static const char *const additional[] = {"host", "range", NULL};
    g_autofree char *path = make_path(oss, request->key);
    g_autofree char *query = vimg_pairs_encode(request->query, vimg_oss_is_s3(oss) ? "=" : "");
    g_autofree char *url =
        g_strconcat(oss->scheme, "://", oss->authority, path, *query ? "?" : "", query, NULL);
    g_autoptr(GPtrArray) headers = make_headers(oss, request);
    g_autoptr(VimgCredential) credential = get_credential(oss);
    VimgSigning signing = {
        .method = request->web.method,
        .bucket = oss->bucket,
        .key = request->key,
        .path = path,
        .host = oss->authority,
        .query = request->query,
        .headers = headers,
        .region = oss->region,
        .additional = additional,
        .now = now(oss),
    };
    gboolean good;

    signers[oss->signature](credential, &signing);
    g_clear_pointer(&request->fault, g_free);
    request->web.url = url;
    request->web.headers = headers;
    good = vimg_web_perform(oss->web, &request->web, patience, error);
    request->web.url = NULL;
    request->web.headers = NULL;
    return good;
}

char *
vimg_oss_url(VimgOss *oss, const char *key, guint seconds, GError **error)
{
    g_autofree char *path = make_path(oss, key);
    g_autoptr(VimgCredential) credential = get_credential(oss);
    g_autofree char *query = NULL;
    VimgSigning signing = {
        .method = "GET", .bucket = oss->bucket, .key = key, .region = oss->region, .now = now(oss)};

    if (oss->signature != VIMG_OSS_V4) {
        throw_error(
            error, VIMG_ERROR_NO_SUPPORT,
            _("URLs are given out with signature v4 alone, and the pool has another one: export the image without --direct"));
        return NULL;
    }
    query = vimg_sign_v4_query(credential, &signing, seconds);
    return g_strconcat(oss->scheme, "://", oss->authority, path, "?", query, NULL);
}

/* ---- judging the answer ---- */

/* 200 may begin before the work is done, and end in an error. */
static gboolean
is_success(const VimgOssRequest *request)
{
    g_auto(VimgOssFault) fault = {0};

    if (request->web.status / 100 != 2)
        return FALSE;
    return request->web.into ||
           !vimg_oss_xml_fault(request->web.text->data, request->web.text->len, &fault);
}

/* Sets our idea of the storage's clock.  Returns: whether that was what had been wrong. */
static gboolean
correct_clock(VimgOss *oss, const VimgOssRequest *request)
{
    gint64 date = vimg_web_date(request->web.fields);

    if (g_strcmp0(request->fault, "RequestTimeTooSkewed") != 0 || date == 0)
        return FALSE;
    __atomic_store_n(&oss->skew, date - g_get_real_time() / G_USEC_PER_SEC, __ATOMIC_RELAXED);
    return TRUE;
}

/* Microseconds the storage asks to wait. */
static gint64
hint_of(const VimgOss *oss, const VimgOssRequest *request)
{
    const char *delay;
    guint64 ms;

    if (!request->web.fields)
        return 0;
    delay = vimg_oss_field(oss, request, "qos-delay-time");
    if (delay && g_ascii_string_to_unsigned(delay, 10, 0, 86400000, &ms, NULL))
        return (gint64)ms * 1000;
    return vimg_web_hint(request->web.fields);
}

static gboolean
is_passing(const VimgOssRequest *request, gboolean answered)
{
    if (!answered)
        return request->web.passing;
    /* an error behind a 200 is one of the server's, whatever it is called */
    return vimg_web_is_passing(request->web.status) ||
           (request->web.status / 100 == 2 && g_strcmp0(request->fault, "InternalError") == 0);
}

gboolean
vimg_oss_request(VimgOss *oss, VimgOssRequest *request, const VimgPatience *patience,
                 GError **error)
{
    gboolean clock_set = FALSE;
    guint made = 0;

    for (;;) {
        g_autoptr(GError) local = NULL;
        gboolean answered = attempt(oss, request, patience, &local);

        if (answered && is_success(request))
            return TRUE;
        if (answered)
            vimg_oss_throw(oss, request, &local);
        if (answered && !clock_set && correct_clock(oss, request)) {
            clock_set = TRUE;
            continue;
        }
        if (!is_passing(request, answered) || ++made >= VIMG_ATTEMPTS) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        /* what the storage said is worth more than that there was no time to hear it again */
        if (!vimg_patience_rest(patience, made, hint_of(oss, request), error)) {
            if (patience->deadline > 0 && error &&
                g_error_matches(*error, VIMG_ERROR, VIMG_ERROR_TIMEOUT)) {
                g_clear_error(error);
                g_propagate_error(error, g_steal_pointer(&local));
            }
            return FALSE;
        }
    }
}

void
vimg_oss_request_clear(VimgOssRequest *request)
{
    vimg_exchange_clear(&request->web);
    g_clear_pointer(&request->fault, g_free);
}

const char *
vimg_oss_field(const VimgOss *oss, const VimgOssRequest *request, const char *name)
{
    g_autofree char *full = g_strconcat(vimg_oss_is_s3(oss) ? THEIRS : OURS, name, NULL);

    return vimg_pairs_get(request->web.fields, full);
}
