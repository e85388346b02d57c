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
 * when it fails.  Writes in a thread of its own.  @name: of the volume, for errors
 */
VimgHostFile *vimg_host_file_new(int fd, guint64 at, const char *name, GError **error);
/* Comes next; @buffer NULL: zeros.  FALSE with @error: nothing comes any more. */
gboolean vimg_host_file_push(VimgHostFile *file, VimgBuffer *buffer, gsize offset, guint64 size,
                             GError **error);
/* All of it is durable.  Frees @file. */
gboolean vimg_host_file_close(VimgHostFile *file, GError **error);
void vimg_host_file_abort(VimgHostFile *file); /* frees @file; accepts NULL */

#endif
