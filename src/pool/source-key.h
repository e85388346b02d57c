/*
 * source-key.h: what a copy says of the image in another storage whose content it has, or is to
 * have
 *
 * The key of that image and, if it was known, the generation of what it held: an image that was
 * wiped and filled anew has its key still.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_SOURCE_KEY_H
#define VIMG_POOL_SOURCE_KEY_H

#include <glib.h>

/* @generation: NULL if it is not known.  Returns: (transfer full) */
char *vimg_source_key_new(const char *key, const char *generation);
/* Whether @noted, which may be NULL, names the image of @key, whatever that holds by now. */
gboolean vimg_source_key_names(const char *noted, const char *key);
/* Whether it is of another content than @generation of that image: FALSE if nobody knows. */
gboolean vimg_source_key_is_stale(const char *noted, const char *generation);
/* Whether it is of that very content of that very image. */
gboolean vimg_source_key_proves(const char *noted, const char *key, const char *generation);

#endif
