/*
 * test-heads.c: how long a connection may take for the head of a request
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exporter/heads.h"

#define PATIENCE 20000 /* milliseconds */

/* Both ends of a connection; the first is the server's. */
typedef struct {
    int fds[2];
} Pair;

static Pair
connect_pair(void)
{
    Pair pair;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.fds), ==, 0);
    return pair;
}

static void
close_pair(Pair *pair)
{
    close(pair->fds[0]);
    close(pair->fds[1]);
}

/* Whether the client is told within @patience milliseconds that the server wants no more. */
static gboolean
is_shut(const Pair *pair, int patience)
{
    struct pollfd poll_fd = {.fd = pair->fds[1], .events = POLLRDHUP};

    return poll(&poll_fd, 1, patience) == 1;
}

static VimgHeads *
make(guint seconds)
{
    g_autoptr(GError) error = NULL;
    VimgHeads *heads = vimg_heads_new(seconds, &error);

    g_assert_no_error(error);
    return heads;
}

/* Times whose microseconds have more than 32 bits last longer than a second. */
static void
test_long(void)
{
    static const guint seconds[] = {4295, 8590, 86400, G_MAXUINT};
    VimgHeads *clock = make(1);
    VimgHeads *heads[G_N_ELEMENTS(seconds)];
    VimgHead *head[G_N_ELEMENTS(seconds)], *first;
    Pair pairs[G_N_ELEMENTS(seconds)], last = connect_pair();

    for (gsize i = 0; i < G_N_ELEMENTS(seconds); i++) {
        pairs[i] = connect_pair();
        heads[i] = make(seconds[i]);
        head[i] = vimg_heads_add(heads[i], pairs[i].fds[0]);
    }
    first = vimg_heads_add(clock, last.fds[0]);
    g_assert_true(is_shut(&last, PATIENCE));
    for (gsize i = 0; i < G_N_ELEMENTS(seconds); i++) {
        g_test_message("%u", seconds[i]);
        g_assert_false(is_shut(&pairs[i], 0));
        vimg_heads_remove(heads[i], head[i]);
        close_pair(&pairs[i]);
    }
    vimg_heads_remove(clock, first);
    close_pair(&last);
}

/* What came is waited for no more, until another is awaited; what came late is shut. */
static void
test_came(void)
{
    VimgHeads *heads = make(1);
    Pair came = connect_pair(), late = connect_pair();
    VimgHead *first = vimg_heads_add(heads, came.fds[0]);
    VimgHead *second = vimg_heads_add(heads, late.fds[0]);

    vimg_heads_came(heads, first);
    vimg_heads_came(heads, first);
    g_assert_true(is_shut(&late, PATIENCE));
    g_assert_false(is_shut(&came, 0));
    vimg_heads_await(heads, first);
    g_assert_true(is_shut(&came, PATIENCE));
    vimg_heads_remove(heads, first);
    vimg_heads_remove(heads, second);
    vimg_heads_remove(heads, NULL);
    close_pair(&came);
    close_pair(&late);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/heads/long", test_long);
    g_test_add_func("/heads/came", test_came);
    return g_test_run();
}
