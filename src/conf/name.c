/*
 * name.c: names of pools and images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/pool-def.h"
#include "util/i18n.h"

#define NAME_MAX_BYTES 255
#define POOL_NAME_MAX_BYTES (NAME_MAX_BYTES - 4) /* its definition is the file NAME.xml */

/* What could not be shown on one line or written in XML. */
static gboolean
has_unprintable(const char *name)
{
    for (; *name; name = g_utf8_next_char(name)) {
        gunichar c = g_utf8_get_char(name);

        if (g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029 || c == 0xfffe || c == 0xffff)
            return TRUE;
    }
    return FALSE;
}

gboolean
vimg_name_check(const char *what, const char *name, GError **error)
{
    const gsize most = strcmp(what, "pool") == 0 ? POOL_NAME_MAX_BYTES : NAME_MAX_BYTES;

    if (!*name)
        return vimg_throw(error, VIMG_ERROR_XML, _("%s name is empty"), what);
    if (strnlen(name, most + 1) > most)
        return vimg_throw(error, VIMG_ERROR_XML, _("%1$s name is longer than %2$d bytes"), what,
                          (int)most);
    if (!g_utf8_validate(name, -1, NULL))
        return vimg_throw(error, VIMG_ERROR_XML, _("%s name is not valid UTF-8"), what);
    if (has_unprintable(name))
        return vimg_throw(error, VIMG_ERROR_XML, _("%s name contains a control character"), what);
    if (strchr(name, '/'))
        return vimg_throw(error, VIMG_ERROR_XML, _("name %s cannot contain '/'"), name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return vimg_throw(error, VIMG_ERROR_XML, _("%1$s name '%2$s' is not allowed"), what, name);
    return TRUE;
}

gboolean
vimg_name_check_argument(const char *what, const char *name, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (vimg_name_check(what, name, &local))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s", local->message);
}
