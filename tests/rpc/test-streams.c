/*
 * test-streams.c: streams side by side, and their end with the client or the daemon
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "harness.h"

#define N_STREAMS 4

static void
test_interleaved(Harness *h, gconstpointer data)
{
    g_autofree guint8 *content = g_malloc(100000);
    GByteArray *got[N_STREAMS];
    gboolean ended[N_STREAMS] = {FALSE};
    guint to_come = 0;
    guint answers = 0;
    int fd;

    for (gsize i = 0; i < 100000; i++)
        content[i] = content_at(i);
    fd = harness_open(h);
    for (guint32 i = 0; i < N_STREAMS; i++) {
        g_autofree char *up = g_strdup_printf("id=%u", 1 + i);
        g_autofree char *down = g_strdup_printf("id=%u data=1500000 data=7", 8 + i);

        got[i] = g_byte_array_new();
        client_call(fd, P_UPLOAD, 100 + i, up);
        client_call(fd, P_DOWNLOAD, 200 + i, down);
        to_come += 2;
    }
    for (guint round = 0; round < 20; round++) {
        for (guint32 i = 0; i < N_STREAMS; i++)
            client_data(fd, P_UPLOAD, 100 + i, content, 100000 - i);
        client_call(fd, P_ECHO, 300 + round, "call");
        to_come++;
    }
    for (guint32 i = 0; i < N_STREAMS; i++)
        client_finish(fd, P_UPLOAD, 100 + i);
    to_come += 2 * N_STREAMS; /* the answers to the finishes, and the ends of the downloads */
    while (answers < to_come) {
        g_auto(Packet) packet = {0};
        guint32 serial;

        g_assert_true(client_receive(fd, &packet));
        serial = packet.header.serial;
        g_assert_cmpuint(packet.header.status, !=, VIMG_FRAME_ERROR);
        if (packet.header.status == VIMG_FRAME_CONTINUE) {
            g_assert_cmpuint(serial, >=, 200);
            g_assert_cmpuint(serial, <, 200 + N_STREAMS);
            g_assert_false(ended[serial - 200]);
            g_byte_array_append(got[serial - 200], packet.payload, (guint)packet.size);
            ended[serial - 200] = packet.size == 0;
        }
        if (packet.header.status == VIMG_FRAME_OK || packet.size == 0)
            answers++;
    }
    for (guint32 i = 0; i < N_STREAMS; i++) {
        guint32 check = 0;

        for (guint round = 0; round < 20; round++)
            check = check_add(check, content, 100000 - i);
        g_assert_cmpuint(world_outcome(1 + i).check, ==, check);
        g_assert_true(world_outcome(1 + i).finished);
        g_assert_cmpuint(got[i]->len, ==, 1500007);
        check_content("data=1500000 data=7", got[i]);
        g_byte_array_unref(got[i]);
    }
    close(fd);
}

/* ---- clients that go -------------------------------------------------------------------- */

static void
test_gone(Harness *h, gconstpointer data)
{
    int fd;

    harness_start(h);
    for (guint i = 0; i < 10; i++) {
        fd = client_open(h);
        client_call(fd, P_UPLOAD, 5, "id=1 block");
        expect_reply(fd, P_UPLOAD, 5, NULL);
        client_data(fd, P_UPLOAD, 5, "data", 4);
        client_call(fd, P_DOWNLOAD, 6, "id=2 endless");
        expect_reply(fd, P_DOWNLOAD, 6, NULL);
        client_call(fd, P_SLOW_UPLOAD, 7, "id=3");
        client_data(fd, P_SLOW_UPLOAD, 7, "data", 4);
        world_wait(&world.slow_begun, i + 1);
        if (i % 2) /* in the middle of a packet */
            client_write(fd, "\0\1\0\0\x20\0\x80\x86", 8);
        close(fd);
        world_slow_tickets(1);
        world_wait(&world.clients, 0);
        world_wait(&world.transfers, 0);
    }
    g_assert_false(world_outcome(1).finished);
}

static void
test_close_call(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_UPLOAD, "id=1 block");

    client_data(fd, P_UPLOAD, 5, "data", 4);
    client_call(fd, P_CLOSE, 6, NULL);
    expect_reply(fd, P_CLOSE, 6, NULL);
    expect_eof(fd);
    world_wait(&world.transfers, 0);
    g_assert_false(world_outcome(1).finished);
    close(fd);
}

/* The daemon ends while streams run and calls hang. */
static void
test_shutdown(Harness *h, gconstpointer data)
{
    int fd = harness_begin(h, P_UPLOAD, "id=1 block");

    client_data(fd, P_UPLOAD, 5, "data", 4);
    client_call(fd, P_DOWNLOAD, 6, "id=2 endless");
    expect_reply(fd, P_DOWNLOAD, 6, NULL);
    client_call(fd, P_SLOW_UPLOAD, 7, "id=3");
    world_wait(&world.slow_begun, 1);
    world_slow_tickets(1);
    harness_stop(h);
    close(fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/streams/interleaved", NULL, test_interleaved);
    ADD("/streams/gone", NULL, test_gone);
    ADD("/streams/close-call", NULL, test_close_call);
    ADD("/streams/shutdown", NULL, test_shutdown);
    return g_test_run();
}
