/*
 * cut-stream.c: connections to an SFTP server that are cut where a test says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cut-stream.h"
#include "sftp-helper.h"
#include "sftp/packet.h"
#include "sftp/transport-sftp.h"
#include "throw.h"

#define HEAD 4 /* bytes of the length before a packet */

/* Where one direction is. */
typedef struct {
    guint packets; /* that began */
    guint8 head[HEAD];
    gsize have; /* of @head */
    gsize left; /* of the packet after that */
} Track;

typedef struct {
    VimgSftpStream parent;
    VimgSftpStream *inner;
    Cut *cut;
    Track out, in;
    GByteArray *received; /* not yet given on */
    GByteArray *held;     /* less than a packet, where they are changed */
} CutStream;

static guint32
number_at(const guint8 *bytes)
{
    guint32 value;

    memcpy(&value, bytes, sizeof(value));
    return GUINT32_FROM_BE(value);
}

/* Goes on over @size bytes, but not into packet @stop (0: none).  Returns: how many. */
static gsize
track(Track *state, const guint8 *data, gsize size, guint stop)
{
    gsize i;

    for (i = 0; i < size; i++) {
        if (state->have == 0 && stop > 0 && state->packets + 1 == stop)
            break;
        if (state->have < HEAD) {
            state->packets += state->have == 0;
            state->head[state->have++] = data[i];
            state->left = number_at(state->head);
        } else {
            state->left--;
        }
        if (state->have == HEAD && state->left == 0)
            state->have = 0;
    }
    return i;
}

static gboolean
is_cut(const CutStream *stream)
{
    return stream->cut->kind != CUT_LATE && __atomic_load_n(&stream->cut->cut, __ATOMIC_ACQUIRE);
}

/* The server ends once it did all it was asked. */
static gssize
cut_now(CutStream *stream)
{
    guint8 rest[4096];

    shutdown(stream->inner->fd, SHUT_WR);
    while (recv(stream->inner->fd, rest, sizeof(rest), 0) > 0)
        ;
    __atomic_store_n(&stream->cut->cut, TRUE, __ATOMIC_RELEASE);
    return -ECONNRESET;
}

static gssize
cut_read(VimgSftpStream *base, gpointer data, gsize size)
{
    CutStream *stream = (CutStream *)base;
    guint stop = stream->cut->kind == CUT_REPLY ? stream->cut->at : 0;
    guint8 bytes[65536];
    gssize n = 0;

    if (is_cut(stream))
        return -ECONNRESET;
    if (stream->received->len == 0)
        n = stream->inner->ops->read(stream->inner, bytes, sizeof(bytes));
    if (n > 0)
        g_byte_array_append(stream->received, bytes, (guint)n);
    if (stream->received->len == 0)
        return n;
    n = (gssize)track(&stream->in, stream->received->data, MIN(size, stream->received->len), stop);
    if (n == 0)
        return cut_now(stream);
    memcpy(data, stream->received->data, (gsize)n);
    g_byte_array_remove_range(stream->received, 0, (guint)n);
    return n;
}

static void
send_whole(CutStream *stream, const guint8 *data, gsize size)
{
    while (size > 0) {
        gssize n = send(stream->inner->fd, data, size, MSG_NOSIGNAL);

        g_assert_cmpint(n, >, 0);
        data += n;
        size -= (gsize)n;
    }
}

/* Whole packets only; those that read ask for less. */
static gssize
write_changed(CutStream *stream, gconstpointer data, gsize size)
{
    GByteArray *held = stream->held;
    guint32 length;

    g_byte_array_append(held, data, (guint)size);
    while (held->len >= HEAD && held->len >= HEAD + (length = number_at(held->data))) {
        guint8 *end = held->data + HEAD + length;
        guint32 most = GUINT32_TO_BE(stream->cut->most);

        if (held->data[HEAD] == VIMG_SFTP_READ && number_at(end - 4) > stream->cut->most)
            memcpy(end - 4, &most, sizeof(most));
        send_whole(stream, held->data, HEAD + length);
        g_byte_array_remove_range(held, 0, HEAD + length);
    }
    return (gssize)size;
}

static gboolean
all_answered(const CutStream *stream)
{
    Track ahead = stream->in;

    track(&ahead, stream->received->data, stream->received->len, 0);
    return ahead.packets >= stream->out.packets && ahead.have == 0;
}

/* Until the server is at nothing any more; what it says is kept. */
static void
wait_answered(CutStream *stream)
{
    struct pollfd poll_fd = {.fd = stream->inner->fd, .events = POLLIN};
    guint8 bytes[4096];

    while (!all_answered(stream)) {
        gssize n;

        g_assert_cmpint(poll(&poll_fd, 1, 60000), >, 0);
        n = stream->inner->ops->read(stream->inner, bytes, sizeof(bytes));
        g_assert_cmpint(n, >, 0);
        g_byte_array_append(stream->received, bytes, (guint)n);
    }
}

static gssize
cut_write(VimgSftpStream *base, gconstpointer data, gsize size)
{
    CutStream *stream = (CutStream *)base;
    Track ahead = stream->out;
    guint stop = 0;
    gsize whole;
    gssize n;

    if (is_cut(stream))
        return -ECONNRESET;
    if (stream->cut->most > 0)
        return write_changed(stream, data, size);
    if (stream->cut->kind == CUT_REQUEST || (stream->cut->kind == CUT_LATE && !stream->cut->cut))
        stop = stream->cut->at;
    whole = size;
    size = track(&ahead, data, size, stop);
    if (size == 0 && stream->cut->kind == CUT_LATE) {
        wait_answered(stream);
        stream->cut->late(stream->cut->dir);
        stream->cut->cut = TRUE;
        size = whole;
    }
    if (size == 0)
        return cut_now(stream);
    n = stream->inner->ops->write(stream->inner, data, size);
    if (n > 0)
        track(&stream->out, data, (gsize)n, 0);
    return n;
}

static short
cut_events(VimgSftpStream *base, gboolean writing)
{
    VimgSftpStream *inner = ((CutStream *)base)->inner;

    return inner->ops->events(inner, writing);
}

static int
cut_keep_alive(VimgSftpStream *base)
{
    return -1;
}

static void
cut_free(VimgSftpStream *base)
{
    CutStream *stream = (CutStream *)base;

    stream->inner->ops->free(stream->inner);
    __atomic_store_n(&stream->cut->freed, TRUE, __ATOMIC_RELEASE);
    g_byte_array_unref(stream->received);
    g_byte_array_unref(stream->held);
    g_free(stream);
}

static const VimgSftpStreamOps cut_ops = {
    .read = cut_read,
    .write = cut_write,
    .events = cut_events,
    .keep_alive = cut_keep_alive,
    .free = cut_free,
};

VimgSftpStream *
cut_stream_new(int fd, Cut *cut)
{
    CutStream *stream = g_new0(CutStream, 1);

    stream->parent.ops = &cut_ops;
    stream->parent.fd = fd;
    stream->inner = vimg_sftp_stream_new_fd(fd);
    stream->cut = cut;
    stream->received = g_byte_array_new();
    stream->held = g_byte_array_new();
    return &stream->parent;
}

/* ---- servers ------------------------------------------------------------------------------- */

const char *const cut_no_extensions[] = {"-P", "posix-rename,fsync,statvfs,hardlink,limits", NULL};

static VimgSftpStream *
connect_server(gpointer data, GError **error)
{
    CutServer *server = data;
    guint number = __atomic_add_fetch(&server->connections, 1, __ATOMIC_RELAXED);

    if (server->failures > 0) {
        server->failures--;
        throw_error(error, server->code, "no way %s", "there");
        return NULL;
    }
    if (number == 1 && server->cut)
        return cut_stream_new(helper_sftp_server(server->args, NULL), server->cut);
    if (number == 2 && server->meanwhile)
        server->meanwhile(server->dir);
    return vimg_sftp_stream_new_fd(helper_sftp_server(server->args, NULL));
}

static void
note_status(gboolean connected, const char *reason, gpointer data)
{
    CutServer *server = data;

    g_assert_true(connected == !reason);
    __atomic_add_fetch(connected ? &server->back : &server->lost, 1, __ATOMIC_RELEASE);
}

VimgTransport *
cut_transport_new(CutServer *server, guint connections, guint patience)
{
    const VimgSftpTransportConfig config = {
        .root = server->dir,
        .connect = connect_server,
        .status = note_status,
        .data = server,
        .connections = connections,
        .patience = patience,
    };

    return vimg_transport_sftp_new(&config);
}
