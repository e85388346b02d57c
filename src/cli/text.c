/*
 * text.c: what may be shown on a terminal, and how wide it is there
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/text.h"

#define ROOM_MIN 16 /* columns of broken text, whatever the terminal has */

gboolean
vimg_text_is_visible(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT: /* joins nothing here, but turns directions */
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SURROGATE:
        return FALSE;
    default:
        return TRUE;
    }
}

char *
vimg_text_safe(const char *text)
{
    g_autoptr(GString) safe = g_string_new(NULL);

    if (!text)
        return g_strdup("-");
    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        const char *next = (gint32)c < 0 ? text + 1 : g_utf8_next_char(text);

        if ((gint32)c >= 0 && vimg_text_is_visible(c))
            g_string_append_len(safe, text, next - text);
        else if ((gint32)c < 0 || c < 0x80)
            g_string_append_printf(safe, "\\x%02x", (guint8)*text);
        else
            g_string_append_printf(safe, "\\u%04x", c);
        text = next;
    }
    return g_string_free(g_steal_pointer(&safe), FALSE);
}

static guint
char_width(gunichar c)
{
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

guint
vimg_text_width(const char *text)
{
    guint width = 0;

    for (; *text; text = g_utf8_next_char(text))
        width += char_width(g_utf8_get_char(text));
    return width;
}

gsize
vimg_text_fit(const char *text, guint columns)
{
    const char *end = text;
    guint width = 0;

    while (*end) {
        width += char_width(g_utf8_get_char(end));
        if (width > columns && end > text)
            break;
        end = g_utf8_next_char(end);
    }
    return (gsize)(end - text);
}

/* Bytes of @text for one line: up to a blank, if there is one, or a character that needs none. */
static gsize
fit_words(const char *text, guint columns)
{
    gsize fit = vimg_text_fit(text, columns);
    gsize end = fit;

    while (text[fit] && text[fit] != ' ' && end > 0 && text[end - 1] != ' ' &&
           !g_unichar_iswide(g_utf8_get_char(text + end)))
        end = (gsize)(g_utf8_prev_char(text + end) - text);
    return end > 0 ? end : fit;
}

void
vimg_text_print(const char *text, guint indent, guint columns)
{
    guint room = columns > indent + ROOM_MIN ? columns - indent : ROOM_MIN;

    while (columns > 0 && vimg_text_width(text) > room) {
        gsize size = fit_words(text, room), end = size;

        while (end > 0 && text[end - 1] == ' ')
            end--;
        printf("%.*s\n%*s", (int)end, text, (int)indent, "");
        for (text += size; *text == ' '; text++)
            ;
    }
    puts(text);
}

char *
vimg_text_size(guint64 bytes, gboolean exact)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    gsize unit = 0;

    if (exact)
        return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    for (; value >= 1024 && unit + 1 < G_N_ELEMENTS(units); unit++)
        value /= 1024;
    return g_strdup_printf(unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
}

char *
vimg_text_time(gint64 seconds)
{
    g_autoptr(GDateTime) time = seconds == 0 ? NULL : g_date_time_new_from_unix_local(seconds);

    return time ? g_date_time_format(time, "%Y-%m-%d %H:%M") : g_strdup("-");
}

gboolean
vimg_text_parse_size(const char *text, guint64 *bytes)
{
    static const char letters[] = "kMG";
    gsize length = strlen(text);
    const char *letter = length > 0 ? strchr(letters, text[length - 1]) : NULL;
    guint shift = letter ? 10 * (guint)(letter - letters + 1) : 0;
    g_autofree char *digits = g_strndup(text, letter ? length - 1 : length);

    if (!g_ascii_string_to_unsigned(digits, 10, 1, G_MAXINT64 >> shift, bytes, NULL))
        return FALSE;
    *bytes <<= shift;
    return TRUE;
}
