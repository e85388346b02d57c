/*
 * source-key.c: what a copy says of the image in another storage whose content it has, or is to
 * have
 *
 * "KEY" or "KEY GENERATION", neither of which has a space in it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "pool/source-key.h"

char *
vimg_source_key_new(const char *key, const char *generation)
{
    return generation ? g_strconcat(key, " ", generation, NULL) : g_strdup(key);
}

gboolean
vimg_source_key_names(const char *noted, const char *key)
{
    gsize length = strlen(key);

    return noted && strncmp(noted, key, length) == 0 && (!noted[length] || noted[length] == ' ');
}

/* What is noted of the generation; NULL: nothing. */
static const char *
generation_of(const char *noted)
{
    const char *space = noted ? strchr(noted, ' ') : NULL;

    return space ? space + 1 : NULL;
}

gboolean
vimg_source_key_is_stale(const char *noted, const char *generation)
{
    const char *then = generation_of(noted);

    return then && generation && strcmp(then, generation) != 0;
}

gboolean
vimg_source_key_proves(const char *noted, const char *key, const char *generation)
{
    const char *then = generation_of(noted);

    return vimg_source_key_names(noted, key) && then && g_strcmp0(then, generation) == 0;
}
