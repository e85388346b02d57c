/*
 * file.h: files that are whole or absent, and bounded reading
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_FILE_H
#define VIMG_UTIL_FILE_H

#include <sys/types.h>
#include <glib.h>

/* A descriptor closed at the end of its block: vimg_autofd int fd = -1; */
#define vimg_autofd __attribute__((cleanup(vimg_autofd_close)))
void vimg_autofd_close(int *fd);

/* Returns: *@fd, which becomes -1. */
int vimg_steal_fd(int *fd);

/* All of @size bytes, whatever write() feels like.  -1 with errno. */
int vimg_write_all(int fd, const void *data, gsize size);
/* The same of a file at @offset, wherever the descriptor stands: in steps, of which some may be
 * done when it fails. */
int vimg_pwrite_all(int fd, const void *data, gsize size, guint64 offset);

/*
 * Makes @path hold exactly @data with @mode: written beside it, fsynced, renamed over it, directory
 * fsynced.  After a crash there is the old content or the new one.
 */
gboolean vimg_file_replace(const char *path, const void *data, gsize size, mode_t mode,
                           GError **error);

/* unlink() and fsync of the directory; a missing file is fine. */
gboolean vimg_file_remove(const char *path, GError **error);

/* fsync of a directory by its path. */
gboolean vimg_dir_sync(const char *path, GError **error);

/* mkdir -p with @mode for what is made, and fsync of each directory that something was made in. */
gboolean vimg_dir_make(const char *path, mode_t mode, GError **error);

/*
 * The content of a regular file of at most @max bytes, with a NUL behind it.  @size may be NULL.
 * Returns: (transfer full); NULL with VIMG_ERROR_SYSTEM (errno ENOENT stays in errno) or
 * VIMG_ERROR_INVALID_ARG if it is larger.
 */
char *vimg_file_read(const char *path, gsize max, gsize *size, GError **error);

#endif
