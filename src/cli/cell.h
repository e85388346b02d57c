/*
 * cell.h: members of objects in words
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_CELL_H
#define VIMG_CLI_CELL_H

#include "cli/table.h"

/* Returns: (transfer full) what stands there for @column of @object (NULL: none), safe. */
char *vimg_cell_text(const VimgCtl *ctl, JsonObject *object, const VimgColumn *column);
gboolean vimg_cell_is_number(const VimgColumn *column);

#endif
