/*
 * peer.h: a daemon that says what a test told it to, before it is asked
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TEST_CLI_PEER_H
#define VIMG_TEST_CLI_PEER_H

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/daemon-private.h"

typedef struct {
    VimgDaemon *daemon;
    int fd; /* the daemon's end */
} Peer;

static inline void
peer_init(Peer *peer)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    peer->daemon = vimg_daemon_new(fds[0], 0);
    peer->fd = fds[1];
}

static inline void
peer_clear(Peer *peer)
{
    vimg_daemon_close(peer->daemon);
    if (peer->fd >= 0)
        close(peer->fd);
}

static inline void
peer_hang_up(Peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
}

static inline void
peer_say_bytes(Peer *peer, const void *data, gsize size)
{
    g_assert_cmpint(write(peer->fd, data, size), ==, size);
}

/* One packet; @payload may be NULL. */
static inline void
peer_say(Peer *peer, const VimgFrameHeader *header, const void *payload, gsize size)
{
    g_autoptr(VimgBuffer) frame = vimg_frame_new(header, payload, size);

    peer_say_bytes(peer, frame->data, frame->size);
}

/* An error of libvirt's, as the server of this tree makes it. */
static inline void
peer_say_error(Peer *peer, const VimgFrameHeader *header, VimgErrorCode code, const char *text)
{
    g_autoptr(GError) error = g_error_new_literal(VIMG_ERROR, (gint)code, text);
    g_autoptr(VimgBuffer) frame = vimg_frame_new_error(header, error, 18);

    peer_say_bytes(peer, frame->data, frame->size);
}

/* The header of the next packet that came; what it carries is skipped. */
static inline VimgFrameHeader
peer_hear(Peer *peer)
{
    guint8 head[VIMG_FRAME_MIN];
    VimgFrameHeader header;
    guint32 length;

    g_assert_cmpint(recv(peer->fd, head, sizeof(head), MSG_WAITALL), ==, sizeof(head));
    g_assert_true(vimg_frame_length(head, &length));
    vimg_frame_header_decode(head + VIMG_FRAME_LENGTH_SIZE, &header);
    for (length -= VIMG_FRAME_MIN; length > 0;) {
        guint8 scratch[4096];
        gssize got = recv(peer->fd, scratch, MIN(length, sizeof(scratch)), 0);

        g_assert_cmpint(got, >, 0);
        length -= (guint32)got;
    }
    return header;
}

/* Whether all that came was heard. */
static inline gboolean
peer_is_quiet(Peer *peer)
{
    guint8 byte;

    return recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

#endif
