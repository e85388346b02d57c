/*
 * find.h: stores below a directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_FIND_H
#define VIMG_IMAGESTORE_FIND_H

#include "vimg-plugin.h"

/* As find_sources() of the contract. */
char *vimg_imagestore_find(const VimgPluginPool *pool, GError **error);

#endif
