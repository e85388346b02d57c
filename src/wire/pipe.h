/*
 * pipe.h: a packet that passes from one socket to another without leaving the kernel
 *
 * Nobody here wants to know what is in a packet of a stream that is not ours.  So its payload goes
 * into a pipe, behind the head that was looked at, and out of it into the other socket: the pages
 * change hands, and nothing is copied.  Each packet has a pipe of its own, so it is sent on when it
 * is whole, as any other is.
 *
 * Not locked: a set of pipes belongs to one thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_WIRE_PIPE_H
#define VIMG_WIRE_PIPE_H

#include <sys/uio.h>

#include "util/error.h"

#define VIMG_PIPE_PACKET_MAX (320 * 1024) /* bytes of a packet that a pipe has room for */

typedef struct _VimgPipes VimgPipes;
typedef struct _VimgPipe VimgPipe;

/* It pays: the kernel takes a message of many pages at once. */
gboolean vimg_pipe_is_of_use(void);

/* @max: so many at a time, of two descriptors each. */
VimgPipes *vimg_pipes_new(guint max);
/* Accepts NULL.  All its pipes must have been freed. */
void vimg_pipes_free(VimgPipes *pipes);

/* Returns: NULL if no more may be, or can; then packets go the other way. */
VimgPipe *vimg_pipe_new(VimgPipes *pipes);
/* With what is still in it.  Accepts NULL. */
void vimg_pipe_free(VimgPipe *pipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgPipe, vimg_pipe_free)

/* Bytes that are in it. */
gsize vimg_pipe_bytes(const VimgPipe *pipe);
/* Returns: FALSE unless all of it went in. */
gboolean vimg_pipe_put(VimgPipe *pipe, const struct iovec *parts, int n);
/* Returns: FALSE if there are fewer. */
gboolean vimg_pipe_take(VimgPipe *pipe, gpointer to, gsize size);
/*
 * Up to @size bytes of a socket that does not block.  Returns: as recv(); with ENOBUFS nothing goes
 * in any more, whatever the socket has: what came was in too small pieces.  Another error but
 * EAGAIN, and 0, are not the socket's word: recv() has that.  Descriptors that came with the bytes
 * are closed.
 */
gssize vimg_pipe_fill(VimgPipe *pipe, int fd, gsize size);
/* All of it, which is not nothing, to a socket that does not block.  Returns: as send(), never 0;
 * SIGPIPE must be ignored. */
gssize vimg_pipe_drain(VimgPipe *pipe, int fd);

#endif
