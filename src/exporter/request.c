/*
 * request.c: what a request for an export asks for, from its bytes alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "exporter/request.h"

#define NAME_MAX_SIZE 1024 /* bytes of a name as it comes */
#define CHECKSUM_SUFFIX ".sha256"
#define BASE64URL G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_"

/* ---- paths -------------------------------------------------------------------------------- */

void
vimg_exporter_path_clear(VimgExporterPath *path)
{
    explicit_bzero(path->token, sizeof(path->token));
    g_clear_pointer(&path->name, g_free);
}

/* As a proxy is asked: "http://HOST/TOKEN", of which only the path matters here. */
static const char *
skip_origin(const char *text)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (gsize i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_ascii_strncasecmp(text, schemes[i], strlen(schemes[i])) == 0) {
            text += strlen(schemes[i]);
            return text + strcspn(text, "/");
        }
    }
    return text;
}

gboolean
vimg_exporter_path_parse(const char *text, VimgExporterPath *out)
{
    const char *rest;

    *out = (VimgExporterPath){0};
    text = skip_origin(text);
    if (*text != '/' || strspn(text + 1, BASE64URL) != VIMG_EXPORTER_TOKEN_SIZE)
        return FALSE;
    memcpy(out->token, text + 1, VIMG_EXPORTER_TOKEN_SIZE);
    rest = text + 1 + VIMG_EXPORTER_TOKEN_SIZE;
    if (!*rest)
        return TRUE;
    if (*rest != '/' || strnlen(rest, NAME_MAX_SIZE) == NAME_MAX_SIZE)
        return FALSE;
    out->name = g_uri_unescape_string(rest + 1, "/");
    return out->name && *out->name && g_utf8_validate(out->name, -1, NULL);
}

void
vimg_exporter_token_hash(const char *token, guint8 hash[VIMG_EXPORTER_HASH_SIZE])
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = VIMG_EXPORTER_HASH_SIZE;

    g_checksum_update(sum, (const guchar *)token, (gssize)strlen(token));
    g_checksum_get_digest(sum, hash, &size);
    g_checksum_free(sum);
}

VimgExporterTarget
vimg_exporter_target(const VimgExporterPath *path, const VimgExporterInfo *info)
{
    gsize size = strlen(info->file);

    if (!path->name || strcmp(path->name, info->file) == 0)
        return VIMG_EXPORTER_IMAGE;
    if (strncmp(path->name, info->file, size) == 0 &&
        strcmp(path->name + size, CHECKSUM_SUFFIX) == 0)
        return VIMG_EXPORTER_CHECKSUM;
    return VIMG_EXPORTER_NOTHING;
}

/* ---- ranges ------------------------------------------------------------------------------- */

/* One or more digits before @end; what is larger than an offset can be is the largest one. */
static gboolean
take_number(const char *at, const char *end, guint64 *out)
{
    g_autofree char *digits = g_strndup(at, (gsize)(end - at));

    if (!*digits || strspn(digits, G_CSET_DIGITS) != strlen(digits))
        return FALSE;
    if (!g_ascii_string_to_unsigned(digits, 10, 0, G_MAXINT64, out, NULL))
        *out = G_MAXINT64;
    return TRUE;
}

/* A date would have to be compared with one that nobody was told: it is never the same. */
static gboolean
is_same(const char *if_range, const char *etag)
{
    gsize size = strlen(etag);

    return strlen(if_range) == size + 2 && if_range[0] == '"' && if_range[size + 1] == '"' &&
           strncmp(if_range + 1, etag, size) == 0;
}

VimgExporterRange
vimg_exporter_range(const char *range, const char *if_range, const char *etag, guint64 size,
                    guint64 *offset, guint64 *length)
{
    const char *dash, *end;
    guint64 last = G_MAXINT64;

    *offset = 0;
    *length = size;
    if (!range || g_ascii_strncasecmp(range, "bytes=", 6) != 0 || strchr(range, ',') ||
        (if_range && !is_same(if_range, etag)))
        return VIMG_EXPORTER_WHOLE;
    range += 6;
    end = range + strcspn(range, " \t");
    dash = strchr(range, '-');
    if (!dash || dash > end || (dash + 1 < end && !take_number(dash + 1, end, &last)) ||
        (dash > range && (!take_number(range, dash, offset) || last < *offset)) ||
        (dash == range && dash + 1 == end)) {
        *offset = 0;
        return VIMG_EXPORTER_WHOLE;
    }
    if (dash == range) { /* the last so many bytes */
        *length = MIN(last, size);
        *offset = size - *length;
        return *length > 0 ? VIMG_EXPORTER_PART : VIMG_EXPORTER_NO_RANGE;
    }
    if (*offset >= size)
        return VIMG_EXPORTER_NO_RANGE;
    *length = MIN(last, size - 1) - *offset + 1;
    return VIMG_EXPORTER_PART;
}

gboolean
vimg_exporter_has_etag(const char *header, const char *etag)
{
    g_auto(GStrv) names = g_strsplit(header ? header : "", ",", 64);

    for (gsize i = 0; names[i]; i++) {
        const char *name = g_strstrip(names[i]);

        if (strcmp(name, "*") == 0 || is_same(g_str_has_prefix(name, "W/") ? name + 2 : name, etag))
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_exporter_wants_page(const char *accept)
{
    return accept && strstr(accept, "text/html") != NULL;
}

/* ---- names -------------------------------------------------------------------------------- */

char *
vimg_exporter_disposition(const char *file)
{
    g_autofree char *encoded = g_uri_escape_string(file, NULL, FALSE);
    g_autofree char *plain = g_strdup(file);

    for (char *at = plain; *at; at++) {
        if (!g_ascii_isalnum(*at) && !strchr("._-+ ", *at))
            *at = '_';
    }
    return g_strdup_printf("attachment; filename=\"%s\"; filename*=UTF-8''%s", plain, encoded);
}
