/*
 * test-downloads.c: downloads over a socket: every rule, one by one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>
#include <unistd.h>

#include "harness.h"

/*
 * Reads up to the empty packet.  Returns: (transfer full) what came: "D1000 H4096 …", neighbouring
 * data packets added up; @content gets the data, holes left out.
 */
static char *
read_download(int fd, guint32 serial, GByteArray *content)
{
    GString *seen = g_string_new(NULL);
    gsize run = 0;

    for (;;) {
        g_auto(Packet) packet = {0};
        guint64 length = 0;
        guint32 flags = 0;

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpint(packet.header.procedure, ==, P_DOWNLOAD);
        g_assert_cmpuint(packet.header.serial, ==, serial);
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_CONTINUE);
        if (packet.header.type == VIMG_FRAME_STREAM && packet.size) {
            g_assert_cmpuint(packet.size, <=, VIMG_STREAM_PAYLOAD);
            g_byte_array_append(content, packet.payload, (guint)packet.size);
            run += packet.size;
            continue;
        }
        if (run)
            g_string_append_printf(seen, "D%zu ", run);
        run = 0;
        if (packet.header.type == VIMG_FRAME_STREAM)
            return g_string_free(seen, FALSE);
        g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_HOLE);
        g_assert_true(vimg_frame_hole_decode(packet.payload, packet.size, &length, &flags, NULL));
        g_assert_cmpuint(flags, ==, 0);
        g_string_append_printf(seen, "H%" G_GUINT64_FORMAT " ", length);
    }
}

typedef struct {
    const char *path;
    const char *spec;
    const char *seen;
} DownloadCase;

static const DownloadCase download_cases[] = {
    {"/streams/download/nothing", "id=1", ""},
    {"/streams/download/byte", "id=1 data=1", "D1 "},
    {"/streams/download/packet", "id=1 data=262120", "D262120 "},
    {"/streams/download/packet-and-one", "id=1 data=262121", "D262121 "},
    {"/streams/download/extents", "id=1 data=1048576 data=3 data=2000000", "D3048579 "},
    {"/streams/download/dense-hole", "id=1 data=10 hole=600000 data=10", "D600020 "},
    {"/streams/download/sparse", "id=1 sparse hole=4096 data=600000 hole=17592186044416",
     "H4096 D600000 H17592186044416 "},
    {"/streams/download/all-hole", "id=1 sparse hole=1", "H1 "},
};

static void
test_download(Harness *h, gconstpointer data)
{
    const DownloadCase *c = data;
    int fd = harness_begin(h, P_DOWNLOAD, c->spec);
    g_autoptr(GByteArray) content = g_byte_array_new();
    g_autofree char *seen = read_download(fd, 5, content);

    g_assert_cmpstr(seen, ==, c->seen);
    check_content(c->spec, content);
    g_assert_true(world_outcome(1).freed); /* the end of the data is the end of the transfer */
    client_finish(fd, P_DOWNLOAD, 5);
    expect_stream(fd, P_DOWNLOAD, 5, VIMG_FRAME_OK);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* Instead of a finish: an abort, when all was sent already. */
static void
test_download_abort_at_end(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_DOWNLOAD, "id=1 data=100");
    g_autoptr(GByteArray) content = g_byte_array_new();
    g_autofree char *seen = read_download(fd, 5, content);

    g_assert_cmpstr(seen, ==, "D100 ");
    client_abort(fd, P_DOWNLOAD, 5);
    expect_stream(fd, P_DOWNLOAD, 5, VIMG_FRAME_OK);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* Reads what is under way up to the STREAM OK, which is the last packet. */
static void
drain_to_ok(int fd)
{
    for (;;) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_STREAM);
        g_assert_cmpuint(packet.header.serial, ==, 5);
        if (packet.header.status == VIMG_FRAME_OK)
            break;
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_CONTINUE);
    }
}

/* @data: the status that ends it: OK, ERROR, or one that nobody knows. */
static void
test_download_stopped(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_DOWNLOAD, "id=1 endless");

    client_send(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, GPOINTER_TO_UINT(data), NULL, 0);
    drain_to_ok(fd);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* The backend hangs before the first byte. */
static void
test_download_stopped_blocked(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_DOWNLOAD, "id=1 block data=100");

    world_wait(&world.outcomes[1].calls, 1);
    client_send(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, GPOINTER_TO_UINT(data), NULL, 0);
    expect_stream(fd, P_DOWNLOAD, 5, VIMG_FRAME_OK);
    g_assert_true(world_outcome(1).freed);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

static void
test_download_early_finish(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    client_call(fd, P_SLOW_DOWNLOAD, 5, "id=1 endless");
    client_send(fd, VIMG_FRAME_STREAM, P_SLOW_DOWNLOAD, 5, GPOINTER_TO_UINT(data), NULL, 0);
    expect_alive(fd, 6);
    world_slow_tickets(1);
    expect_reply(fd, P_SLOW_DOWNLOAD, 5, NULL);
    drain_to_ok(fd);
    expect_dropped(fd, P_SLOW_DOWNLOAD);
    close(fd);
}

static void
test_download_fails(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_DOWNLOAD, "id=1 data=300000 fail");
    gsize got = 0;

    while (got < 300000) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_CONTINUE);
        got += packet.size;
    }
    expect_error(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS,
                 NO_SPACE);
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

static void
test_download_gets_data(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_DOWNLOAD, "id=1 block data=100");

    client_data(fd, P_DOWNLOAD, 5, NULL, 0); /* still means nothing */
    client_data(fd, P_DOWNLOAD, 5, "wrong way", 9);
    expect_error(fd, VIMG_FRAME_STREAM, P_DOWNLOAD, 5, VIR_ERR_OPERATION_INVALID, VIR_FROM_STORAGE,
                 "Requested operation is not valid: data came for a download");
    expect_dropped(fd, P_DOWNLOAD);
    close(fd);
}

/* go-libvirt never finishes a download; serials come again one day. */
static void
test_download_unfinished(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    for (guint32 i = 0; i < 40; i++) {
        g_autoptr(GByteArray) content = g_byte_array_new();
        g_autofree char *seen = NULL;

        client_call(fd, P_DOWNLOAD, 5 + i % 20, "id=1 data=1000");
        expect_reply(fd, P_DOWNLOAD, 5 + i % 20, NULL);
        seen = read_download(fd, 5 + i % 20, content);
        g_assert_cmpstr(seen, ==, "D1000 ");
    }
    client_finish(fd, P_DOWNLOAD, 7);
    expect_stream(fd, P_DOWNLOAD, 7, VIMG_FRAME_OK);
    client_finish(fd, P_DOWNLOAD, 7);
    expect_alive(fd, 900);
    close(fd);
}

/* A client that does not read its download does not make the daemon read all of it. */
static void
test_download_unread(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_DOWNLOAD, "id=1 endless");
    int other = client_open(h);

    world_wait_least(&world.outcomes[1].calls, 2);
    for (guint32 i = 0; i < 500; i++)
        expect_alive(other, i);
    /* four packets, what the socket holds, and the extent in the thread's hands */
    g_assert_cmpuint(world_outcome(1).bytes, <, 4 * 1024 * 1024);
    /* a call is answered although the stream's data fills the way out */
    client_call(fd, P_ECHO, 6, "between");
    for (;;) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        if (packet.header.type == VIMG_FRAME_REPLY)
            break;
    }
    g_assert_cmpuint(world_outcome(1).bytes, <, 8 * 1024 * 1024);
    close(fd);
    close(other);
}

int
main(int argc, char **argv)
{
    gpointer ok = GUINT_TO_POINTER(VIMG_FRAME_OK);
    gpointer error = GUINT_TO_POINTER(VIMG_FRAME_ERROR);

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(download_cases); i++)
        ADD(download_cases[i].path, &download_cases[i], test_download);
    ADD("/streams/download/abort-at-end", NULL, test_download_abort_at_end);
    ADD("/streams/download/finish-running", ok, test_download_stopped);
    ADD("/streams/download/abort-running", error, test_download_stopped);
    ADD("/streams/download/odd-status", GUINT_TO_POINTER(9), test_download_stopped);
    ADD("/streams/download/finish-blocked", ok, test_download_stopped_blocked);
    ADD("/streams/download/abort-blocked", error, test_download_stopped_blocked);
    ADD("/streams/download/finish-early", ok, test_download_early_finish);
    ADD("/streams/download/abort-early", error, test_download_early_finish);
    ADD("/streams/download/fails", NULL, test_download_fails);
    ADD("/streams/download/gets-data", NULL, test_download_gets_data);
    ADD("/streams/download/unfinished", NULL, test_download_unfinished);
    ADD("/streams/download/unread", NULL, test_download_unread);
    return g_test_run();
}
