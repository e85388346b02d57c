/*
 * stream.h: two directions of bytes that SFTP runs over
 *
 * A channel of SSH, or in tests a socket to a server's process.  Nothing blocks; one thread uses a
 * stream at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_STREAM_H
#define VIMG_IMAGESTORE_SFTP_STREAM_H

#include "vimg-plugin.h"

typedef struct _VimgSftpStream VimgSftpStream;

typedef struct {
    /* Returns: bytes, at least one; 0 at the end; -EAGAIN; any other value of -errno: lost. */
    gssize (*read)(VimgSftpStream *stream, gpointer data, gsize size);
    /*
     * The same; never 0.  After -EAGAIN the next call has the same @data and @size, as libssh2
     * wants it.
     */
    gssize (*write)(VimgSftpStream *stream, gconstpointer data, gsize size);
    /* What to poll() the descriptor for before a call that said -EAGAIN is worth repeating. */
    short (*events)(VimgSftpStream *stream, gboolean writing);
    /*
     * Sends what keeps an idle connection, if it is time to; never between a write() that said
     * -EAGAIN and the next.  Returns: milliseconds until it is time again; -1: it never is.
     */
    int (*keep_alive)(VimgSftpStream *stream);
    void (*free)(VimgSftpStream *stream);
} VimgSftpStreamOps;

struct _VimgSftpStream {
    const VimgSftpStreamOps *ops;
    int fd; /* to poll(), not to read */
    /* optional: whether nobody waits any more for what it is opened for; asked until that is done
     */
    gboolean (*given_up)(gpointer data);
    gpointer given_up_data;
};

static inline gboolean
vimg_sftp_stream_is_given_up(const VimgSftpStream *stream)
{
    return stream->given_up && stream->given_up(stream->given_up_data);
}

/* Over a connected socket, which it owns.  Returns: (transfer full). */
VimgSftpStream *vimg_sftp_stream_new_fd(int fd);

#endif
