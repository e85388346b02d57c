/*
 * schema.h: validation against the RELAX NG schemas in xml/
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_SCHEMA_H
#define VIMG_CONF_SCHEMA_H

#include <libxml/tree.h>

#include "util/error.h"

/* Where the .rng files are; the build tree's while run from there.  Before threads start. */
void vimg_schema_set_dir(const char *dir);

/* @name as "pool", "volume", "secret", "capabilities", "poolcaps", "sources". */
gboolean vimg_schema_validate(const char *name, xmlDoc *doc, GError **error);

#endif
