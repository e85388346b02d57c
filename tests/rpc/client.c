/*
 * client.c: clients that speak bytes, and what they expect
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "harness.h"
#include "wire/remote.h"

void
packet_clear(Packet *packet)
{
    g_free(packet->payload);
}

int
client_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

int
client_open(Harness *h)
{
    int fd = client_connect(h->path);

    client_call(fd, P_AUTH, 0, NULL);
    expect_reply(fd, P_AUTH, 0, NULL);
    client_call(fd, P_OPEN, 1, NULL);
    expect_reply(fd, P_OPEN, 1, NULL);
    return fd;
}

int
client_open_keepalive(Harness *h)
{
    int fd = client_open(h);

    client_call(fd, P_FEATURE, 2, NULL);
    expect_reply(fd, P_FEATURE, 2, NULL);
    return fd;
}

static void
wait_fd(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    g_assert_cmpint(poll(&pfd, 1, DEADLINE / 1000), ==, 1);
}

void
client_write(int fd, const void *data, gsize size)
{
    gsize at = 0;

    while (at < size) {
        gssize done = send(fd, (const guint8 *)data + at, size - at, MSG_NOSIGNAL);

        if (done < 0 && errno == EAGAIN) {
            wait_fd(fd, POLLOUT);
            continue;
        }
        if (done < 0) /* the server may have closed; what it sent is looked at */
            return;
        at += (gsize)done;
    }
}

void
client_send(int fd, guint32 type, gint32 procedure, guint32 serial, guint32 status,
            const void *payload, gsize size)
{
    VimgFrameHeader header = {VIMG_PROGRAM_REMOTE, 1, procedure, type, serial, status};
    g_autoptr(VimgBuffer) frame = vimg_frame_new(&header, payload, size);

    client_write(fd, frame->data, frame->size);
}

GByteArray *
encode_call(gint32 procedure, guint32 serial, const char *text)
{
    VimgFrameHeader header = {VIMG_PROGRAM_REMOTE, 1, procedure, VIMG_FRAME_CALL, serial, 0};
    vimg_remote_string args = {(char *)text};
    g_autoptr(VimgBuffer) frame =
        text ? vimg_frame_new_xdr(&header, (xdrproc_t)xdr_vimg_remote_string, &args, NULL)
             : vimg_frame_new(&header, NULL, 0);
    GByteArray *out = g_byte_array_new();

    return g_byte_array_append(out, frame->data, (guint)frame->size);
}

void
client_call(int fd, gint32 procedure, guint32 serial, const char *text)
{
    g_autoptr(GByteArray) packet = encode_call(procedure, serial, text);

    client_write(fd, packet->data, packet->len);
}

void
client_data(int fd, gint32 procedure, guint32 serial, const void *data, gsize size)
{
    client_send(fd, VIMG_FRAME_STREAM, procedure, serial, VIMG_FRAME_CONTINUE, data, size);
}

void
client_hole(int fd, gint32 procedure, guint32 serial, guint64 length)
{
    guint32 payload[3] = {GUINT32_TO_BE((guint32)(length >> 32)), GUINT32_TO_BE((guint32)length),
                          0};

    client_send(fd, VIMG_FRAME_HOLE, procedure, serial, VIMG_FRAME_CONTINUE, payload,
                sizeof(payload));
}

void
client_finish(int fd, gint32 procedure, guint32 serial)
{
    client_send(fd, VIMG_FRAME_STREAM, procedure, serial, VIMG_FRAME_OK, NULL, 0);
}

void
client_abort(int fd, gint32 procedure, guint32 serial)
{
    client_send(fd, VIMG_FRAME_STREAM, procedure, serial, VIMG_FRAME_ERROR, NULL, 0);
}

void
client_ping(int fd)
{
    VimgFrameHeader header = {VIMG_PROGRAM_KEEPALIVE, 1, VIMG_KEEPALIVE_PING,
                              VIMG_FRAME_MESSAGE,     0, 0};
    g_autoptr(VimgBuffer) frame = vimg_frame_new(&header, NULL, 0);

    client_write(fd, frame->data, frame->size);
}

/* ---- what comes back -------------------------------------------------------------------- */

/* FALSE: the connection ended before the first byte. */
static gboolean
read_all(int fd, guint8 *data, gsize size)
{
    gsize at = 0;

    while (at < size) {
        gssize got = recv(fd, data + at, size - at, 0);

        if (got < 0 && errno == EAGAIN) {
            wait_fd(fd, POLLIN);
            continue;
        }
        if (got <= 0) {
            g_assert_cmpuint(at, ==, 0);
            return FALSE;
        }
        at += (gsize)got;
    }
    return TRUE;
}

gboolean
client_receive(int fd, Packet *packet)
{
    guint8 head[VIMG_FRAME_MIN];
    guint32 length;

    *packet = (Packet){0};
    if (!read_all(fd, head, sizeof(head)))
        return FALSE;
    g_assert_true(vimg_frame_length(head, &length));
    vimg_frame_header_decode(head + 4, &packet->header);
    packet->size = length - VIMG_FRAME_MIN;
    packet->payload = g_malloc(packet->size + 1);
    if (packet->size)
        g_assert_true(read_all(fd, packet->payload, packet->size));
    return TRUE;
}

gboolean
client_has_input(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

void
expect_eof(int fd)
{
    g_auto(Packet) packet = {0};

    g_assert_false(client_receive(fd, &packet));
}

static void
expect_packet(int fd, Packet *packet, guint32 type, gint32 procedure, guint32 serial)
{
    g_assert_true(client_receive(fd, packet));
    g_assert_cmpuint(packet->header.program, ==, VIMG_PROGRAM_REMOTE);
    g_assert_cmpuint(packet->header.version, ==, 1);
    g_assert_cmpuint(packet->header.type, ==, type);
    g_assert_cmpint(packet->header.procedure, ==, procedure);
    g_assert_cmpuint(packet->header.serial, ==, serial);
}

void
expect_reply(int fd, gint32 procedure, guint32 serial, const char *text)
{
    g_auto(Packet) packet = {0};
    vimg_remote_string out = {0};

    expect_packet(fd, &packet, VIMG_FRAME_REPLY, procedure, serial);
    g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_OK);
    if (!text)
        return;
    g_assert_true(vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_string, &out, packet.payload,
                                  packet.size, NULL));
    g_assert_cmpstr(out.value, ==, text);
    xdr_free((xdrproc_t)xdr_vimg_remote_string, &out);
}

void
expect_stream(int fd, gint32 procedure, guint32 serial, guint32 status)
{
    g_auto(Packet) packet = {0};

    expect_packet(fd, &packet, VIMG_FRAME_STREAM, procedure, serial);
    g_assert_cmpuint(packet.header.status, ==, status);
    g_assert_cmpuint(packet.size, ==, 0);
}

static guint32
word_at(const Packet *packet, gsize offset)
{
    guint32 word;

    g_assert_cmpuint(offset + 4, <=, packet->size);
    memcpy(&word, packet->payload + offset, 4);
    return GUINT32_FROM_BE(word);
}

void
expect_error(int fd, guint32 type, gint32 procedure, guint32 serial, int code, int domain,
             const char *text)
{
    g_auto(Packet) packet = {0};
    g_autofree char *message = NULL;

    expect_packet(fd, &packet, type, procedure, serial);
    g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_ERROR);
    g_assert_cmpuint(word_at(&packet, 8), ==, 1);
    g_assert_cmpuint(word_at(&packet, 12), <=, packet.size - 16);
    message = g_strndup((const char *)packet.payload + 16, word_at(&packet, 12));
    g_assert_cmpstr(message, ==, text);
    g_assert_cmpint((int)word_at(&packet, 0), ==, code);
    g_assert_cmpint((int)word_at(&packet, 4), ==, domain);
}

void
expect_pong(int fd)
{
    g_auto(Packet) packet = {0};

    g_assert_true(client_receive(fd, &packet));
    g_assert_cmpuint(packet.header.program, ==, VIMG_PROGRAM_KEEPALIVE);
    g_assert_cmpuint(packet.header.version, ==, 1);
    g_assert_cmpint(packet.header.procedure, ==, VIMG_KEEPALIVE_PONG);
    g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_MESSAGE);
    g_assert_cmpuint(packet.header.serial, ==, 0);
    g_assert_cmpuint(packet.size, ==, 0);
}

void
expect_alive(int fd, guint32 serial)
{
    client_call(fd, P_ECHO, serial, "alive");
    expect_reply(fd, P_ECHO, serial, "alive");
}

void
expect_dropped(int fd, gint32 procedure)
{
    client_data(fd, procedure, 5, "late data", 9);
    client_hole(fd, procedure, 5, 1000);
    client_finish(fd, procedure, 5);
    client_abort(fd, procedure, 5);
    client_data(fd, procedure, 5, NULL, 0);
    expect_alive(fd, 900);
}

void
check_content(const char *spec, const GByteArray *content)
{
    g_auto(GStrv) words = g_strsplit(spec, " ", -1);
    gboolean sparse = strstr(spec, "sparse") != NULL;
    guint64 offset = 0;
    guint at = 0;

    for (char **word = words; *word; word++) {
        gboolean hole = g_str_has_prefix(*word, "hole=");
        guint64 length;

        if (!hole && !g_str_has_prefix(*word, "data="))
            continue;
        g_assert_true(g_ascii_string_to_unsigned(*word + 5, 10, 0, G_MAXUINT64, &length, NULL));
        for (guint64 i = 0; i < length && !(hole && sparse); i++) {
            g_assert_cmpuint(at, <, content->len);
            if (content->data[at++] != (hole ? 0 : content_at(offset + i)))
                g_error("%s: byte %u differs", spec, at - 1);
        }
        offset += length;
    }
    g_assert_cmpuint(at, ==, content->len);
}
