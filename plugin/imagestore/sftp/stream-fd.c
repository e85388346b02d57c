/*
 * stream-fd.c: SFTP over a socket, as to a server's process of this host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

static gssize
result_of(gssize n)
{
    if (n >= 0)
        return n;
    /* nothing was done: the caller polls, which shows it what there is, and comes again */
    return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static gssize
fd_read(VimgSftpStream *stream, gpointer data, gsize size)
{
    return result_of(recv(stream->fd, data, size, MSG_DONTWAIT));
}

static gssize
fd_write(VimgSftpStream *stream, gconstpointer data, gsize size)
{
    return result_of(send(stream->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static short
fd_events(VimgSftpStream *stream, gboolean writing)
{
    (void)stream;
    return writing ? POLLOUT : POLLIN;
}

static int
fd_keep_alive(VimgSftpStream *stream)
{
    (void)stream;
    return -1;
}

static void
fd_free(VimgSftpStream *stream)
{
    close(stream->fd);
    g_free(stream);
}

static const VimgSftpStreamOps fd_ops = {
    .read = fd_read,
    .write = fd_write,
    .events = fd_events,
    .keep_alive = fd_keep_alive,
    .free = fd_free,
};

VimgSftpStream *
vimg_sftp_stream_new_fd(int fd)
{
    VimgSftpStream *stream = g_new0(VimgSftpStream, 1);

    stream->ops = &fd_ops;
    stream->fd = fd;
    return stream;
}
