/*
 * test-hostile.c: servers that speak nonsense, too much, not at all, or not to the end
 *
 * Every one must end in an error, before long, and with bounded memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sshd-helper.h"

#define BANNER "SSH-2.0-OpenSSH_9.2\r\n"

static gboolean
say(int fd, gconstpointer data, gsize size)
{
    return send(fd, data, size, MSG_NOSIGNAL) == (gssize)size;
}

static void
hang(int fd)
{
    char data[4096];

    while (recv(fd, data, sizeof(data), 0) > 0)
        continue;
}

/* A packet before keys were exchanged: length, padding, type, payload. */
static GByteArray *
packet(guint8 type, gconstpointer payload, gsize size)
{
    GByteArray *out = g_byte_array_new();
    guint padding = 8 - (6 + size) % 8 + 8;
    guint32 length = GUINT32_TO_BE((guint32)(2 + size + padding));
    guint8 pad = (guint8)padding;
    guint8 zeros[16] = {0};

    g_byte_array_append(out, (guint8 *)&length, 4);
    g_byte_array_append(out, &pad, 1);
    g_byte_array_append(out, &type, 1);
    g_byte_array_append(out, payload, (guint)size);
    g_byte_array_append(out, zeros, padding);
    return out;
}

static void
say_for_ever(int fd, guint8 type, gsize size)
{
    g_autofree guint8 *payload = g_malloc0(size);
    g_autoptr(GByteArray) bytes = packet(type, payload, size);

    say(fd, BANNER, strlen(BANNER));
    while (say(fd, bytes->data, bytes->len))
        continue;
}

static void
serve_nothing(int fd)
{
}

static void
serve_lines(int fd)
{
    while (say(fd, "not yet\r\n", 9))
        continue;
}

static void
serve_endless_line(int fd)
{
    char text[4096];

    memset(text, 'x', sizeof(text));
    while (say(fd, text, sizeof(text)))
        continue;
}

static void
serve_drops(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};

    while (say(fd, "x", 1) && poll(&poll_fd, 1, 10) == 0)
        continue;
}

static void
serve_http(int fd)
{
    const char *text = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

    say(fd, text, strlen(text));
}

static void
serve_banner(int fd)
{
    say(fd, BANNER, strlen(BANNER));
}

static void
serve_silent_banner(int fd)
{
    serve_banner(fd);
    hang(fd);
}

static void
serve_huge_packet(int fd)
{
    serve_banner(fd);
    say(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    hang(fd);
}

static void
serve_empty_packet(int fd)
{
    serve_banner(fd);
    say(fd, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    hang(fd);
}

static void
serve_noise(int fd)
{
    guint32 noise[1024];
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(noise); i++)
        noise[i] = g_random_int();
    serve_banner(fd);
    say(fd, noise, sizeof(noise));
    hang(fd);
}

static void
serve_ignore(int fd)
{
    say_for_ever(fd, 2, 1000);
}

static void
serve_debug(int fd)
{
    say_for_ever(fd, 4, 30000);
}

static void
serve_unknown(int fd)
{
    say_for_ever(fd, 99, 30000);
}

static void
serve_replies(int fd)
{
    say_for_ever(fd, 81, 100);
}

/* KEXINIT: a cookie, ten lists of names, two more fields. */
static void
serve_algorithms(int fd)
{
    GByteArray *body = g_byte_array_new();
    g_autoptr(GByteArray) bytes = NULL;
    const guint8 zeros[16] = {0};
    guint i;

    g_byte_array_append(body, zeros, 16);
    for (i = 0; i < 10; i++) {
        const char *name = "nothing@example.com";
        guint32 length = GUINT32_TO_BE((guint32)strlen(name));

        g_byte_array_append(body, (guint8 *)&length, 4);
        g_byte_array_append(body, (const guint8 *)name, (guint)strlen(name));
    }
    g_byte_array_append(body, zeros, 5);
    bytes = packet(20, body->data, body->len);
    g_byte_array_unref(body);
    serve_banner(fd);
    say(fd, bytes->data, bytes->len);
    hang(fd);
}

typedef struct {
    const char *path;
    void (*serve)(int fd);
    const char *pattern;
    guint seconds; /* 0: a few */
} HostileCase;

#define CLOSED "key exchange with 127.0.0.1 port * failed: the server closed the connection"
#define LATE "key exchange with 127.0.0.1 port * failed: no answer in time"
#define MUCH "key exchange with 127.0.0.1 port * failed: the server sends more than it may"
#define ANY "key exchange with 127.0.0.1 port * failed: *"

static const HostileCase cases[] = {
    {"/ssh/hostile/nothing", serve_nothing, CLOSED},
    {"/ssh/hostile/silent", hang, LATE},
    {"/ssh/hostile/lines", serve_lines, LATE},
    {"/ssh/hostile/endless-line", serve_endless_line, ANY},
    {"/ssh/hostile/drops", serve_drops, LATE},
    {"/ssh/hostile/http", serve_http, ANY "the server does not speak SSH"},
    {"/ssh/hostile/banner", serve_banner, CLOSED},
    {"/ssh/hostile/silent-banner", serve_silent_banner, LATE},
    {"/ssh/hostile/huge-packet", serve_huge_packet, ANY},
    {"/ssh/hostile/empty-packet", serve_empty_packet, ANY},
    {"/ssh/hostile/noise", serve_noise, ANY},
    {"/ssh/hostile/ignore", serve_ignore, ANY},
    {"/ssh/hostile/debug", serve_debug, ANY},
    {"/ssh/hostile/unknown", serve_unknown, MUCH, 20},
    {"/ssh/hostile/replies", serve_replies, MUCH, 20},
    {"/ssh/hostile/algorithms", serve_algorithms,
     ANY "there is no algorithm that both sides know*"},
};

static void
serve_case(int fd, gpointer data)
{
    const HostileCase *c = data;

    c->serve(fd);
    close(fd);
}

static void
test_case(gconstpointer data)
{
    const HostileCase *c = data;
    g_autoptr(Listener) listener = listener_new(serve_case, (gpointer)c);
    VimgPluginAddress host = {"127.0.0.1", listener_port(listener)};
    g_autoptr(VimgBuffer) password = vimg_buffer_new(0);
    VimgSshTarget target = {.hosts = &host,
                            .n_hosts = 1,
                            .user = "nobody",
                            .password = password,
                            .seconds = c->seconds ? c->seconds : 2};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(&target, NULL, NULL, &error);

    g_assert_null(ssh);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    if (!g_pattern_match_simple(c->pattern, error->message))
        g_error("'%s' is not '%s'", error->message, c->pattern);
    g_test_message("%s", error->message);
}

/* A server, and one before it that hangs. */
typedef struct {
    Listener *listener;
    Sshd *sshd;
    VimgPluginAddress hosts[2];
    VimgSshTarget target;
} Queue;

static void
queue_set_up(Queue *queue, gconstpointer data)
{
    static const HostileCase silent = {.serve = hang};

    queue->listener = listener_new(serve_case, (gpointer)&silent);
    queue->sshd = sshd_new("ed25519", NULL);
    queue->hosts[0] = (VimgPluginAddress){"127.0.0.1", listener_port(queue->listener)};
    queue->hosts[1] = queue->sshd->address;
    queue->target = sshd_target(queue->sshd);
    queue->target.hosts = queue->hosts;
    queue->target.n_hosts = G_N_ELEMENTS(queue->hosts);
}

static void
queue_tear_down(Queue *queue, gconstpointer data)
{
    sshd_free(queue->sshd);
    listener_free(queue->listener);
}

/* Leaves time for the next one. */
static void
test_silent_first(Queue *queue, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = NULL;

    queue->target.seconds = 8;
    ssh = vimg_ssh_connect(&queue->target, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(ssh);
}

static gboolean
is_given_up(gpointer data)
{
    return ++*(guint *)data >= 3;
}

/* Nobody waits for the one that hangs, nor for the next. */
static void
test_given_up(Queue *queue, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint asked = 0;

    queue->target.given_up = (VimgSshGivenUp){is_given_up, &asked};
    g_assert_null(vimg_ssh_connect(&queue->target, NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_assert_cmpuint(asked, ==, 3);
}

/* ---- a good server, with somebody in between */

typedef struct {
    Sshd *sshd;
    gsize passed;   /* bytes from the server that pass as they are */
    gboolean spoil; /* then one is changed; else the connection ends */
    gint reached;   /* whether there were that many */
} Between;

static gboolean
pass_back(Between *between, int from, int to, gsize *total)
{
    char data[4096];
    gssize got = recv(from, data, sizeof(data), 0);
    gsize good;

    if (got <= 0)
        return FALSE;
    good = between->passed - MIN(between->passed, *total);
    *total += (gsize)got;
    if ((gsize)got <= good)
        return say(to, data, (gsize)got);
    __atomic_store_n(&between->reached, TRUE, __ATOMIC_SEQ_CST);
    if (!between->spoil)
        return say(to, data, good) && FALSE;
    if (*total - (gsize)got <= between->passed)
        data[good] ^= 1;
    return say(to, data, (gsize)got);
}

static gboolean
pass_on(int from, int to)
{
    char data[4096];
    gssize got = recv(from, data, sizeof(data), 0);

    return got > 0 && say(to, data, (gsize)got);
}

static void
serve_between(int fd, gpointer data)
{
    Between *between = data;
    g_autoptr(Listener) inner = listener_new(sshd_serve, between->sshd);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(listener_port(inner))};
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    gsize total = 0;

    g_assert_cmpint(connect(server, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    while (poll(fds, 2, -1) > 0) {
        if ((fds[0].revents && !pass_on(fd, server)) ||
            (fds[1].revents && !pass_back(between, server, fd, &total)))
            break;
    }
    close(server);
    close(fd);
}

/* Every so many bytes of what a server says until it has let somebody in and started SFTP. */
static void
walk(gboolean spoil, gsize step)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    Between between = {.sshd = sshd, .spoil = spoil};
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *print = sshd_fingerprint(sshd, "ed25519");

    target.host_key = print;
    target.seconds = 2;
    do {
        g_autoptr(Listener) listener = listener_new(serve_between, &between);
        VimgPluginAddress host = {"127.0.0.1", listener_port(listener)};
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgSsh) ssh = NULL;
        LIBSSH2_CHANNEL *channel = NULL;

        between.reached = FALSE;
        target.hosts = &host;
        ssh = vimg_ssh_connect(&target, NULL, NULL, &error);
        if (ssh)
            channel = vimg_ssh_subsystem(ssh, "sftp", &error);
        if (!channel)
            g_assert_nonnull(error);
        else
            g_assert_no_error(error);
        between.passed += step;
    } while (__atomic_load_n(&between.reached, __ATOMIC_SEQ_CST));
    g_assert_cmpuint(between.passed, >, 1500);
}

static void
test_cut(void)
{
    walk(FALSE, 97);
}

static void
test_spoilt(void)
{
    walk(TRUE, 97);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add_data_func(cases[i].path, &cases[i], test_case);
    g_test_add("/ssh/hostile/silent-first", Queue, NULL, queue_set_up, test_silent_first,
               queue_tear_down);
    g_test_add("/ssh/hostile/given-up", Queue, NULL, queue_set_up, test_given_up, queue_tear_down);
    g_test_add_func("/ssh/hostile/cut", test_cut);
    g_test_add_func("/ssh/hostile/spoilt", test_spoilt);
    return g_test_run();
}
