/*
 * option.h: what a definition says in elements of our own
 *
 * Core has checked them against our table of options: types and ranges are right.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_OPTION_H
#define VIMG_IMAGESTORE_OPTION_H

#include "vimg-plugin.h"

/* Borrowed from @pool; NULL: the definition does not have it. */
const char *vimg_option_text(const VimgPluginPool *pool, const char *path, const char *attribute);
guint64 vimg_option_number(const VimgPluginPool *pool, const char *path, const char *attribute,
                           guint64 fallback);

#endif
