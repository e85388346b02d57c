/*
 * location.h: where a pool's store lies
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_LOCATION_H
#define VIMG_IMAGESTORE_LOCATION_H

#include "vimg-plugin.h"

/* Absolute, and not one of the places a store must never be in. */
gboolean vimg_location_check(const char *dir, GError **error);
/* Returns: (transfer full) @dir without symbolic links, "..", and double slashes. */
char *vimg_location_resolve(const char *dir);
/* Makes @dir with its parents.  @made: the first one that was not there, (transfer full) or NULL.
 */
gboolean vimg_location_make(const char *dir, char **made, GError **error);
/* Takes back what vimg_location_make() made, as far as it is empty. */
void vimg_location_unmake(const char *dir, const char *made);

#endif
