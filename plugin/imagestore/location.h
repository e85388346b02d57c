/*
 * location.h: where a pool's store lies
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_LOCATION_H
#define VIMG_IMAGESTORE_LOCATION_H

#include "transport.h"

/* Absolute, and not one of the places a store must never be in, as far as its name tells. */
gboolean vimg_location_check_name(const char *dir, GError **error);
/* The same of a directory of this host, whatever it is a link to. */
gboolean vimg_location_check(const char *dir, GError **error);
/* Whether a store may be in @dir, which is @resolved. */
gboolean vimg_location_allow(const char *dir, const char *resolved, GError **error);

/* Returns: (transfer full) what is at @path, without links; NULL: nothing that could be seen. */
typedef char *(*VimgRealPath)(const char *path, gpointer data);
/*
 * Returns: (transfer full) the longest part of @dir that exists without symbolic links, and the
 * rest as it is, without ".." and double slashes.
 */
char *vimg_location_resolve_by(const char *dir, VimgRealPath real_path, gpointer data);
/* The same on this host. */
char *vimg_location_resolve(const char *dir);

/*
 * Makes @dir with its parents by @root, a transport that begins at /.  @made: the first one that
 * was not there, (transfer full) or NULL.
 */
gboolean vimg_location_make(VimgTransport *root, const char *dir, char **made, GError **error);
/* Takes back what vimg_location_make() made, as far as it is empty. */
void vimg_location_unmake(VimgTransport *root, const char *dir, const char *made);
/* Removes @dir if it is empty.  Returns: 0 or a value of errno. */
int vimg_location_remove(VimgTransport *root, const char *dir);

#endif
