/*
 * ssh-stream.c: SFTP over a channel of SSH
 *
 * libssh2 sends one packet after the other: a call that is in the midst of one must come again
 * before any other call may send, and reading sends too, as to open the window.  So whoever is
 * held up by a full socket keeps the right to use the session until it gets further.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>

#include "ssh-stream.h"

#define KEEP_ALIVE_RETRY 1000 /* milliseconds */

typedef enum {
    READER,
    WRITER,
    N_USERS,
    NOBODY = N_USERS,
} User;

typedef struct {
    VimgSftpStream base;
    VimgSsh *ssh;
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel;
    User held_up;           /* by a packet that was sent in part */
    guint64 waits[N_USERS]; /* what had been received when each was told to wait */
} SshStream;

static gboolean
sends(const SshStream *stream)
{
    return libssh2_session_block_directions(stream->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND;
}

/* Whether something came that may be what @user waits for, though it is not in the socket. */
static gboolean
is_due(const SshStream *stream, User user)
{
    return stream->waits[user] != vimg_ssh_received(stream->ssh);
}

/* Another one is in the midst of a packet.  Returns: -EAGAIN, not before that has changed. */
static gssize
give_way(SshStream *stream, User user)
{
    stream->waits[user] = G_MAXUINT64;
    return -EAGAIN;
}

/* What @rc of @user's call means; 0 is nothing yet. */
static gssize
settle(SshStream *stream, User user, gssize rc)
{
    stream->held_up = rc == LIBSSH2_ERROR_EAGAIN && sends(stream) ? user : NOBODY;
    stream->waits[user] = vimg_ssh_received(stream->ssh);
    if (rc > 0)
        return rc;
    return rc == 0 || rc == LIBSSH2_ERROR_EAGAIN ? -EAGAIN : -EPIPE;
}

static gssize
stream_read(VimgSftpStream *base, gpointer data, gsize size)
{
    SshStream *stream = (SshStream *)base;
    gssize got;

    if (stream->held_up == WRITER)
        return give_way(stream, READER);
    got = libssh2_channel_read(stream->channel, data, size);
    if (got == 0 && libssh2_channel_eof(stream->channel))
        return 0;
    return settle(stream, READER, got);
}

static gssize
stream_write(VimgSftpStream *base, gconstpointer data, gsize size)
{
    SshStream *stream = (SshStream *)base;

    if (stream->held_up == READER)
        return give_way(stream, WRITER);
    return settle(stream, WRITER, libssh2_channel_write(stream->channel, data, size));
}

static short
stream_events(VimgSftpStream *base, gboolean writing)
{
    SshStream *stream = (SshStream *)base;

    if (stream->held_up != NOBODY)
        return POLLOUT;
    /* a socket that can be written to wakes whoever need not wait at all */
    return is_due(stream, READER) || (writing && is_due(stream, WRITER)) ? POLLIN | POLLOUT
                                                                         : POLLIN;
}

static int
stream_keep_alive(VimgSftpStream *base)
{
    SshStream *stream = (SshStream *)base;
    struct pollfd poll_fd = {.fd = base->fd, .events = POLLOUT};
    int seconds = 0;

    /* libssh2 forgets one that was sent in part; a socket that is full keeps itself alive */
    if (stream->held_up != NOBODY || poll(&poll_fd, 1, 0) <= 0)
        return KEEP_ALIVE_RETRY;
    libssh2_keepalive_send(stream->session, &seconds);
    return MAX(seconds, 1) * 1000;
}

static void
stream_free(VimgSftpStream *base)
{
    SshStream *stream = (SshStream *)base;

    vimg_ssh_free(stream->ssh);
    g_free(stream);
}

static const VimgSftpStreamOps stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .events = stream_events,
    .keep_alive = stream_keep_alive,
    .free = stream_free,
};

VimgSftpStream *
vimg_sftp_stream_new_ssh(VimgSsh *ssh, GError **error)
{
    g_autoptr(VimgSsh) owned = ssh;
    LIBSSH2_CHANNEL *channel = vimg_ssh_subsystem(ssh, "sftp", error);
    SshStream *stream;

    if (!channel)
        return NULL;
    stream = g_new0(SshStream, 1);
    stream->base.ops = &stream_ops;
    stream->base.fd = vimg_ssh_fd(ssh);
    stream->ssh = g_steal_pointer(&owned);
    stream->session = vimg_ssh_session(ssh);
    stream->channel = channel;
    stream->held_up = NOBODY;
    return &stream->base;
}
