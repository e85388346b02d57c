/*
 * sign.c: what the signatures of an object storage have in common
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <time.h>

#include "sign.h"

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

char *
vimg_sign_date(gint64 now, const char *format)
{
    time_t seconds = (time_t)now;
    char text[64];
    struct tm at;

    if (!gmtime_r(&seconds, &at))
        memset(&at, 0, sizeof(at));
    if (strcmp(format, "rfc1123") == 0)
        return g_strdup_printf("%s, %02d %s %04d %02d:%02d:%02d GMT", days[at.tm_wday % 7],
                               at.tm_mday, months[at.tm_mon % 12], at.tm_year + 1900, at.tm_hour,
                               at.tm_min, at.tm_sec);
    if (strftime(text, sizeof(text), format, &at) == 0)
        text[0] = '\0';
    return g_strdup(text);
}

GPtrArray *
vimg_sign_headers(const VimgSigning *signing,
                  gboolean (*is_signed)(const char *name, const VimgSigning *signing))
{
    g_autoptr(GPtrArray) lower = vimg_pairs_new();
    guint i;

    for (i = 0; i < signing->headers->len; i++) {
        const VimgPair *pair = g_ptr_array_index(signing->headers, i);
        g_autofree char *name = g_ascii_strdown(pair->name, -1);
        g_autofree char *value = g_strstrip(g_strdup(pair->value ? pair->value : ""));

        if (is_signed(name, signing))
            vimg_pairs_add(lower, name, value);
    }
    return vimg_pairs_sorted(lower);
}

char *
vimg_sign_names(const GPtrArray *headers)
{
    GString *names = g_string_new(NULL);
    guint i;

    for (i = 0; i < headers->len; i++) {
        const VimgPair *pair = g_ptr_array_index(headers, i);

        g_string_append_printf(names, "%s%s", i > 0 ? ";" : "", pair->name);
    }
    return g_string_free(names, FALSE);
}

char *
vimg_sign_lines(const GPtrArray *headers)
{
    GString *text = g_string_new(NULL);
    guint i;

    for (i = 0; i < headers->len; i++) {
        const VimgPair *pair = g_ptr_array_index(headers, i);

        g_string_append_printf(text, "%s:%s\n", pair->name, pair->value);
    }
    return g_string_free(text, FALSE);
}

char *
vimg_sign_chain(const char *prefix, const VimgCredential *credential, const char *const *parts,
                const char *text)
{
    gsize size = strlen(prefix) + credential->size;
    guint8 *secret = g_malloc(size + 1);
    guint8 key[EVP_MAX_MD_SIZE];
    gsize n;
    char *signature;

    memcpy(secret, prefix, strlen(prefix));
    memcpy(secret + strlen(prefix), credential->secret, credential->size);
    n = vimg_hmac(EVP_sha256(), secret, size, *parts++, key);
    explicit_bzero(secret, size);
    g_free(secret);
    for (; *parts; parts++) {
        guint8 next[EVP_MAX_MD_SIZE];

        n = vimg_hmac(EVP_sha256(), key, n, *parts, next);
        memcpy(key, next, n);
        explicit_bzero(next, sizeof(next));
    }
    n = vimg_hmac(EVP_sha256(), key, n, text, key);
    signature = vimg_hex(key, n);
    explicit_bzero(key, sizeof(key));
    return signature;
}
