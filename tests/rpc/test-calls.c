/*
 * test-calls.c: calls over a socket: framing, opening, rights
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>
#include <unistd.h>

#include "harness.h"

/* ---- framing ---------------------------------------------------------------------------- */

static void
test_bad_length(Harness *h, gconstpointer data)
{
    static const guint32 bad[] = {0, 3, 4, 27, VIMG_FRAME_MAX + 1, 0x7fffffff, 0xffffffff};
    int other;

    harness_start(h);
    other = client_open(h);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fd = client_open(h);
        guint8 packet[64] = {0};
        guint32 word = GUINT32_TO_BE(bad[i]);

        memcpy(packet, &word, 4);
        client_write(fd, packet, sizeof(packet));
        expect_eof(fd);
        close(fd);
        expect_alive(other, 10 + (guint32)i);
    }
    close(other);
}

static void
test_bytes_one_by_one(Harness *h, gconstpointer data)
{
    g_autoptr(GByteArray) packet = encode_call(P_ECHO, 7, "slowly");
    int fd = harness_open(h);

    for (guint i = 0; i < packet->len; i++)
        client_write(fd, packet->data + i, 1);
    expect_reply(fd, P_ECHO, 7, "slowly");
    close(fd);
}

typedef struct {
    const char *path;
    const char *payload;
    gsize size;
    const char *answer; /* NULL: error 39/7 */
} ArgsCase;

#define BYTES(text) text, sizeof(text) - 1

static const ArgsCase args_cases[] = {
    {"/calls/args/none", "", 0, NULL},
    {"/calls/args/short", BYTES("\0\0\0\5abcd"), NULL},
    {"/calls/args/too-long", BYTES("\0\x40\0\1abcd"), NULL},
    {"/calls/args/nul", BYTES("\0\0\0\4a\0cd"), NULL},
    {"/calls/args/trailing", BYTES("\0\0\0\4abcdtrailing bytes"), "abcd"},
};

static void
test_args(Harness *h, gconstpointer data)
{
    const ArgsCase *c = data;
    int fd = harness_open(h);

    client_send(fd, VIMG_FRAME_CALL, P_ECHO, 5, VIMG_FRAME_OK, c->payload, c->size);
    if (c->answer)
        expect_reply(fd, P_ECHO, 5, c->answer);
    else
        expect_error(fd, VIMG_FRAME_REPLY, P_ECHO, 5, VIR_ERR_RPC, VIR_FROM_RPC,
                     "Unable to decode message payload");
    expect_alive(fd, 6);
    close(fd);
}

/* The largest packet there is: accepted, its end ignored. */
static void
test_largest(Harness *h, gconstpointer data)
{
    gsize size = VIMG_FRAME_MAX - VIMG_FRAME_MIN;
    g_autofree guint8 *payload = g_malloc0(size);
    int fd = harness_open(h);

    memcpy(payload, "\0\0\0\4abcd", 8);
    client_send(fd, VIMG_FRAME_CALL, P_ECHO, 5, VIMG_FRAME_OK, payload, size);
    expect_reply(fd, P_ECHO, 5, "abcd");
    expect_alive(fd, 6);
    close(fd);
}

static void
test_long_string(Harness *h, gconstpointer data)
{
    g_autofree char *text = g_strnfill(4194304, 'x');
    int fd = harness_open(h);

    client_call(fd, P_ECHO, 5, text);
    expect_reply(fd, P_ECHO, 5, text);
    close(fd);
}

/* Packets that are neither calls nor for a stream we know. */
static void
test_dropped_types(Harness *h, gconstpointer data)
{
    static const guint32 types[] = {VIMG_FRAME_REPLY,
                                    VIMG_FRAME_MESSAGE,
                                    VIMG_FRAME_STREAM,
                                    VIMG_FRAME_REPLY_WITH_FDS,
                                    VIMG_FRAME_HOLE,
                                    7,
                                    99,
                                    0xffffffff};
    int fd = harness_open(h);

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        for (guint32 status = 0; status < 4; status++)
            client_send(fd, types[i], P_ECHO, 77, status, "twelve bytes", 12);
    }
    expect_alive(fd, 6);
    close(fd);
}

static void
send_with_fds(int fd, guint32 serial, guint32 claimed)
{
    g_autoptr(GByteArray) packet = encode_call(P_ECHO, serial, "fds");
    guint32 type = GUINT32_TO_BE(VIMG_FRAME_CALL_WITH_FDS);
    guint32 length = GUINT32_TO_BE(packet->len + 4);
    guint32 n = GUINT32_TO_BE(claimed);

    memcpy(packet->data, &length, 4);
    memcpy(packet->data + 16, &type, 4);
    client_write(fd, packet->data, VIMG_FRAME_MIN);
    client_write(fd, &n, 4);
    client_write(fd, packet->data + VIMG_FRAME_MIN, packet->len - VIMG_FRAME_MIN);
}

static void
test_with_fds(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    send_with_fds(fd, 7, 0);
    expect_reply(fd, P_ECHO, 7, "fds");
    expect_alive(fd, 8);
    send_with_fds(fd, 9, 2);
    client_write(fd, "\0\0", 2); /* what would carry the descriptors */
    expect_eof(fd);
    close(fd);
    fd = client_open(h);
    send_with_fds(fd, 7, 33);
    expect_eof(fd);
    close(fd);
}

/* ---- what is refused -------------------------------------------------------------------- */

typedef struct {
    const char *path;
    guint32 program, version;
    gint32 procedure;
    guint32 status;
    const char *text;
} RefusedCase;

static const RefusedCase refused_cases[] = {
    {"/calls/refused/program", 0x20008087, 1, P_ECHO, 0, "Cannot find program 536903815 version 1"},
    {"/calls/refused/version", VIMG_PROGRAM_REMOTE, 2, P_ECHO, 0,
     "Cannot find program 536903814 version 2"},
    {"/calls/refused/keepalive-call", VIMG_PROGRAM_KEEPALIVE, 1, 1, 0,
     "Cannot find program 1801807216 version 1"},
    {"/calls/refused/procedure-0", VIMG_PROGRAM_REMOTE, 1, 0, 0, "unknown procedure: 0"},
    {"/calls/refused/procedure-last", VIMG_PROGRAM_REMOTE, 1, N_PROCS, 0,
     "unknown procedure: 17: only a libvirt daemon of this host would serve it, and none was found "
     "(host_uri in virtimaged.conf)"},
    {"/calls/refused/procedure-beyond", VIMG_PROGRAM_REMOTE, 1, 501, 0, "unknown procedure: 501"},
    {"/calls/refused/procedure-high", VIMG_PROGRAM_REMOTE, 1, G_MAXINT32, 0,
     "unknown procedure: 2147483647"},
    {"/calls/refused/procedure-negative", VIMG_PROGRAM_REMOTE, 1, -1, 0, "unknown procedure: -1"},
    {"/calls/refused/status-error", VIMG_PROGRAM_REMOTE, 1, P_ECHO, 1,
     "Unexpected message status 1"},
    {"/calls/refused/status-continue", VIMG_PROGRAM_REMOTE, 1, P_ECHO, 2,
     "Unexpected message status 2"},
};

static void
test_refused(Harness *h, gconstpointer data)
{
    const RefusedCase *c = data;
    VimgFrameHeader header = {c->program, c->version, c->procedure, VIMG_FRAME_CALL, 9, c->status};
    g_autoptr(VimgBuffer) frame = vimg_frame_new(&header, "\0\0\0\0", 4);
    g_auto(Packet) reply = {0};
    g_autofree char *message = NULL;
    int fd = harness_open(h);

    client_write(fd, frame->data, frame->size);
    g_assert_true(client_receive(fd, &reply));
    g_assert_cmpuint(reply.header.program, ==, c->program);
    g_assert_cmpuint(reply.header.version, ==, c->version);
    g_assert_cmpint(reply.header.procedure, ==, c->procedure);
    g_assert_cmpuint(reply.header.type, ==, VIMG_FRAME_REPLY);
    g_assert_cmpuint(reply.header.serial, ==, 9);
    g_assert_cmpuint(reply.header.status, ==, VIMG_FRAME_ERROR);
    g_assert_cmpint(reply.payload[3], ==, VIR_ERR_RPC);
    g_assert_cmpint(reply.payload[7], ==, VIR_FROM_RPC);
    message = g_strndup((const char *)reply.payload + 16, reply.payload[15]);
    g_assert_cmpstr(message, ==, c->text);
    expect_alive(fd, 10);
    close(fd);
}

static void
test_order_of_opening(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    fd = client_connect(h->path);
    client_call(fd, P_ECHO, 0, "x");
    expect_error(fd, VIMG_FRAME_REPLY, P_ECHO, 0, VIR_ERR_RPC, VIR_FROM_RPC,
                 "authentication required");
    client_call(fd, P_OPEN, 1, NULL);
    expect_error(fd, VIMG_FRAME_REPLY, P_OPEN, 1, VIR_ERR_RPC, VIR_FROM_RPC,
                 "authentication required");
    client_call(fd, P_AUTH, 2, NULL);
    expect_reply(fd, P_AUTH, 2, NULL);
    client_call(fd, P_ECHO, 3, "x");
    expect_error(fd, VIMG_FRAME_REPLY, P_ECHO, 3, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC,
                 "internal error: connection not open");
    client_call(fd, P_FEATURE, 4, NULL);
    expect_reply(fd, P_FEATURE, 4, NULL);
    client_call(fd, P_OPEN, 5, NULL);
    expect_reply(fd, P_OPEN, 5, NULL);
    client_call(fd, P_OPEN, 6, NULL);
    expect_error(fd, VIMG_FRAME_REPLY, P_OPEN, 6, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC,
                 "internal error: connection already open");
    expect_alive(fd, 7);
    close(fd);
}

/* Everything at once: what comes before AUTH is refused, what comes after OPEN is served. */
static void
test_pipelined_opening(Harness *h, gconstpointer data)
{
    static const gint32 order[] = {P_ECHO, P_AUTH, P_FEATURE, P_OPEN, P_ECHO, P_UPLOAD};
    g_autoptr(GByteArray) all = g_byte_array_new();
    int fd;

    harness_start(h);
    fd = client_connect(h->path);
    for (guint32 i = 0; i < G_N_ELEMENTS(order); i++) {
        gboolean text = order[i] == P_ECHO || order[i] == P_UPLOAD;
        g_autoptr(GByteArray) one = encode_call(order[i], i, text ? "id=1" : NULL);

        g_byte_array_append(all, one->data, one->len);
    }
    client_write(fd, all->data, all->len);
    client_data(fd, P_UPLOAD, 5, "data", 4);
    client_finish(fd, P_UPLOAD, 5);
    expect_error(fd, VIMG_FRAME_REPLY, P_ECHO, 0, VIR_ERR_RPC, VIR_FROM_RPC,
                 "authentication required");
    expect_reply(fd, P_AUTH, 1, NULL);
    expect_reply(fd, P_FEATURE, 2, NULL);
    expect_reply(fd, P_OPEN, 3, NULL);
    for (guint i = 0; i < 3; i++) { /* open: the rest in any order, but for the stream's own */
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_OK);
        g_assert_cmpuint(packet.header.serial, >=, 4);
    }
    g_assert_cmpuint(world_outcome(1).bytes, ==, 4);
    g_assert_true(world_outcome(1).finished);
    close(fd);
}

static void
test_read_only(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    fd = client_connect(h->ro_path);
    client_call(fd, P_AUTH, 0, NULL);
    expect_reply(fd, P_AUTH, 0, NULL);
    client_call(fd, P_OPEN, 1, NULL);
    expect_reply(fd, P_OPEN, 1, NULL);
    client_call(fd, P_WRITE, 2, "x");
    expect_error(fd, VIMG_FRAME_REPLY, P_WRITE, 2, VIR_ERR_OPERATION_DENIED, VIR_FROM_STORAGE,
                 "operation forbidden: read only access prevents virWrite");
    /* the right is missed before the arguments are looked at */
    client_call(fd, P_WRITE, 3, NULL);
    expect_error(fd, VIMG_FRAME_REPLY, P_WRITE, 3, VIR_ERR_OPERATION_DENIED, VIR_FROM_STORAGE,
                 "operation forbidden: read only access prevents virWrite");
    expect_alive(fd, 4);
    close(fd);
    fd = client_open(h);
    client_call(fd, P_WRITE, 2, "x");
    expect_reply(fd, P_WRITE, 2, "x");
    close(fd);
}

static void
test_errors(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    client_call(fd, P_FAIL, 2, NULL);
    expect_error(fd, VIMG_FRAME_REPLY, P_FAIL, 2, VIR_ERR_NO_STORAGE_POOL, VIR_FROM_STORAGE,
                 "Storage pool not found: no storage pool with matching name 'x'");
    client_call(fd, P_LIE, 3, NULL);
    expect_error(fd, VIMG_FRAME_REPLY, P_LIE, 3, VIR_ERR_INTERNAL_ERROR, VIR_FROM_STORAGE,
                 "internal error: virLie failed without an error");
    close(fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/calls/bad-length", NULL, test_bad_length);
    ADD("/calls/bytes-one-by-one", NULL, test_bytes_one_by_one);
    for (gsize i = 0; i < G_N_ELEMENTS(args_cases); i++)
        ADD(args_cases[i].path, &args_cases[i], test_args);
    ADD("/calls/largest", NULL, test_largest);
    ADD("/calls/long-string", NULL, test_long_string);
    ADD("/calls/dropped-types", NULL, test_dropped_types);
    ADD("/calls/with-fds", NULL, test_with_fds);
    for (gsize i = 0; i < G_N_ELEMENTS(refused_cases); i++)
        ADD(refused_cases[i].path, &refused_cases[i], test_refused);
    ADD("/calls/opening/order", NULL, test_order_of_opening);
    ADD("/calls/opening/pipelined", NULL, test_pipelined_opening);
    ADD("/calls/read-only", NULL, test_read_only);
    ADD("/calls/errors", NULL, test_errors);
    return g_test_run();
}
