/*
 * machine-file.h: new files beside those of a machine, which are undone without touching another's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_FILE_H
#define VIMG_CLI_MACHINE_FILE_H

#include "cli/machine-undo.h"

/*
 * Makes an empty file at @path, only ours to read.  It is on the list of @undo, and was never at
 * @path without being there.  One that is there already, if only as a link to nowhere, stays as it
 * is: VIMG_ERROR_VOL_EXISTS.
 */
gboolean vimg_file_create(VimgUndo *undo, const char *path, GError **error);
/* It stays. */
void vimg_file_keep(VimgUndo *undo, const char *path);
/* The file at @path, which is there, is to go when the command ends, however it does. */
gboolean vimg_file_discard(VimgUndo *undo, const char *path, GError **error);

/* Returns: (transfer full) what tells the file at @path from others; NULL: there is none. */
char *vimg_file_mark(const char *path);

#endif
