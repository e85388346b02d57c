/*
 * test-traffic.c: many calls over a socket: order, limits, clients that go
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>
#include <libvirt/virterror.h>

#include "harness.h"

/* ---- concurrency ------------------------------------------------------------------------ */

static void
test_out_of_order(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    client_call(fd, P_SLOW, 2, "a");
    world_wait(&world.slow_begun, 1);
    client_call(fd, P_ECHO, 3, "fast");
    expect_reply(fd, P_ECHO, 3, "fast");
    client_ping(fd);
    expect_pong(fd);
    world_slow_tickets(1);
    expect_reply(fd, P_SLOW, 2, "a");
    close(fd);
}

static void
test_same_serial(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    client_call(fd, P_ECHO, 2, "same");
    client_call(fd, P_ECHO, 2, "same");
    expect_reply(fd, P_ECHO, 2, "same");
    expect_reply(fd, P_ECHO, 2, "same");
    close(fd);
}

/* One storage hangs, for many clients; the others' calls and the fast ones go on. */
static void
test_hung_storage(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);
    int other = client_open(h);

    for (guint32 i = 0; i < 10; i++)
        client_call(fd, P_SLOW, 10 + i, "hung");
    world_wait(&world.slow_begun, h->config.max_pool_calls);
    client_call(other, P_WRITE, 2, "well");
    expect_reply(other, P_WRITE, 2, "well");
    expect_alive(other, 3);
    expect_alive(fd, 3);
    g_assert_cmpuint(world_get(&world.slow_begun), ==, h->config.max_pool_calls);
    world_slow_tickets(10);
    for (guint32 i = 0; i < 10; i++) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_OK);
    }
    close(fd);
    close(other);
}

/* Beyond its share a client is not read; nothing is dropped. */
static void
test_request_limit(Harness *h, gconstpointer data)
{
    int fd;
    int other;

    h->config.max_client_requests = 2;
    fd = harness_open(h);
    other = client_open(h);
    client_call(fd, P_SLOW, 2, "a");
    client_call(fd, P_SLOW, 3, "b");
    client_call(fd, P_ECHO, 4, "waits");
    client_call(fd, P_ECHO, 5, "waits too");
    client_ping(fd);
    world_wait(&world.slow_begun, 2);
    expect_alive(other, 9); /* everyone else is served */
    g_assert_false(client_has_input(fd));
    world_slow_tickets(2);
    for (guint32 i = 0; i < 5; i++) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_OK);
        if (i == 0)
            g_assert_cmpint(packet.header.procedure, ==, P_SLOW);
    }
    close(fd);
    close(other);
}

static void
expect_any_slow(int fd)
{
    g_auto(Packet) packet = {0};

    g_assert_true(client_receive(fd, &packet));
    g_assert_cmpint(packet.header.procedure, ==, P_SLOW);
    g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_OK);
}

static void
test_byte_limit(Harness *h, gconstpointer data)
{
    g_autofree char *text = g_strnfill(300000, 'x');
    int fd;

    h->config.max_client_bytes = 500000;
    fd = harness_open(h);
    client_call(fd, P_SLOW, 2, text);
    client_call(fd, P_SLOW, 3, text);
    world_wait(&world.slow_begun, 2);
    client_call(fd, P_ECHO, 4, "waits");
    world_slow_tickets(1);
    expect_any_slow(fd);
    expect_reply(fd, P_ECHO, 4, "waits");
    world_slow_tickets(1);
    expect_any_slow(fd);
    close(fd);
}

/* A client that asks and asks and never reads: its answers stay bounded. */
static void
test_unread_replies(Harness *h, gconstpointer data)
{
    const guint n = 200;
    int fd;
    int other;

    h->config.max_client_bytes = 4 * 1024 * 1024;
    h->config.max_client_requests = 8;
    fd = harness_open(h);
    other = client_open(h);
    for (guint32 i = 0; i < n; i++)
        client_call(fd, P_BIG, 100 + i, NULL);
    for (guint32 i = 0; i < 500; i++)
        expect_alive(other, i);
    g_assert_cmpuint(world_get(&world.slow_begun), <, 40);
    for (guint32 i = 0; i < n; i++) {
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        g_assert_cmpuint(packet.size, ==, 1024 * 1024 + 4);
    }
    expect_alive(fd, 2);
    close(fd);
    close(other);
}

/* ---- ends ------------------------------------------------------------------------------- */

/* Both at once, and the CLOSE lasts; what else could be begun from memory has been meanwhile. */
static void
close_and_call(Harness *h, int fd, const char *how)
{
    g_autoptr(GByteArray) packets = encode_call(P_SLOW_CLOSE, 2, how);
    g_autoptr(GByteArray) after = encode_call(P_ECHO, 3, "behind it");
    int other = client_open(h);

    g_byte_array_append(packets, after->data, after->len);
    client_write(fd, packets->data, packets->len);
    world_wait(&world.slow_begun, 1);
    for (guint32 i = 0; i < 20; i++) {
        client_call(other, P_ECHO, 10 + i, "other");
        expect_reply(other, P_ECHO, 10 + i, "other");
    }
    g_assert_cmpuint(world_get(&world.echoes), ==, 20);
    close(other);
    world_wait(&world.disconnects, 1);
    world_slow_tickets(1);
}

static void
test_close(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    close_and_call(h, fd, "");
    expect_reply(fd, P_SLOW_CLOSE, 2, NULL);
    world_wait(&world.disconnects, 2);
    g_assert_cmpuint(world_get(&world.echoes), ==, 20);
    close(fd);
}

/* It goes on as if nobody had asked for its end. */
static void
test_close_fails(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    close_and_call(h, fd, "fail");
    expect_error(fd, VIMG_FRAME_REPLY, P_SLOW_CLOSE, 2, VIR_ERR_INTERNAL_ERROR, VIR_FROM_STORAGE,
                 "internal error: not now");
    expect_reply(fd, P_ECHO, 3, "behind it");
    expect_alive(fd, 4);
    close(fd);
}

static void
test_gone_during_call(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    client_call(fd, P_SLOW, 2, "a");
    world_wait(&world.slow_begun, 1);
    close(fd);
    world_wait(&world.disconnects, 1);
    g_assert_cmpuint(world_get(&world.clients), ==, 1); /* the call still has it */
    world_slow_tickets(1);
    world_wait(&world.clients, 0);
    fd = client_open(h);
    expect_alive(fd, 2);
    close(fd);
}

/* Calls that did not begin when their client went are not run. */
static void
test_gone_before_call(Harness *h, gconstpointer data)
{
    int fd = harness_open(h);

    for (guint32 i = 0; i < 10; i++)
        client_call(fd, P_SLOW, 2 + i, "a");
    world_wait(&world.slow_begun, 3);
    expect_alive(fd, 50);
    close(fd);
    world_wait(&world.disconnects, 1);
    world_slow_tickets(3);
    world_wait(&world.clients, 0);
    g_assert_cmpuint(world_get(&world.slow_begun), ==, 3);
}

/* Behind a storage that hangs: the calls that wait for it go with their client. */
static void
test_gone_in_line(Harness *h, gconstpointer data)
{
    int first, second;
    guint i;

    harness_start(h);
    first = client_open(h);
    for (i = 0; i < h->config.max_pool_calls; i++) {
        client_call(first, P_SLOW, 2 + i, "p");
        client_call(first, P_SLOW_UPLOAD, 20 + i, "");
    }
    world_wait(&world.slow_begun, 2 * h->config.max_pool_calls);
    second = client_open(h);
    for (i = 0; i < 10; i++) {
        client_call(second, P_SLOW, 2 + i, "p");
        client_call(second, P_SLOW_UPLOAD, 20 + i, "");
    }
    expect_alive(second, 50);
    close(second);
    world_wait(&world.clients, 1);
    close(first);
    world_slow_tickets(2 * h->config.max_pool_calls);
    world_wait(&world.clients, 0);
    g_assert_cmpuint(world_get(&world.slow_begun), ==, 2 * h->config.max_pool_calls);
}

static void
test_event(Harness *h, gconstpointer data)
{
    g_auto(Packet) event = {0};
    int fd = harness_open(h);

    client_call(fd, P_EVENT, 2, "news");
    g_assert_true(client_receive(fd, &event));
    g_assert_cmpuint(event.header.program, ==, VIMG_PROGRAM_REMOTE);
    g_assert_cmpuint(event.header.type, ==, VIMG_FRAME_MESSAGE);
    g_assert_cmpint(event.header.procedure, ==, 99);
    g_assert_cmpuint(event.header.serial, ==, 0);
    g_assert_cmpuint(event.header.status, ==, VIMG_FRAME_OK);
    g_assert_cmpmem(event.payload, event.size, "\0\0\0\4news", 8);
    expect_reply(fd, P_EVENT, 2, NULL);
    close(fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/calls/out-of-order", NULL, test_out_of_order);
    ADD("/calls/same-serial", NULL, test_same_serial);
    ADD("/calls/hung-storage", NULL, test_hung_storage);
    ADD("/calls/limit/requests", NULL, test_request_limit);
    ADD("/calls/limit/bytes", NULL, test_byte_limit);
    ADD("/calls/limit/unread-replies", NULL, test_unread_replies);
    ADD("/calls/close", NULL, test_close);
    ADD("/calls/close/fails", NULL, test_close_fails);
    ADD("/calls/gone/during-call", NULL, test_gone_during_call);
    ADD("/calls/gone/before-call", NULL, test_gone_before_call);
    ADD("/calls/gone/in-line", NULL, test_gone_in_line);
    ADD("/calls/event", NULL, test_event);
    return g_test_run();
}
