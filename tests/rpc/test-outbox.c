/*
 * test-outbox.c: what is in memory and what is in a pipe goes out in the order it was given
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include "rpc/outbox.h"

#define SIZE 200000 /* of what is in a pipe */

static const VimgFrameHeader header = {.program = 1, .version = 1};

static void
append(GByteArray *all, VimgOutbox *outbox, VimgPacket *packet, const guint8 *bytes, gsize size)
{
    g_byte_array_append(all, bytes, (guint)size);
    vimg_outbox_push(outbox, packet);
}

static void
push_small(GByteArray *all, VimgOutbox *outbox, guint8 what)
{
    g_autoptr(VimgBuffer) body = vimg_buffer_new(5);
    guint8 head[VIMG_FRAME_MIN];

    memset(body->data, what, body->size);
    vimg_frame_head_encode(&header, body->size, head);
    g_byte_array_append(all, head, sizeof(head));
    append(all, outbox, vimg_packet_new_payload(&header, body, 0, body->size), body->data,
           body->size);
}

/* By way of a socket, as a pipe is filled. */
static void
push_piped(GByteArray *all, VimgOutbox *outbox, VimgPipes *pipes, guint8 what)
{
    g_autofree guint8 *bytes = g_malloc(SIZE);
    VimgPipe *pipe = vimg_pipe_new(pipes);
    gsize at = 0;
    int ends[2];

    g_assert_nonnull(pipe);
    g_assert_cmpuint(vimg_pipe_bytes(pipe), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), ==, 0);
    for (gsize i = 0; i < SIZE; i++)
        bytes[i] = (guint8)(i + i / 255 + what);
    while (vimg_pipe_bytes(pipe) < SIZE) {
        gssize done = write(ends[1], bytes + at, SIZE - at);

        at += (gsize)MAX(done, 0);
        g_assert_cmpint(vimg_pipe_fill(pipe, ends[0], SIZE - vimg_pipe_bytes(pipe)), >, 0);
    }
    close(ends[0]);
    close(ends[1]);
    append(all, outbox, vimg_packet_new_pipe(pipe), bytes, SIZE);
}

/* A few bytes at a time, so that every packet is cut. */
static void
test_order(void)
{
    VimgPipes *pipes = vimg_pipes_new(4);
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autoptr(GByteArray) got = g_byte_array_new();
    VimgOutboxResult result;
    VimgOutbox outbox;
    guint8 piece[7001];
    int ends[2], small = 4096;
    gssize n;

    vimg_outbox_init(&outbox);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), ==, 0);
    g_assert_cmpint(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), ==, 0);
    push_small(all, &outbox, 1);
    push_piped(all, &outbox, pipes, 2);
    push_piped(all, &outbox, pipes, 3);
    push_small(all, &outbox, 4);
    push_small(all, &outbox, 5);
    push_piped(all, &outbox, pipes, 6);
    g_assert_cmpuint(vimg_outbox_bytes(&outbox), >=, 3 * SIZE);
    do {
        result = vimg_outbox_flush(&outbox, ends[0]);
        g_assert_cmpint(result, !=, VIMG_OUTBOX_FAILED);
        n = read(ends[1], piece, sizeof(piece));
        if (n > 0)
            g_byte_array_append(got, piece, (guint)n);
    } while (n > 0 || result != VIMG_OUTBOX_EMPTY);
    g_assert_cmpmem(got->data, got->len, all->data, all->len);
    g_assert_cmpuint(outbox.written, ==, all->len);
    /* what is never sent gives its pipe back, with nothing in it */
    push_piped(all, &outbox, pipes, 7);
    vimg_outbox_clear(&outbox);
    for (guint i = 0; i < 4; i++)
        push_piped(all, &outbox, pipes, 8);
    vimg_outbox_clear(&outbox);
    vimg_pipes_free(pipes);
    close(ends[0]);
    close(ends[1]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/outbox/order", test_order);
    return g_test_run();
}
