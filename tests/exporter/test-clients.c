/*
 * test-clients.c: who may download how much at a time
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include "exporter/clients.h"

#define EACH 2
#define ALL 5

/* As a connection has it. */
static VimgClientsAnswer
enter(VimgClients *clients, const char *text, VimgClient **out)
{
    struct sockaddr_storage native = {0};
    struct sockaddr_in *narrow = (struct sockaddr_in *)&native;
    struct sockaddr_in6 *wide = (struct sockaddr_in6 *)&native;

    native.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (native.ss_family == AF_INET)
        g_assert_cmpint(inet_pton(AF_INET, text, &narrow->sin_addr), ==, 1);
    else
        g_assert_cmpint(inet_pton(AF_INET6, text, &wide->sin6_addr), ==, 1);
    return vimg_clients_enter(clients, (struct sockaddr *)&native, out);
}

static const struct {
    const char *one, *other;
    gboolean same; /* client */
} pairs[] = {
    {"192.0.2.1", "192.0.2.1", TRUE},
    {"192.0.2.1", "192.0.2.2", FALSE},
    {"192.0.2.1", "::ffff:192.0.2.1", TRUE},
    {"2001:db8::1", "2001:db8::2", TRUE},
    {"2001:db8::1", "2001:db8:0:0:ffff::1", TRUE},
    {"2001:db8::1", "2001:db8:0:1::1", FALSE},
    {"::1", "0.0.0.0", FALSE},
};

static void
test_one(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
        const VimgClientLimits limits = {.downloads = ALL, .each = EACH};
        VimgClients *clients = vimg_clients_new(&limits);
        VimgClient *client[EACH + 1] = {NULL};

        g_test_message("%s %s", pairs[i].one, pairs[i].other);
        for (gsize k = 0; k < EACH; k++)
            g_assert_cmpint(enter(clients, pairs[i].one, &client[k]), ==, VIMG_CLIENTS_WELCOME);
        g_assert_cmpint(enter(clients, pairs[i].other, &client[EACH]), ==,
                        pairs[i].same ? VIMG_CLIENTS_GREEDY : VIMG_CLIENTS_WELCOME);
        vimg_clients_leave(clients, client[0]);
        g_assert_cmpint(enter(clients, pairs[i].one, &client[0]), ==, VIMG_CLIENTS_WELCOME);
        vimg_clients_free(clients);
    }
}

static void
test_all(void)
{
    static const char *const addresses[ALL] = {"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3",
                                               "2001:db8::1"};
    const VimgClientLimits limits = {.downloads = ALL, .each = EACH};
    VimgClients *clients = vimg_clients_new(&limits);
    VimgClient *client[ALL + 1] = {NULL};

    for (gsize i = 0; i < ALL; i++)
        g_assert_cmpint(enter(clients, addresses[i], &client[i]), ==, VIMG_CLIENTS_WELCOME);
    g_assert_cmpint(enter(clients, "192.0.2.9", &client[ALL]), ==, VIMG_CLIENTS_CROWDED);
    g_assert_cmpint(enter(clients, "192.0.2.1", &client[ALL]), ==, VIMG_CLIENTS_GREEDY);
    for (gsize i = 0; i < ALL; i++)
        vimg_clients_leave(clients, client[i]);
    g_assert_cmpint(enter(clients, "192.0.2.9", &client[0]), ==, VIMG_CLIENTS_WELCOME);
    vimg_clients_free(clients);
}

static void
test_unlimited(void)
{
    const VimgClientLimits limits = {.downloads = 1000};
    VimgClients *clients = vimg_clients_new(&limits);
    VimgClient *client = NULL;

    for (gsize i = 0; i < 1000; i++)
        g_assert_cmpint(enter(clients, "::1", &client), ==, VIMG_CLIENTS_WELCOME);
    vimg_clients_take(clients, client, 1 << 30);
    vimg_clients_free(clients);
}

/* Each waits for what it took before, and for what all took. */
static void
test_rates(void)
{
    const VimgClientLimits limits = {
        .downloads = 9, .rate = 100 * 1000 * 1000, .each_rate = 10 * 1000 * 1000};
    VimgClients *clients = vimg_clients_new(&limits);
    VimgClient *one, *other;
    gint64 began = g_get_monotonic_time();

    g_assert_cmpint(enter(clients, "192.0.2.1", &one), ==, VIMG_CLIENTS_WELCOME);
    g_assert_cmpint(enter(clients, "192.0.2.2", &other), ==, VIMG_CLIENTS_WELCOME);
    vimg_clients_take(clients, one, 1000 * 1000);
    vimg_clients_take(clients, one, 1);
    g_assert_cmpint(g_get_monotonic_time() - began, >=, 100 * 1000);
    began = g_get_monotonic_time();
    vimg_clients_take(clients, other, 5 * 1000 * 1000);
    vimg_clients_take(clients, one, 1);
    g_assert_cmpint(g_get_monotonic_time() - began, >=, 50 * 1000);
    vimg_clients_free(clients);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/exporter/clients/one", test_one);
    g_test_add_func("/exporter/clients/all", test_all);
    g_test_add_func("/exporter/clients/unlimited", test_unlimited);
    g_test_add_func("/exporter/clients/rates", test_rates);
    return g_test_run();
}
