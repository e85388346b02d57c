/*
 * find.h: stores below a directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_FIND_H
#define VIMG_IMAGESTORE_FIND_H

#include "transport.h"

/* As find_sources() of the contract. */
char *vimg_imagestore_find(const VimgPluginPool *pool, GError **error);
/* The same by @root, a transport that begins at /. */
char *vimg_find_stores(VimgTransport *root, const VimgPluginPool *pool, GError **error);

#endif
