/*
 * find.h: the image storages in a bucket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_FIND_H
#define VIMG_ALIYUNEBS_FIND_H

#include "store.h"

/* Their prefixes (transfer full, of char) go to @prefixes, and their ids to @ids. */
gboolean vimg_ebs_find(VimgOss *oss, GPtrArray *prefixes, GPtrArray *ids,
                       const VimgPatience *patience, GError **error);
/* For the table of callbacks. */
char *vimg_ebs_find_sources(const VimgPluginPool *pool, GError **error);

#endif
