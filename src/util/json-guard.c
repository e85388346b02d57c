/*
 * json-guard.c: what a JSON parser should not be given
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "util/json-guard.h"

#define DEPTH_MAX 16

gboolean
vimg_json_is_tricky(const char *text)
{
    gboolean quoted = FALSE;
    guint depth = 0;

    for (; *text; text++) {
        if (quoted && *text == '\\' && text[1])
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else if (!quoted && strchr("/#'", *text))
            return TRUE;
        else if (!quoted && strchr("{[", *text) && ++depth > DEPTH_MAX)
            return TRUE;
        else if (!quoted && strchr("}]", *text) && depth > 0)
            depth--;
    }
    return FALSE;
}
