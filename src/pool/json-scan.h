/*
 * json-scan.h: whether a text is JSON, without making a tree of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_JSON_SCAN_H
#define VIMG_POOL_JSON_SCAN_H

#include <glib.h>

/* No document of ours is deeper. */
#define VIMG_JSON_DEPTH_MAX 16

/* Whether @text, valid UTF-8, is one object and nothing else.  Needs no memory. */
gboolean vimg_json_is_object(const char *text);

#endif
