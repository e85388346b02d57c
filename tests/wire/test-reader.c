/*
 * test-reader.c: packets out of a socket, however their bytes are cut
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/reader.h"

/* What the callbacks saw, as text. */
typedef struct {
    VimgReader reader;
    int fds[2];
    GString *seen;
    gsize pieced;                /* bytes of the packet that came in pieces */
    guint32 check;               /* of all payload bytes */
    gboolean stop;               /* callbacks say no */
    int got[VIMG_FRAME_FDS_MAX]; /* descriptors of the last packet */
    guint n_got;
} Fixture;

static void
add_bytes(Fixture *f, const VimgBuffer *buffer)
{
    for (gsize i = 0; i < buffer->size; i++)
        f->check = f->check * 31 + buffer->data[i];
}

static VimgReaderMode
on_mode(gpointer data, const VimgFrameHeader *header)
{
    switch (header->type) {
    case VIMG_FRAME_STREAM:
        return VIMG_READER_PIECES;
    case VIMG_FRAME_MESSAGE:
        return VIMG_READER_DISCARD;
    default:
        return VIMG_READER_COLLECT;
    }
}

static gboolean
on_piece(gpointer data, const VimgFrameHeader *header, VimgBuffer *piece)
{
    Fixture *f = data;

    g_assert_cmpuint(piece->size, >, 0);
    g_assert_cmpuint(piece->size, <=, VIMG_READER_PIECE);
    f->pieced += piece->size;
    add_bytes(f, piece);
    vimg_buffer_unref(piece);
    return !f->stop;
}

static gboolean
on_packet(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload)
{
    Fixture *f = data;

    g_string_append_printf(f->seen, "%u:%zu+%zu ", header->serial, f->pieced,
                           payload ? payload->size : 0);
    f->pieced = 0;
    if (payload)
        add_bytes(f, payload);
    vimg_buffer_unref(payload);
    if (header->type == VIMG_FRAME_CALL_WITH_FDS)
        f->n_got = vimg_reader_take_fds(&f->reader, f->got);
    return !f->stop;
}

static const VimgReaderFuncs funcs = {on_mode, on_piece, on_packet};

static void
set_up(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->fds), ==, 0);
    f->seen = g_string_new(NULL);
    vimg_reader_init(&f->reader, &funcs, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vimg_reader_clear(&f->reader);
    g_string_free(f->seen, TRUE);
    close(f->fds[0]);
    if (f->fds[1] >= 0)
        close(f->fds[1]);
}

static void
add_packet(GByteArray *out, guint32 type, guint32 serial, gsize size)
{
    VimgFrameHeader header = {.program = 1, .version = 1, .type = type, .serial = serial};
    guint8 head[VIMG_FRAME_MIN];
    guint old = out->len + sizeof(head);

    vimg_frame_head_encode(&header, size, head);
    g_byte_array_append(out, head, sizeof(head));
    g_byte_array_set_size(out, (guint)(old + size));
    for (gsize i = 0; i < size; i++)
        out->data[old + i] = (guint8)(i * 7 + i / 256 + serial);
}

/* Writes @out in portions of @step bytes and reads after each.  Returns: the last result. */
static VimgReaderResult
feed(Fixture *f, const GByteArray *out, gsize step)
{
    VimgReaderResult result = VIMG_READER_AGAIN;
    gsize at = 0;

    while (at < out->len) {
        gssize done = write(f->fds[1], out->data + at, MIN(step, out->len - at));

        if (done > 0)
            at += (gsize)done;
        do {
            result = vimg_reader_read(&f->reader, f->fds[0]);
        } while (result == VIMG_READER_YIELD);
        g_assert_cmpint(result, !=, VIMG_READER_EOF);
        if (result == VIMG_READER_BROKEN)
            break;
    }
    return result;
}

static guint32
check_of(const guint8 *data, gsize size, guint32 check)
{
    for (gsize i = 0; i < size; i++)
        check = check * 31 + data[i];
    return check;
}

static void
test_cut(Fixture *f, gconstpointer data)
{
    gsize step = GPOINTER_TO_SIZE(data);
    g_autoptr(GByteArray) out = g_byte_array_new();
    guint32 check = 0;

    add_packet(out, VIMG_FRAME_CALL, 1, 0);
    add_packet(out, VIMG_FRAME_CALL, 2, 300);
    check = check_of(out->data + 56, 300, check);
    add_packet(out, VIMG_FRAME_STREAM, 3, 0);
    add_packet(out, VIMG_FRAME_STREAM, 4, 1000);
    check = check_of(out->data + out->len - 1000, 1000, check);
    add_packet(out, VIMG_FRAME_MESSAGE, 5, 500);
    add_packet(out, VIMG_FRAME_CALL, 6, 4);
    check = check_of(out->data + out->len - 4, 4, check);
    g_assert_cmpint(feed(f, out, step), ==, VIMG_READER_AGAIN);
    g_assert_cmpstr(f->seen->str, ==, "1:0+0 2:0+300 3:0+0 4:1000+0 5:0+0 6:0+4 ");
    g_assert_cmpuint(f->check, ==, check);
}

static void
test_large(Fixture *f, gconstpointer data)
{
    guint32 type = GPOINTER_TO_UINT(data);
    gsize size = VIMG_FRAME_MAX - VIMG_FRAME_MIN;
    g_autoptr(GByteArray) out = g_byte_array_new();
    guint32 check;

    add_packet(out, type, 1, size);
    check = check_of(out->data + VIMG_FRAME_MIN, size, 0);
    add_packet(out, VIMG_FRAME_CALL, 2, 0);
    g_assert_cmpint(feed(f, out, 150000), ==, VIMG_READER_AGAIN);
    g_assert_cmpstr(f->seen->str, ==,
                    type == VIMG_FRAME_STREAM ? "1:33554408+0 2:0+0 " : "1:0+33554408 2:0+0 ");
    g_assert_cmpuint(f->check, ==, check);
}

static void
test_broken(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    add_packet(out, VIMG_FRAME_CALL, 1, 8);
    add_packet(out, VIMG_FRAME_CALL, 2, 0);
    out->data[36 + 3] = 27;
    g_assert_cmpint(feed(f, out, 1000), ==, VIMG_READER_BROKEN);
    g_assert_cmpstr(f->seen->str, ==, "1:0+8 ");
}

static void
test_stop(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    guint32 serial;

    for (serial = 1; serial <= 3; serial++)
        add_packet(out, VIMG_FRAME_STREAM, serial, 10);
    f->stop = TRUE;
    g_assert_cmpint(write(f->fds[1], out->data, out->len), ==, out->len);
    /* each packet stops twice: after its piece and at its end */
    for (serial = 1; serial <= 3; serial++) {
        g_assert_cmpint(vimg_reader_read(&f->reader, f->fds[0]), ==, VIMG_READER_STOPPED);
        g_assert_cmpint(vimg_reader_read(&f->reader, f->fds[0]), ==, VIMG_READER_STOPPED);
    }
    g_assert_cmpstr(f->seen->str, ==, "1:10+0 2:10+0 3:10+0 ");
    g_assert_cmpint(vimg_reader_read(&f->reader, f->fds[0]), ==, VIMG_READER_AGAIN);
}

/* Bytes behind a packet that brought none of the descriptors it announced: passed on it would shift
 * all that follows. */
static void
test_missing_fds(Fixture *f, gconstpointer data)
{
    gsize step = GPOINTER_TO_SIZE(data);
    g_autoptr(GByteArray) out = g_byte_array_new();

    add_packet(out, VIMG_FRAME_CALL_WITH_FDS, 1, 8);
    memcpy(out->data + VIMG_FRAME_MIN, "\0\0\0\3", 4);
    g_byte_array_append(out, (const guint8 *)"\0\0\0", 3);
    add_packet(out, VIMG_FRAME_CALL, 2, 0);
    g_assert_cmpint(feed(f, out, step), ==, VIMG_READER_BROKEN);
    g_assert_cmpstr(f->seen->str, ==, "");
}

static void
send_fd(int socket, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {"", 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);

    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(part), &fd, sizeof(fd));
    g_assert_cmpint(sendmsg(socket, &message, 0), ==, 1);
}

/* Each arrives with its packet, in order, and is the file that was sent. */
static void
test_fds(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GByteArray) behind = g_byte_array_new();
    VimgReaderResult result;
    int ends[2];
    char byte = 0;

    g_assert_cmpint(pipe(ends), ==, 0);
    add_packet(out, VIMG_FRAME_CALL_WITH_FDS, 1, 8);
    memcpy(out->data + VIMG_FRAME_MIN, "\0\0\0\2", 4);
    add_packet(behind, VIMG_FRAME_CALL, 2, 4);
    g_assert_cmpint(write(f->fds[1], out->data, out->len), ==, out->len);
    send_fd(f->fds[1], ends[0]);
    send_fd(f->fds[1], ends[1]);
    g_assert_cmpint(write(f->fds[1], behind->data, behind->len), ==, behind->len);
    do {
        result = vimg_reader_read(&f->reader, f->fds[0]);
    } while (strlen(f->seen->str) < strlen("1:0+8 2:0+4 ") && result == VIMG_READER_AGAIN);
    g_assert_cmpstr(f->seen->str, ==, "1:0+8 2:0+4 ");
    g_assert_cmpuint(f->n_got, ==, 2);
    g_assert_cmpint(write(f->got[1], "x", 1), ==, 1);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    for (guint i = 0; i < 2; i++) {
        close(f->got[i]);
        close(ends[i]);
    }
}

static gboolean
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* All that is in the socket, which one read may not show. */
static void
read_all(Fixture *f, const char *seen)
{
    for (guint i = 0; i < 8; i++)
        g_assert_cmpint(vimg_reader_read(&f->reader, f->fds[0]), ==, VIMG_READER_AGAIN);
    g_assert_cmpstr(f->seen->str, ==, seen);
}

/* What came with a packet without descriptors is not the next one's. */
static void
test_stray_fds(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GByteArray) behind = g_byte_array_new();
    int stray = dup(STDOUT_FILENO);

    add_packet(out, VIMG_FRAME_CALL, 1, 1);
    g_assert_cmpint(write(f->fds[1], out->data, out->len - 1), ==, out->len - 1);
    send_fd(f->fds[1], stray); /* with its last byte */
    read_all(f, "1:0+1 ");
    g_assert_cmpuint(f->reader.n_fds, ==, 0);
    add_packet(behind, VIMG_FRAME_CALL_WITH_FDS, 2, 4);
    memcpy(behind->data + VIMG_FRAME_MIN, "\0\0\0\1", 4);
    g_assert_cmpint(write(f->fds[1], behind->data, behind->len), ==, behind->len);
    send_fd(f->fds[1], f->fds[1]);
    read_all(f, "1:0+1 2:0+4 ");
    g_assert_cmpuint(f->n_got, ==, 1);
    g_assert_true(is_open(f->got[0]));
    close(f->got[0]);
    close(stray);
}

/* Read ahead with a small packet they stay for whom they came with. */
static void
test_fds_read_ahead(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    add_packet(out, VIMG_FRAME_CALL, 1, 0);
    add_packet(out, VIMG_FRAME_CALL_WITH_FDS, 2, 4); /* of none */
    memset(out->data + out->len - 4, 0, 4);
    add_packet(out, VIMG_FRAME_CALL_WITH_FDS, 3, 4);
    memcpy(out->data + out->len - 4, "\0\0\0\1", 4);
    g_assert_cmpint(write(f->fds[1], out->data, out->len), ==, out->len);
    send_fd(f->fds[1], f->fds[1]);
    read_all(f, "1:0+0 2:0+4 3:0+4 ");
    g_assert_cmpuint(f->n_got, ==, 1);
    g_assert_true(is_open(f->got[0]));
    close(f->got[0]);
}

/* Whoever claims more descriptors than a packet may bring ends the connection. */
static void
test_too_many_fds(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    add_packet(out, VIMG_FRAME_CALL_WITH_FDS, 1, 4);
    memcpy(out->data + VIMG_FRAME_MIN, "\0\0\0\41", 4);
    g_assert_cmpint(feed(f, out, 1000), ==, VIMG_READER_BROKEN);
    g_assert_cmpstr(f->seen->str, ==, "");
}

static void
test_eof(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    add_packet(out, VIMG_FRAME_CALL, 1, 8);
    g_assert_cmpint(write(f->fds[1], out->data, out->len - 1), ==, out->len - 1);
    close(f->fds[1]);
    f->fds[1] = -1;
    /* what came is drained before the socket is asked again */
    g_assert_cmpint(vimg_reader_read(&f->reader, f->fds[0]), ==, VIMG_READER_AGAIN);
    g_assert_cmpint(vimg_reader_read(&f->reader, f->fds[0]), ==, VIMG_READER_EOF);
    g_assert_cmpstr(f->seen->str, ==, "");
}

#define ADD(path, data, func) g_test_add(path, Fixture, data, set_up, func, tear_down)

/* What was begun and never looked at may be of a secret; so may what a larger buffer took over. */
static void
test_wiped(Fixture *f, gconstpointer data)
{
    static const guint8 zeros[1000];
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GByteArray) rest = g_byte_array_new();
    g_autoptr(VimgBuffer) old = NULL;
    g_autoptr(VimgBuffer) body = NULL;

    add_packet(out, VIMG_FRAME_CALL, 1, 600000);
    g_byte_array_append(rest, out->data + 100000, 300000);
    g_byte_array_set_size(out, 100000);
    feed(f, out, 10000);
    old = vimg_buffer_ref(f->reader.body);
    g_assert_cmpint(memcmp(old->data, zeros, sizeof(zeros)), !=, 0);
    feed(f, rest, 10000);
    body = vimg_buffer_ref(f->reader.body);
    g_assert_true(body != old);
    g_assert_cmpmem(old->data, sizeof(zeros), zeros, sizeof(zeros));
    g_assert_cmpint(memcmp(body->data, zeros, sizeof(zeros)), !=, 0);
    vimg_reader_clear(&f->reader);
    g_assert_cmpmem(body->data, sizeof(zeros), zeros, sizeof(zeros));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/reader/cut/1", GSIZE_TO_POINTER(1), test_cut);
    ADD("/reader/cut/27", GSIZE_TO_POINTER(27), test_cut);
    ADD("/reader/cut/28", GSIZE_TO_POINTER(28), test_cut);
    ADD("/reader/cut/29", GSIZE_TO_POINTER(29), test_cut);
    ADD("/reader/cut/all", GSIZE_TO_POINTER(100000), test_cut);
    ADD("/reader/large/call", GUINT_TO_POINTER(VIMG_FRAME_CALL), test_large);
    ADD("/reader/large/stream", GUINT_TO_POINTER(VIMG_FRAME_STREAM), test_large);
    ADD("/reader/broken", NULL, test_broken);
    ADD("/reader/stop", NULL, test_stop);
    ADD("/reader/fds/missing/1", GSIZE_TO_POINTER(1), test_missing_fds);
    ADD("/reader/fds/missing/all", GSIZE_TO_POINTER(1000), test_missing_fds);
    ADD("/reader/fds", NULL, test_fds);
    ADD("/reader/fds/stray", NULL, test_stray_fds);
    ADD("/reader/fds/read-ahead", NULL, test_fds_read_ahead);
    ADD("/reader/fds/too-many", NULL, test_too_many_fds);
    ADD("/reader/eof", NULL, test_eof);
    ADD("/reader/wiped", NULL, test_wiped);
    return g_test_run();
}
