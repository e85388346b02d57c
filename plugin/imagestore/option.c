/*
 * option.c: what a definition says in elements of our own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "option.h"

const char *
vimg_option_text(const VimgPluginPool *pool, const char *path, const char *attribute)
{
    gsize i;
    gsize j;

    for (i = 0; i < pool->n_elements; i++) {
        const char *const *pairs = pool->elements[i].attributes;

        if (strcmp(pool->elements[i].path, path) != 0)
            continue;
        for (j = 0; pairs && pairs[j]; j += 2) {
            if (strcmp(pairs[j], attribute) == 0)
                return pairs[j + 1];
        }
    }
    return NULL;
}

guint64
vimg_option_number(const VimgPluginPool *pool, const char *path, const char *attribute,
                   guint64 fallback)
{
    const char *text = vimg_option_text(pool, path, attribute);
    guint64 value;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &value, NULL))
        return fallback;
    return value;
}
