/*
 * http-head.c: what the head of an answer says of the bytes that follow
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <curl/curl.h>

#include "fetch/http-head.h"
#include "util/i18n.h"

void
vimg_http_head_init(VimgHttpHead *head)
{
    *head = (VimgHttpHead){.length = VIMG_HTTP_UNKNOWN,
                           .first = VIMG_HTTP_UNKNOWN,
                           .last = VIMG_HTTP_UNKNOWN,
                           .total = VIMG_HTTP_UNKNOWN};
}

void
vimg_http_head_clear(VimgHttpHead *head)
{
    g_free(head->etag);
    g_free(head->modified);
    g_free(head->date);
    g_free(head->location);
    vimg_http_head_init(head);
}

static gboolean
contradict(GError **error, const char *name)
{
    return vimg_throw(error, VIMG_ERROR_FAILED,
                      _("the server answers nonsense: header '%s' cannot be understood"), name);
}

static gboolean
parse_size(const char *text, guint64 *out)
{
    return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, out, NULL);
}

static gboolean
take_length(VimgHttpHead *head, const char *value)
{
    guint64 length;

    if (!parse_size(value, &length) ||
        (head->length != VIMG_HTTP_UNKNOWN && head->length != length))
        return FALSE;
    head->length = length;
    return TRUE;
}

/* "bytes 0-9/10", where the total may be "*"; of a range that cannot be, "bytes *" before it. */
static gboolean
take_range(VimgHttpHead *head, const char *value)
{
    g_auto(GStrv) parts = NULL;
    g_auto(GStrv) ends = NULL;

    /* once */
    if (head->first != VIMG_HTTP_UNKNOWN || head->total != VIMG_HTTP_UNKNOWN ||
        g_ascii_strncasecmp(value, "bytes ", 6) != 0)
        return FALSE;
    parts = g_strsplit(value + 6, "/", 2);
    if (!parts[0] || !parts[1] ||
        (strcmp(parts[1], "*") != 0 && !parse_size(parts[1], &head->total)))
        return FALSE;
    if (strcmp(parts[0], "*") == 0)
        return TRUE;
    ends = g_strsplit(parts[0], "-", 2);
    return ends[0] && ends[1] && parse_size(ends[0], &head->first) &&
           parse_size(ends[1], &head->last) && head->first <= head->last &&
           (head->total == VIMG_HTTP_UNKNOWN || head->last < head->total);
}

static gboolean
take_text(char **member, const char *value)
{
    g_free(*member);
    *member = g_strdup(value);
    return TRUE;
}

/* Any other one would hide where the bytes end, or unpack them before anybody counts. */
static gboolean
take_coding(VimgHttpHead *head, const char *value)
{
    if (head->chunked || g_ascii_strcasecmp(value, "chunked") != 0)
        return FALSE;
    head->chunked = TRUE;
    return TRUE;
}

static gboolean
take_field(VimgHttpHead *head, const char *name, const char *value)
{
    if (g_ascii_strcasecmp(name, "content-length") == 0)
        return take_length(head, value);
    if (g_ascii_strcasecmp(name, "content-range") == 0)
        return take_range(head, value);
    if (g_ascii_strcasecmp(name, "etag") == 0)
        return take_text(&head->etag, value);
    if (g_ascii_strcasecmp(name, "last-modified") == 0)
        return take_text(&head->modified, value);
    if (g_ascii_strcasecmp(name, "date") == 0)
        return take_text(&head->date, value);
    if (g_ascii_strcasecmp(name, "location") == 0)
        return take_text(&head->location, value);
    if (g_ascii_strcasecmp(name, "transfer-encoding") == 0)
        return take_coding(head, value);
    return TRUE;
}

/* "HTTP/1.1 200 OK" */
static gboolean
take_status(VimgHttpHead *head, const char *line, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(line, " ", 3);
    guint64 status;

    vimg_http_head_clear(head);
    if (!parts[1] || !g_ascii_string_to_unsigned(parts[1], 10, 100, 999, &status, NULL))
        return contradict(error, "HTTP");
    head->status = (guint)status;
    return TRUE;
}

gboolean
vimg_http_head_add(VimgHttpHead *head, const char *line, gsize size, GError **error)
{
    g_autofree char *text = g_strndup(line, size);
    char *value;

    g_strchomp(text);
    if (g_str_has_prefix(text, "HTTP/"))
        return take_status(head, text, error);
    if (head->whole)
        return TRUE;
    if (!*text) {
        head->whole = head->status >= 200;
        if (head->chunked)
            head->length = VIMG_HTTP_UNKNOWN; /* it frames itself */
        return TRUE;
    }
    value = strchr(text, ':');
    if (!value)
        return TRUE;
    *value++ = '\0';
    return take_field(head, text, g_strstrip(value)) || contradict(error, text);
}

/* A weak tag says that two are alike, not that their bytes are. */
static gboolean
is_strong(const char *etag)
{
    return etag && etag[0] == '"';
}

gboolean
vimg_http_head_has_strong_tag(const VimgHttpHead *head)
{
    return is_strong(head->etag);
}

/* What was changed in the second of the answer may have been changed once more in it. */
static gboolean
is_settled(const VimgHttpHead *head)
{
    time_t modified = head->modified ? curl_getdate(head->modified, NULL) : -1;
    time_t date = head->date ? curl_getdate(head->date, NULL) : -1;

    return modified != -1 && date != -1 && modified < date;
}

const char *
vimg_http_head_validator(const VimgHttpHead *head)
{
    if (is_strong(head->etag))
        return head->etag;
    return is_settled(head) ? head->modified : NULL;
}

static gboolean
differ(const char *a, const char *b)
{
    return a && b && strcmp(a, b) != 0;
}

gboolean
vimg_http_head_same(const VimgHttpHead *a, const VimgHttpHead *b)
{
    /* a part of what has a strong tag must repeat it */
    if (b->status == 206 && is_strong(a->etag) && !b->etag)
        return FALSE;
    return !differ(a->etag, b->etag) && !differ(a->modified, b->modified);
}
