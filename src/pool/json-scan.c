/*
 * json-scan.c: whether a text is JSON, without making a tree of it
 *
 * Each function takes the text at *@at and leaves *@at behind what it took, or returns FALSE.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "pool/json-scan.h"

static void
skip_space(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

/* What follows blanks, if that is @c. */
static gboolean
take(const char **at, char c)
{
    skip_space(at);
    if (**at != c)
        return FALSE;
    ++*at;
    return TRUE;
}

static gboolean
take_digits(const char **at)
{
    gsize n = strspn(*at, "0123456789");

    *at += n;
    return n > 0;
}

static gboolean
take_number(const char **at)
{
    *at += **at == '-';
    if (**at == '0')
        ++*at;
    else if (!take_digits(at))
        return FALSE;
    if (**at == '.') {
        ++*at;
        if (!take_digits(at))
            return FALSE;
    }
    if (**at != 'e' && **at != 'E')
        return TRUE;
    ++*at;
    *at += **at == '-' || **at == '+';
    return take_digits(at);
}

static gboolean
take_escape(const char **at)
{
    guint i;

    if (**at != 'u')
        return **at && strchr("\"\\/bfnrt", *(*at)++) != NULL;
    for (i = 0, ++*at; i < 4; i++) {
        if (!g_ascii_isxdigit(*(*at)++))
            return FALSE;
    }
    return TRUE;
}

static gboolean
take_string(const char **at)
{
    if (!take(at, '"'))
        return FALSE;
    while (**at != '"') {
        if ((guchar) * *at < ' ')
            return FALSE;
        if (*(*at)++ == '\\' && !take_escape(at))
            return FALSE;
    }
    ++*at;
    return TRUE;
}

static gboolean
take_word(const char **at)
{
    static const char *const words[] = {"true", "false", "null"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_str_has_prefix(*at, words[i])) {
            *at += strlen(words[i]);
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean take_value(const char **at, guint depth);

/* An object or an array. */
static gboolean
take_container(const char **at, char open, char close, guint depth)
{
    if (depth >= VIMG_JSON_DEPTH_MAX || !take(at, open))
        return FALSE;
    if (take(at, close))
        return TRUE;
    do {
        if (open == '{' && (!take_string(at) || !take(at, ':')))
            return FALSE;
        if (!take_value(at, depth + 1))
            return FALSE;
    } while (take(at, ','));
    return take(at, close);
}

static gboolean
take_value(const char **at, guint depth)
{
    skip_space(at);
    switch (**at) {
    case '{':
        return take_container(at, '{', '}', depth);
    case '[':
        return take_container(at, '[', ']', depth);
    case '"':
        return take_string(at);
    case 't':
    case 'f':
    case 'n':
        return take_word(at);
    default:
        return take_number(at);
    }
}

gboolean
vimg_json_is_object(const char *text)
{
    if (!take_container(&text, '{', '}', 0))
        return FALSE;
    skip_space(&text);
    return *text == '\0';
}
