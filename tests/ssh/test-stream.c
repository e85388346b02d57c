/*
 * test-stream.c: bytes through a channel of SSH, both ways at once
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "imagestore/sftp/ssh-stream.h"
#include "ssh/ssh-private.h"
#include "sshd-helper.h"

#define MIB (1024 * 1024)

static VimgSftpStream *
open_stream(Sshd *sshd, GError **error)
{
    VimgSshTarget target = sshd_target(sshd);
    VimgSsh *ssh = vimg_ssh_connect(&target, NULL, NULL, error);

    g_assert_no_error(*error);
    return vimg_sftp_stream_new_ssh(ssh, error);
}

static guint8
byte_at(gsize offset)
{
    return (guint8)(offset * 2654435761U >> 13);
}

static void
wait_for(VimgSftpStream *stream, gboolean writing)
{
    struct pollfd poll_fd = {.fd = stream->fd, .events = stream->ops->events(stream, writing)};

    g_assert_cmpint(poll(&poll_fd, 1, 60000), >, 0);
}

/* Returns: how far reading got. */
static gsize
read_all(VimgSftpStream *stream, gsize at)
{
    guint8 data[20000];
    gssize got;
    gssize i;

    while ((got = stream->ops->read(stream, data, sizeof(data))) > 0)
        for (i = 0; i < got; i++, at++)
            if (data[i] != byte_at(at))
                g_error("wrong byte at %zu", at);
    g_assert_cmpint(got, ==, -EAGAIN);
    return at;
}

/* Everything comes back: what is written and what is read get in each other's way. */
static void
echo(Sshd *sshd, gsize total, int buffer)
{
    g_autoptr(GError) error = NULL;
    VimgSftpStream *stream = open_stream(sshd, &error);
    g_autofree guint8 *data = g_malloc(total);
    gsize written = 0;
    gsize read = 0;
    gsize piece = 0;
    gsize i;

    g_assert_no_error(error);
    if (buffer)
        setsockopt(stream->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    for (i = 0; i < total; i++)
        data[i] = byte_at(i);
    while (read < total) {
        gssize put = 0;

        while (written < total) {
            if (piece == 0) {
                piece = (gsize)g_test_rand_int_range(1, 300000);
                piece = MIN(piece, total - written);
            }
            put = stream->ops->write(stream, data + written, piece);
            if (put < 0)
                break;
            g_assert_cmpint(put, >, 0);
            written += (gsize)put;
            piece = 0; /* only after -EAGAIN it is the same again */
        }
        if (put < 0)
            g_assert_cmpint(put, ==, -EAGAIN);
        read = read_all(stream, read);
        g_assert_cmpint(stream->ops->keep_alive(stream), >, 0);
        if (read < total)
            wait_for(stream, written < total);
    }
    stream->ops->free(stream);
}

static void
test_echo(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "Subsystem sftp /bin/cat\n");

    echo(sshd, 32 * MIB, 0);
}

/* A socket that is always full, new keys all the time, and a server that asks whether we live. */
static void
test_narrow(void)
{
    g_autoptr(Sshd) sshd =
        sshd_new("ed25519", "Subsystem sftp /bin/cat\nRekeyLimit 256K\nClientAliveInterval 1\n");

    echo(sshd, 2 * MIB, 2048);
}

/*
 * A server that sends all it may while nobody reads, again and again: what libssh2 keeps of it has
 * room, with a half to spare.
 */
static void
test_window(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "Subsystem sftp /bin/cat /dev/zero\n");
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(&target, NULL, NULL, &error);
    g_autofree char *data = g_malloc(MIB);
    LIBSSH2_CHANNEL *channel;
    unsigned long kept = 0;
    guint round;

    g_assert_no_error(error);
    channel = vimg_ssh_subsystem(ssh, "sftp", &error);
    g_assert_no_error(error);
    for (round = 0; round < 3; round++) {
        struct pollfd poll_fd = {.fd = ssh->fd, .events = POLLIN};
        gssize got;

        while (libssh2_channel_window_read_ex(channel, &kept, NULL) > kept) {
            g_assert_cmpint(poll(&poll_fd, 1, 60000), >, 0);
            got = libssh2_channel_read(channel, data, 1);
            g_assert_true(got == 1 || got == LIBSSH2_ERROR_EAGAIN);
        }
        g_test_message("%lu bytes take %zu", kept, ssh->memory);
        g_assert_cmpuint(kept, >=, 5 * MIB);
        g_assert_cmpuint(ssh->memory, <, VIMG_SSH_MEMORY_MAX / 3 * 2);
        for (; kept > MIB; kept -= MIN(kept, (gsize)got)) {
            got = libssh2_channel_read(channel, data, MIB);
            g_assert_true(got > 0 || got == LIBSSH2_ERROR_EAGAIN);
            got = MAX(got, 0);
        }
    }
}

static void
test_end(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "Subsystem sftp /bin/echo done; echo no >&2\n");
    g_autoptr(GError) error = NULL;
    VimgSftpStream *stream = open_stream(sshd, &error);
    char data[16];
    gsize size = 0;
    gssize got;

    g_assert_no_error(error);
    while ((got = stream->ops->read(stream, data + size, sizeof(data) - size)) != 0) {
        if (got > 0)
            size += (gsize)got;
        else if (got == -EAGAIN)
            wait_for(stream, FALSE);
        else
            g_error("read: %zd", got);
    }
    g_assert_cmpmem(data, size, "done\n", 5);
    stream->ops->free(stream);
}

/* Both directions of a connection that was cut. */
static void
test_lost(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "Subsystem sftp /bin/cat\n");
    g_autoptr(GError) error = NULL;
    VimgSftpStream *stream = open_stream(sshd, &error);
    char data[16] = "";

    g_assert_no_error(error);
    g_assert_cmpint(stream->ops->read(stream, data, sizeof(data)), ==, -EAGAIN);
    shutdown(stream->fd, SHUT_RDWR);
    g_assert_cmpint(stream->ops->read(stream, data, sizeof(data)), ==, -EPIPE);
    g_assert_cmpint(stream->ops->write(stream, data, sizeof(data)), ==, -EPIPE);
    stream->ops->free(stream);
}

static void
test_refused(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", "Subsystem sftp /bin/cat\nMaxSessions 0\n");
    g_autoptr(GError) error = NULL;

    g_assert_null(open_stream(sshd, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_true(g_str_has_prefix(error->message, "subsystem at 127.0.0.1 port "));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ssh/stream/echo", test_echo);
    g_test_add_func("/ssh/stream/narrow", test_narrow);
    g_test_add_func("/ssh/stream/window", test_window);
    g_test_add_func("/ssh/stream/end", test_end);
    g_test_add_func("/ssh/stream/lost", test_lost);
    g_test_add_func("/ssh/stream/refused", test_refused);
    return g_test_run();
}
