/*
 * record.h: what a client remembers of a transfer that may be cut off
 *
 * A few numbers in a file that only its user can read and write, below virtimage/ in the state
 * directory of the user.  Without a record nothing is gone on with: one that is missing, or is not
 * ours, costs time and never content.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_RECORD_H
#define VIMG_CLI_RECORD_H

#include <sys/stat.h>
#include <glib.h>

#define VIMG_RECORD_MAX 16 /* numbers */

/* @kind: a directory; @of: the file that this is about, or NULL.  Returns: NULL if @uuid is none.
 */
char *vimg_record_path(const char *kind, const char *uuid, const struct stat *of);

/* Returns: whether there are exactly @count numbers, written by us. */
gboolean vimg_record_read(const char *path, guint64 *numbers, gsize count);
/* What cannot be written is not remembered; it fails only if something older would be. */
gboolean vimg_record_write(const char *path, const guint64 *numbers, gsize count, GError **error);
gboolean vimg_record_remove(const char *path, GError **error);

#endif
