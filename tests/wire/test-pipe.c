/*
 * test-pipe.c: packets that pass by way of a pipe, and those that cannot
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/reader.h"

#define DATA 262120 /* bytes of a packet as libvirt cuts a stream */

typedef struct {
    VimgReader reader;
    VimgPipes *pipes;
    int from[2], to[2]; /* what is written to from[1] passes from[0] and to[0] */
    guint piped, collected;
    gboolean keep; /* the first pipe is not let go */
    VimgPipe *kept;
    GByteArray *sent; /* whole packets */
    GByteArray *got;
} Fixture;

static void
read_all(Fixture *f)
{
    guint8 piece[65536];
    gssize n;

    while ((n = recv(f->to[1], piece, sizeof(piece), MSG_DONTWAIT)) > 0)
        g_byte_array_append(f->got, piece, (guint)n);
}

static VimgReaderMode
on_mode(gpointer data, const VimgFrameHeader *header)
{
    return VIMG_READER_PASS;
}

static void
pass(Fixture *f, VimgPipe *pipe)
{
    gsize before = vimg_pipe_bytes(pipe);

    while (vimg_pipe_bytes(pipe)) {
        if (vimg_pipe_drain(pipe, f->to[0]) < 0)
            g_assert_cmpint(errno, ==, EAGAIN);
        read_all(f);
    }
    g_assert_cmpuint(before, >, DATA / 2);
    vimg_pipe_free(pipe);
    f->piped++;
}

static gboolean
on_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    Fixture *f = data;
    VimgPipe *pipe = vimg_reader_take_pipe(&f->reader);
    guint8 head[VIMG_FRAME_MIN];

    g_assert_true(!pipe || !payload);
    if (pipe && f->keep && !f->kept) {
        f->kept = pipe;
        return TRUE;
    }
    if (pipe) {
        pass(f, pipe);
        return TRUE;
    }
    vimg_frame_head_encode(header, payload ? payload->size : 0, head);
    g_byte_array_append(f->got, head, sizeof(head));
    if (payload)
        g_byte_array_append(f->got, payload->data, (guint)payload->size);
    vimg_buffer_unref(payload);
    f->collected++;
    return TRUE;
}

static const VimgReaderFuncs funcs = {.mode = on_mode, .packet = on_packet};

static void
set_up(Fixture *f, gconstpointer data)
{
    int flags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

    g_assert_cmpint(socketpair(AF_UNIX, flags, 0, f->from), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, flags, 0, f->to), ==, 0);
    f->pipes = vimg_pipes_new(2);
    f->sent = g_byte_array_new();
    f->got = g_byte_array_new();
    vimg_reader_init(&f->reader, &funcs, f);
    vimg_reader_set_pipes(&f->reader, f->pipes);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vimg_reader_clear(&f->reader);
    vimg_pipes_free(f->pipes);
    g_byte_array_unref(f->sent);
    g_byte_array_unref(f->got);
    for (guint i = 0; i < 2; i++) {
        close(f->from[i]);
        close(f->to[i]);
    }
}

static void
add_packet(Fixture *f, guint32 serial, gsize size)
{
    VimgFrameHeader header = {.program = 1,
                              .version = 1,
                              .procedure = 209,
                              .type = VIMG_FRAME_STREAM,
                              .serial = serial,
                              .status = VIMG_FRAME_CONTINUE};
    guint8 head[VIMG_FRAME_MIN];
    guint old = f->sent->len + sizeof(head);

    vimg_frame_head_encode(&header, size, head);
    g_byte_array_append(f->sent, head, sizeof(head));
    g_byte_array_set_size(f->sent, (guint)(old + size));
    for (gsize i = 0; i < size; i++)
        f->sent->data[old + i] = (guint8)(i * 7 + i / 251 + serial);
}

/* Writes @size bytes of what is to be sent from @at on, @step at a time, and reads what comes. */
static void
feed(Fixture *f, gsize at, gsize size, gsize step)
{
    gsize end = at + size;

    while (at < end) {
        gssize done = write(f->from[1], f->sent->data + at, MIN(step, end - at));

        if (done > 0)
            at += (gsize)done;
        else
            g_assert_cmpint(errno, ==, EAGAIN);
        g_assert_cmpint(vimg_reader_read(&f->reader, f->from[0]), ==, VIMG_READER_AGAIN);
    }
}

static void
assert_same(const Fixture *f)
{
    g_assert_cmpmem(f->got->data, f->got->len, f->sent->data, f->sent->len);
}

/*
 * Of a download of libvirt's, in its order; one that no pipe holds is among them, and none is held
 * that comes in crumbs.
 */
static void
test_pass(Fixture *f, gconstpointer data)
{
    gsize step = GPOINTER_TO_SIZE(data);
    guint piped = step < 4096 ? 0 : 3;

    add_packet(f, 1, DATA);
    add_packet(f, 1, 24);
    add_packet(f, 1, 0);
    add_packet(f, 2, VIMG_PIPE_PACKET_MAX - VIMG_FRAME_MIN);
    add_packet(f, 2, VIMG_PIPE_PACKET_MAX - VIMG_FRAME_MIN + 1);
    add_packet(f, 3, DATA);
    add_packet(f, 4, 0);
    feed(f, 0, f->sent->len, step);
    assert_same(f);
    g_assert_cmpuint(f->piped, ==, piped);
    g_assert_cmpuint(f->collected, ==, 7 - piped);
}

/* A pipe takes so many messages, whatever is in them: then the packet goes on in memory. */
static void
test_crumbs(Fixture *f, gconstpointer data)
{
    add_packet(f, 1, DATA);
    feed(f, 0, 5000, 5000);
    g_assert_nonnull(f->reader.pipe);
    feed(f, 5000, 1000, 1);
    g_assert_null(f->reader.pipe);
    feed(f, 6000, f->sent->len - 6000, 100000);
    add_packet(f, 2, DATA);
    feed(f, DATA + VIMG_FRAME_MIN, DATA + VIMG_FRAME_MIN, 100000);
    assert_same(f);
    g_assert_cmpuint(f->collected, ==, 1);
    g_assert_cmpuint(f->piped, ==, 1);
}

/* With as many as may be in use, the next packet is collected; one that is free again is used. */
static void
test_bound(Fixture *f, gconstpointer data)
{
    VimgPipe *other = vimg_pipe_new(f->pipes);

    g_assert_nonnull(other);
    f->keep = TRUE;
    for (guint32 serial = 1; serial <= 4; serial++)
        add_packet(f, serial, DATA);
    feed(f, 0, 2 * (gsize)(DATA + VIMG_FRAME_MIN), 150000);
    g_assert_nonnull(f->kept);
    g_assert_null(vimg_pipe_new(f->pipes));
    g_assert_cmpuint(f->collected, ==, 1);
    vimg_pipe_free(other);
    feed(f, 2 * (gsize)(DATA + VIMG_FRAME_MIN), 2 * (gsize)(DATA + VIMG_FRAME_MIN), 150000);
    g_assert_cmpuint(f->collected, ==, 1);
    g_assert_cmpuint(f->piped, ==, 2);
    g_byte_array_set_size(f->got, 0);
    pass(f, f->kept);
    g_assert_cmpmem(f->got->data, f->got->len, f->sent->data, DATA + VIMG_FRAME_MIN);
}

/* Nobody sees what has come of a packet whose sender went in its middle. */
static void
test_lost(Fixture *f, gconstpointer data)
{
    add_packet(f, 1, DATA);
    feed(f, 0, DATA - 1, 100000);
    shutdown(f->from[1], SHUT_WR);
    g_assert_cmpint(vimg_reader_read(&f->reader, f->from[0]), ==, VIMG_READER_EOF);
    read_all(f);
    g_assert_cmpuint(f->got->len + f->piped + f->collected, ==, 0);
    vimg_reader_clear(&f->reader);
    g_assert_null(f->reader.pipe);
    /* nor does what comes next find it in a pipe */
    for (guint i = 0; i < 2; i++) {
        VimgPipe *pipe = vimg_pipe_new(f->pipes);
        const struct iovec part = {(gpointer) "next", 4};
        char got[5] = "";

        g_assert_nonnull(pipe);
        g_assert_cmpuint(vimg_pipe_bytes(pipe), ==, 0);
        g_assert_true(vimg_pipe_put(pipe, &part, 1));
        g_assert_true(vimg_pipe_take(pipe, got, 4));
        g_assert_cmpstr(got, ==, "next");
        vimg_pipe_free(pipe);
    }
}

/* However full the pipe is when the sender goes: it is over, and nobody waits for room. */
static void
test_lost_in_crumbs(Fixture *f, gconstpointer data)
{
    add_packet(f, 1, DATA);
    feed(f, 0, VIMG_FRAME_MIN, VIMG_FRAME_MIN);
    feed(f, VIMG_FRAME_MIN, GPOINTER_TO_SIZE(data), 1);
    shutdown(f->from[1], SHUT_WR);
    g_assert_cmpint(vimg_reader_read(&f->reader, f->from[0]), ==, VIMG_READER_EOF);
    g_assert_cmpuint(f->piped + f->collected, ==, 0);
}

/* A descriptor that cannot be spliced: the packet is read as any other, and no other is tried. */
static void
test_refused(Fixture *f, gconstpointer data)
{
    add_packet(f, 1, DATA);
    feed(f, 0, 5000, 5000);
    g_assert_nonnull(f->reader.pipe);
    close(f->from[0]);
    g_assert_cmpint(vimg_reader_read(&f->reader, f->from[0]), ==, VIMG_READER_EOF);
    g_assert_null(f->reader.pipe);
    g_assert_null(f->reader.pipes);
    f->from[0] = -1;
}

static void
test_receiver_lost(Fixture *f, gconstpointer data)
{
    f->keep = TRUE;
    add_packet(f, 1, DATA);
    feed(f, 0, f->sent->len, 100000);
    close(f->to[1]);
    f->to[1] = -1;
    g_assert_cmpint(vimg_pipe_drain(f->kept, f->to[0]), ==, -1);
    g_assert_cmpint(errno, ==, EPIPE);
    vimg_pipe_free(f->kept);
}

int
main(int argc, char **argv)
{
    static const gsize steps[] = {27, 4096, 50000, 1000000};

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autofree char *path = g_strdup_printf("/pipe/pass/%zu", steps[i]);

        g_test_add(path, Fixture, GSIZE_TO_POINTER(steps[i]), set_up, test_pass, tear_down);
    }
    g_test_add("/pipe/crumbs", Fixture, NULL, set_up, test_crumbs, tear_down);
    g_test_add("/pipe/bound", Fixture, NULL, set_up, test_bound, tear_down);
    g_test_add("/pipe/lost", Fixture, NULL, set_up, test_lost, tear_down);
    for (gsize n = 120; n <= 130; n++) {
        g_autofree char *path = g_strdup_printf("/pipe/lost-in-crumbs/%zu", n);

        g_test_add(path, Fixture, GSIZE_TO_POINTER(n), set_up, test_lost_in_crumbs, tear_down);
    }
    g_test_add("/pipe/refused", Fixture, NULL, set_up, test_refused, tear_down);
    g_test_add("/pipe/receiver-lost", Fixture, NULL, set_up, test_receiver_lost, tear_down);
    return g_test_run();
}
