/*
 * size.c: sizes with libvirt's units
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/volume-def.h"
#include "util/i18n.h"

/* 1024 or 1000 to the power of the place in here, from 1. */
static const char letters[] = "kmgtpe";

/* Bytes in one @unit; 0 if there is no such unit. */
static guint64
unit_bytes(const char *unit)
{
    guint64 base = 0;
    guint64 bytes = 1;
    const char *place;

    if (!unit || !*unit || !g_ascii_strcasecmp(unit, "b") || !g_ascii_strcasecmp(unit, "byte") ||
        !g_ascii_strcasecmp(unit, "bytes"))
        return 1;
    if (!unit[1] || !g_ascii_strcasecmp(unit + 1, "iB"))
        base = 1024;
    else if (!g_ascii_strcasecmp(unit + 1, "b"))
        base = 1000;
    place = strchr(letters, g_ascii_tolower(*unit));
    if (!base || !place)
        return 0;
    for (; place >= letters; place--)
        bytes *= base;
    return bytes;
}

gboolean
vimg_size_parse(const char *text, const char *unit, guint64 *bytes, GError **error)
{
    guint64 value;
    guint64 scale;

    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &value, NULL))
        return vimg_throw(error, VIMG_ERROR_XML, _("malformed capacity element"));
    if (!(scale = unit_bytes(unit)))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("unknown suffix '%s'"), unit);
    if (value > G_MAXINT64 / scale)
        return vimg_throw(error, VIMG_ERROR_XML, _("value too large: %1$s%2$s"), text,
                          unit ? unit : "");
    *bytes = value * scale;
    return TRUE;
}
