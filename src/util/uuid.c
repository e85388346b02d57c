/*
 * uuid.c: uuids as 16 bytes and as text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "util/uuid.h"

gboolean
vimg_uuid_parse(const char *text, guint8 uuid[VIMG_UUID_SIZE])
{
    guint digits = 0;

    for (; *text; text++) {
        int value = g_ascii_xdigit_value(*text);

        if (*text == '-')
            continue;
        if (value < 0 || digits == 2 * VIMG_UUID_SIZE)
            return FALSE;
        if (digits % 2 == 0)
            uuid[digits / 2] = (guint8)(value << 4);
        else
            uuid[digits / 2] |= (guint8)value;
        digits++;
    }
    return digits == 2 * VIMG_UUID_SIZE;
}

void
vimg_uuid_format(const guint8 uuid[VIMG_UUID_SIZE], char text[VIMG_UUID_TEXT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    guint i;

    for (i = 0; i < VIMG_UUID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = hex[uuid[i] >> 4];
        *text++ = hex[uuid[i] & 15];
    }
    *text = '\0';
}

void
vimg_uuid_random(guint8 uuid[VIMG_UUID_SIZE])
{
    g_autofree char *text = g_uuid_string_random();

    vimg_uuid_parse(text, uuid);
}
