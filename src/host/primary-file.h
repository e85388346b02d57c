/*
 * primary-file.h: content of a volume of the host, written where it lies
 *
 * A stream of libvirt costs four copies of each byte and a processor of its own.  Where the volume
 * is a file that this daemon reaches as libvirt does, none of that is needed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_FILE_H
#define VIMG_HOST_PRIMARY_FILE_H

#include "vimg-plugin-buffer.h"

typedef struct _VimgHostFile VimgHostFile;

/*
 * From byte @at on, behind which there is nothing any more.  Takes the descriptor @fd over, also
 * when it fails, with nothing written.  Writes in a thread of its own.  @path: of what @fd is;
 * @name: of the volume, for errors
 */
VimgHostFile *vimg_host_file_new(int fd, guint64 at, const char *path, const char *name,
                                 GError **error);
/* Comes next; @buffer NULL: zeros.  FALSE with @error: nothing comes any more. */
gboolean vimg_host_file_push(VimgHostFile *file, VimgBuffer *buffer, gsize offset, guint64 size,
                             GError **error);
/* All of that is durable, and still there. */
gboolean vimg_host_file_settle(VimgHostFile *file, GError **error);
/*
 * After that: @size bytes of @head at the beginning, so all of it is durable, its name too.
 * VIMG_ERROR_NO_VOL: its path leads elsewhere
 */
gboolean vimg_host_file_head(VimgHostFile *file, const VimgBuffer *head, gsize size,
                             GError **error);
/* Whether its path still leads to it; FALSE with @error, VIMG_ERROR_NO_VOL if not. */
gboolean vimg_host_file_is_there(const VimgHostFile *file, GError **error);
/* Throws what that is then.  Returns: FALSE */
gboolean vimg_host_file_throw_replaced(const char *name, GError **error);
void vimg_host_file_stop(VimgHostFile *file); /* nothing is written any more */
void vimg_host_file_free(VimgHostFile *file); /* accepts NULL */

#endif
