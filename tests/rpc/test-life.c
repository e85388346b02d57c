/*
 * test-life.c: sockets, limits of clients, keepalive, pauses, and the end of an idle daemon
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"
#include "rpc/connection.h"
#include "rpc/listener.h"
#include "rpc/server-private.h"

/* ---- sockets ---------------------------------------------------------------------------- */

static void
nobody(int fd, gboolean read_only, gpointer data)
{
    close(fd);
}

static void
never(gpointer data)
{
}

static const VimgListenerEvents no_events = {nobody, never, NULL};

static VimgListener *
listen_at(Harness *h, GError **error)
{
    return vimg_listener_new(h->path, 0660, getegid(), FALSE, &no_events, NULL, error);
}

static void
test_mode(Harness *h, gconstpointer data)
{
    struct stat st;

    harness_start(h);
    g_assert_cmpint(lstat(h->path, &st), ==, 0);
    g_assert_true(S_ISSOCK(st.st_mode));
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(lstat(h->ro_path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0666);
}

static void
test_live_socket(Harness *h, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    int fd;

    harness_start(h);
    g_assert_null(listen_at(h, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, "another daemon listens on"));
    fd = client_open(h); /* and is not disturbed */
    expect_alive(fd, 2);
    close(fd);
}

/* What a daemon that was killed leaves behind. */
static void
make_stale(Harness *h)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, h->path, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    close(fd);
}

static void
test_stale_socket(Harness *h, gconstpointer data)
{
    int fd;

    make_stale(h);
    fd = harness_open(h);
    expect_alive(fd, 2);
    close(fd);
}

static void
test_no_socket(Harness *h, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(h->path, "precious", -1, NULL));
    g_assert_null(listen_at(h, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_cmpint(g_unlink(h->path), ==, 0);
}

static void
test_long_path(Harness *h, gconstpointer data)
{
    g_autofree char *name = g_strnfill(200, 'p');
    g_autofree char *path = g_build_filename(h->dir, name, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_listener_new(path, 0600, getegid(), FALSE, &no_events, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

static void
test_foreign_unlink(Harness *h, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VimgListener *old = listen_at(h, &error);
    VimgListener *new;

    g_assert_no_error(error);
    g_assert_cmpint(g_unlink(h->path), ==, 0);
    new = listen_at(h, &error);
    g_assert_no_error(error);
    vimg_listener_free(old); /* the path is no longer its own */
    g_assert_true(g_file_test(h->path, G_FILE_TEST_EXISTS));
    vimg_listener_free(new);
    g_assert_false(g_file_test(h->path, G_FILE_TEST_EXISTS));
}

static void
test_passed_fd(Harness *h, gconstpointer data)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int pair[2];
    g_autoptr(GError) error = NULL;
    VimgListener *listener;

    g_strlcpy(address.sun_path, h->path, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_null(vimg_listener_new_fd(fd, FALSE, &no_events, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM); /* not listening */
    g_clear_error(&error);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    listener = vimg_listener_new_fd(fd, FALSE, &no_events, NULL, &error);
    g_assert_no_error(error);
    vimg_listener_free(listener);
    /* systemd's to remove, not ours */
    g_assert_true(g_file_test(h->path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_unlink(h->path), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_assert_null(vimg_listener_new_fd(pair[0], FALSE, &no_events, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    close(pair[0]);
    close(pair[1]);
}

/* ---- how many --------------------------------------------------------------------------- */

static void
test_max_clients(Harness *h, gconstpointer data)
{
    int first;
    int second;
    int third;

    h->config.max_clients = 2;
    harness_start(h);
    first = client_open(h);
    second = client_open(h);
    third = client_connect(h->path); /* waits in the kernel */
    client_call(third, P_AUTH, 0, NULL);
    for (guint32 i = 0; i < 50; i++)
        expect_alive(first, 10 + i);
    g_assert_false(client_has_input(third));
    close(second);
    expect_reply(third, P_AUTH, 0, NULL);
    close(first);
    close(third);
}

/* All at once: one turn of the main loop must not take more than there is room for. */
static void
test_max_clients_crowd(Harness *h, gconstpointer data)
{
    int fds[20];
    guint served = 0;

    h->config.max_clients = 5;
    harness_start(h);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++)
        fds[i] = client_connect(h->path);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
        client_call(fds[i], P_AUTH, 0, NULL);
        if (i < 5)
            expect_reply(fds[i], P_AUTH, 0, NULL);
    }
    for (guint32 i = 0; i < 50; i++) {
        client_call(fds[0], P_AUTH, 1 + i, NULL);
        expect_reply(fds[0], P_AUTH, 1 + i, NULL);
    }
    for (gsize i = 5; i < G_N_ELEMENTS(fds); i++)
        served += client_has_input(fds[i]);
    g_assert_cmpuint(served, ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (i >= 5) /* each has its turn when another one has gone */
            expect_reply(fds[i], P_AUTH, 0, NULL);
        close(fds[i]);
    }
}

static void
test_many_clients(Harness *h, gconstpointer data)
{
    int fds[90];

    harness_start(h);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++)
        fds[i] = client_open(h);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++)
        client_call(fds[i], P_ECHO, 2, "hello");
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
        expect_reply(fds[i], P_ECHO, 2, "hello");
        close(fds[i]);
    }
    world_wait(&world.clients, 0);
}

/* ---- keepalive -------------------------------------------------------------------------- */

static void
expect_ping(int fd)
{
    g_auto(Packet) packet = {0};

    g_assert_true(client_receive(fd, &packet));
    g_assert_cmpuint(packet.header.program, ==, VIMG_PROGRAM_KEEPALIVE);
    g_assert_cmpint(packet.header.procedure, ==, VIMG_KEEPALIVE_PING);
    g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_MESSAGE);
    g_assert_cmpuint(packet.header.serial, ==, 0);
    g_assert_cmpuint(packet.size, ==, 0);
}

static void
test_keepalive(Harness *h, gconstpointer data)
{
    int answering;
    int silent;
    int other;

    h->config.keepalive_interval = 1;
    h->config.keepalive_count = 2;
    harness_start(h);
    silent = client_open_keepalive(h);
    answering = client_open_keepalive(h);
    other = client_open(h);
    for (guint i = 0; i < 4; i++) { /* longer than the silent one lives */
        expect_ping(answering);
        client_send(answering, VIMG_FRAME_MESSAGE, VIMG_KEEPALIVE_PONG, 0, 0, NULL, 0);
    }
    expect_ping(silent);
    expect_ping(silent);
    expect_eof(silent);
    /* it never said that it understands PINGs, so it gets none and is not missed */
    g_assert_false(client_has_input(other));
    expect_alive(other, 2);
    close(answering);
    close(silent);
    close(other);
}

static void
test_keepalive_unknown(Harness *h, gconstpointer data)
{
    VimgFrameHeader header = {VIMG_PROGRAM_KEEPALIVE, 1, 3, VIMG_FRAME_MESSAGE, 0, 0};
    g_autoptr(VimgBuffer) odd = vimg_frame_new(&header, NULL, 0);
    int fd;

    harness_start(h);
    fd = client_connect(h->path); /* even before AUTH */
    client_write(fd, odd->data, odd->size);
    client_ping(fd);
    expect_pong(fd);
    close(fd);
}

/* ---- pauses ----------------------------------------------------------------------------- */

#define UPLOAD_SIZE (8 * 1024 * 1024)

typedef struct {
    int fd;
    guint written; /* bytes, in the world's lock */
} Writer;

/* A client with more to send than the server takes: all of an upload, and its finish. */
static void
write_upload(gpointer data)
{
    static const guint8 content[65536];
    Writer *writer = data;

    for (gsize i = 0; i < UPLOAD_SIZE / sizeof(content); i++) {
        client_data(writer->fd, P_UPLOAD, 5, content, sizeof(content));
        VIMG_LOCK_GUARD(&world.lock);
        writer->written += sizeof(content);
    }
    client_finish(writer->fd, P_UPLOAD, 5);
}

static VimgThread
begin_paused_upload(Writer *writer, int fd)
{
    VimgThread thread;

    *writer = (Writer){.fd = fd};
    client_call(fd, P_UPLOAD, 5, "id=1 block");
    expect_reply(fd, P_UPLOAD, 5, NULL);
    g_assert_true(vimg_thread_start(&thread, "writer", write_upload, writer, NULL));
    return thread;
}

/* The storage stalls: the client is not read, and kept alive by PINGs it need not answer. */
static void
test_paused(Harness *h, gconstpointer data)
{
    Writer writer;
    VimgThread thread;
    int fd;

    h->config.keepalive_interval = 1;
    h->config.keepalive_count = 1;
    h->config.max_stream_queue = 1024 * 1024;
    harness_start(h);
    fd = client_open_keepalive(h);
    thread = begin_paused_upload(&writer, fd);
    for (guint i = 0; i < 4; i++) /* more than it might leave unanswered if it were read */
        expect_ping(fd);
    g_assert_cmpuint(world_get(&writer.written), <, 3 * 1024 * 1024);
    world_open_transfers();
    for (;;) { /* a PING may still be under way */
        g_auto(Packet) packet = {0};

        g_assert_true(client_receive(fd, &packet));
        if (packet.header.program == VIMG_PROGRAM_KEEPALIVE)
            continue;
        g_assert_cmpuint(packet.header.type, ==, VIMG_FRAME_STREAM);
        g_assert_cmpuint(packet.header.status, ==, VIMG_FRAME_OK);
        break;
    }
    vimg_thread_join(thread);
    g_assert_cmpuint(world_outcome(1).bytes, ==, UPLOAD_SIZE);
    g_assert_true(world_outcome(1).finished);
    close(fd);
}

/* A client that knows no PINGs is paused all the same, and gets none. */
static void
test_paused_quietly(Harness *h, gconstpointer data)
{
    Writer writer;
    VimgThread thread;
    int other;
    int fd;

    h->config.keepalive_interval = 1;
    h->config.max_stream_queue = 1024 * 1024;
    fd = harness_open(h);
    other = client_open_keepalive(h);
    thread = begin_paused_upload(&writer, fd);
    for (guint i = 0; i < 2; i++) { /* the other's PINGs are the clock */
        expect_ping(other);
        client_send(other, VIMG_FRAME_MESSAGE, 0, 0, 0, NULL, 0);
    }
    g_assert_false(client_has_input(fd));
    world_open_transfers();
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    vimg_thread_join(thread);
    g_assert_cmpuint(world_outcome(1).bytes, ==, UPLOAD_SIZE);
    close(fd);
    close(other);
}

static void
test_stalled(Harness *h, gconstpointer data)
{
    Writer writer;
    VimgThread thread;
    guint pings = 0;
    int fd;

    h->config.keepalive_interval = 1;
    h->config.stream_stall_timeout = 3;
    h->config.max_stream_queue = 1024 * 1024;
    harness_start(h);
    fd = client_open_keepalive(h);
    thread = begin_paused_upload(&writer, fd);
    for (;;) {
        g_auto(Packet) packet = {0};

        if (!client_receive(fd, &packet))
            break;
        g_assert_cmpint(packet.header.procedure, ==, VIMG_KEEPALIVE_PING);
        pings++;
    }
    g_assert_cmpuint(pings, >=, 1);
    vimg_thread_join(thread);
    world_wait(&world.transfers, 0);
    g_assert_false(world_outcome(1).finished);
    close(fd);
}

/* Killed while it is not read: noticed all the same. */
static void
test_gone_while_paused(Harness *h, gconstpointer data)
{
    Writer writer;
    VimgThread thread;
    int fd;

    h->config.max_stream_queue = 65536;
    fd = harness_open(h);
    thread = begin_paused_upload(&writer, fd);
    world_wait(&world.outcomes[1].calls, 1);
    shutdown(fd, SHUT_RDWR);
    vimg_thread_join(thread);
    close(fd);
    world_wait(&world.clients, 0);
    world_wait(&world.transfers, 0);
}

/* Packets without any data cost something too. */
static void
test_paused_by_holes(Harness *h, gconstpointer data)
{
    int other;
    int fd;

    h->config.max_stream_queue = 65536;
    fd = harness_open(h);
    other = client_open(h);
    client_call(fd, P_UPLOAD, 5, "id=1 block sparse");
    expect_reply(fd, P_UPLOAD, 5, NULL);
    for (guint i = 0; i < 300; i++)
        client_hole(fd, P_UPLOAD, 5, 1);
    client_call(fd, P_ECHO, 6, "behind");
    world_wait(&world.outcomes[1].calls, 1);
    for (guint32 i = 0; i < 100; i++)
        expect_alive(other, i);
    g_assert_false(client_has_input(fd));
    world_open_transfers();
    expect_reply(fd, P_ECHO, 6, "behind");
    client_finish(fd, P_UPLOAD, 5);
    expect_stream(fd, P_UPLOAD, 5, VIMG_FRAME_OK);
    g_assert_cmpuint(world_outcome(1).holes, ==, 300);
    close(fd);
    close(other);
}

/* ---- idle ------------------------------------------------------------------------------- */

static void
test_idle(Harness *h, gconstpointer data)
{
    h->idle_seconds = 1;
    harness_start(h);
    world_wait_true(&h->idled);
}

static void
test_not_idle(Harness *h, gconstpointer data)
{
    int fd;

    h->idle_seconds = 1;
    h->config.keepalive_interval = 1;
    h->config.keepalive_count = 100;
    harness_start(h);
    fd = client_open_keepalive(h);
    for (guint i = 0; i < 3; i++)
        expect_ping(fd);
    vimg_mutex_lock(&world.lock);
    g_assert_false(h->idled);
    vimg_mutex_unlock(&world.lock);
    close(fd);
    world_wait_true(&h->idled);
}

static void
tick_late(VimgClient *client, gpointer data)
{
    vimg_connection_tick(client, g_get_monotonic_time() + 61 * G_USEC_PER_SEC);
}

static void
tick_all_late(gpointer data)
{
    vimg_server_foreach_client(((Harness *)data)->server, tick_late, NULL);
}

/* Who connects and opens nothing, not even a packet's end, has a minute; who did has for ever. */
static void
test_never_opens(Harness *h, gconstpointer data)
{
    int opened, silent, begun;

    harness_start(h);
    opened = client_open(h);
    silent = client_connect(h->path);
    begun = client_connect(h->path);
    client_write(begun, "\1\0\0\0", 4);
    world_wait(&world.clients, 3);
    vimg_inbox_post(h->server->inbox, tick_all_late, h);
    expect_eof(silent);
    expect_eof(begun);
    expect_alive(opened, 2);
    close(silent);
    close(begun);
    close(opened);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/life/never-opens", NULL, test_never_opens);
    ADD("/life/socket/mode", NULL, test_mode);
    ADD("/life/socket/live", NULL, test_live_socket);
    ADD("/life/socket/stale", NULL, test_stale_socket);
    ADD("/life/socket/no-socket", NULL, test_no_socket);
    ADD("/life/socket/long-path", NULL, test_long_path);
    ADD("/life/socket/foreign-unlink", NULL, test_foreign_unlink);
    ADD("/life/socket/passed", NULL, test_passed_fd);
    ADD("/life/clients/max", NULL, test_max_clients);
    ADD("/life/clients/crowd", NULL, test_max_clients_crowd);
    ADD("/life/clients/many", NULL, test_many_clients);
    ADD("/life/keepalive", NULL, test_keepalive);
    ADD("/life/keepalive/unknown", NULL, test_keepalive_unknown);
    ADD("/life/paused", NULL, test_paused);
    ADD("/life/paused/quietly", NULL, test_paused_quietly);
    ADD("/life/paused/stalled", NULL, test_stalled);
    ADD("/life/paused/gone", NULL, test_gone_while_paused);
    ADD("/life/paused/holes", NULL, test_paused_by_holes);
    ADD("/life/idle", NULL, test_idle);
    ADD("/life/idle/not", NULL, test_not_idle);
    return g_test_run();
}
