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

#include "host/primary-queue.h"

typedef struct _VimgHostFile VimgHostFile;

/* Which one it is.  All is copied. */
typedef struct {
    const char *path;
    const char *volume; /* its name, for errors, and that of its pool */
    const char *pool;
    const char *id; /* of its mark, and where that stands */
    guint64 place;
} VimgHostFileSpec;

/*
 * The file at .path, if the mark is in it: so it is the volume, whatever else has that path where
 * the host's daemon runs.  It is written from byte @at on, behind which there is nothing any more.
 * A thread of its own does all that touches it, and is left as vimg_host_queue_new() tells; so
 * every function here may fail with what @waiter says.  NULL without an error: it is none, or not
 * for us.
 */
VimgHostFile *vimg_host_file_open(const VimgHostFileSpec *spec, guint64 at,
                                  const VimgHostWaiter *waiter, GError **error);
/* One more runs in a pool, @where of its waiter, until vimg_host_file_end(); VIMG_ERROR_BUSY: too
 * many threads hang there, or in all. */
gboolean vimg_host_file_begin(const char *where, const char *pool, GError **error);
void vimg_host_file_end(const char *where);
/* Comes next; @buffer NULL: zeros.  FALSE with @error: nothing comes any more. */
gboolean vimg_host_file_push(VimgHostFile *file, VimgBuffer *buffer, gsize offset, guint64 size,
                             GError **error);
/* All of that is durable, and still there. */
gboolean vimg_host_file_settle(VimgHostFile *file, GError **error);
/* After that: @size bytes of @head at the beginning, but for those under the mark.  Durable.
 * VIMG_ERROR_NO_VOL: its path leads elsewhere */
gboolean vimg_host_file_head(VimgHostFile *file, VimgBuffer *head, gsize size, GError **error);
/*
 * Those too, so it is whole and durable, and its name.  Once that has begun, it and all that
 * follows is waited for, cancelled or not: what will be whole must not be said to be none.  What
 * fails has its mark still, unless the very last write did.  Errors as those of the head
 */
gboolean vimg_host_file_finish(VimgHostFile *file, VimgBuffer *head, gsize size, GError **error);
/* Whether its path still leads to it; FALSE with @error, VIMG_ERROR_NO_VOL if not. */
gboolean vimg_host_file_is_there(VimgHostFile *file, GError **error);
/* Throws what that is then.  Returns: FALSE */
gboolean vimg_host_file_throw_replaced(const char *name, GError **error);
void vimg_host_file_stop(VimgHostFile *file); /* no content is written any more */
/*
 * If its storage hangs, so that it was left: @func(@data) comes when it answers, in any thread, and
 * nothing of the file is touched any more, in which the mark still is.  FALSE: it does not
 */
gboolean vimg_host_file_hand_over(VimgHostFile *file, GDestroyNotify func, gpointer data);
void vimg_host_file_free(VimgHostFile *file); /* accepts NULL */

#endif
