/*
 * test-address.c: where a connection may go
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>

#include "fetch/fetch-private.h"

#define MAX_NETWORKS 4

static const struct {
    const char *path;
    const char *networks[MAX_NETWORKS];
    const char *address;
    gboolean allowed;
} cases[] = {
    {"public", {NULL}, "192.0.2.1", TRUE},
    {"public-6", {NULL}, "2001:db8::1", TRUE},
    {"private", {NULL}, "10.1.2.3", TRUE},
    {"private-6", {NULL}, "fd12:3456::1", TRUE},
    {"loopback", {NULL}, "127.0.0.1", FALSE},
    {"loopback-end", {NULL}, "127.255.255.255", FALSE},
    {"loopback-6", {NULL}, "::1", FALSE},
    {"this-host", {NULL}, "0.0.0.0", FALSE},
    {"this-host-6", {NULL}, "::", FALSE},
    {"link-local", {NULL}, "169.254.1.1", FALSE},
    {"link-local-6", {NULL}, "fe80::1", FALSE},
    {"site-local-6", {NULL}, "fec0::1", FALSE},
    {"metadata", {NULL}, "169.254.169.254", FALSE},
    {"metadata-6", {NULL}, "fd00:ec2::254", FALSE},
    {"metadata-6-google", {NULL}, "fd20:ce::254", FALSE},
    {"metadata-6-oracle", {NULL}, "fd00:c1::a9fe:a9fe", FALSE},
    {"metadata-6-scaleway", {NULL}, "fd00:42::42", FALSE},
    {"metadata-6-beside", {NULL}, "fd00:42::43", TRUE},
    {"translated-stateless", {NULL}, "::ffff:0:127.0.0.1", FALSE},
    {"metadata-other", {NULL}, "100.100.100.200", FALSE},
    {"metadata-beside", {NULL}, "100.100.100.201", TRUE},
    {"multicast", {NULL}, "224.0.0.1", FALSE},
    {"multicast-6", {NULL}, "ff02::1", FALSE},
    {"broadcast", {NULL}, "255.255.255.255", FALSE},
    {"mapped-loopback", {NULL}, "::ffff:127.0.0.1", FALSE},
    {"mapped-metadata", {NULL}, "::ffff:169.254.169.254", FALSE},
    {"mapped-public", {NULL}, "::ffff:192.0.2.1", TRUE},
    {"compatible-loopback", {NULL}, "::127.0.0.1", FALSE},
    {"translated", {NULL}, "64:ff9b::7f00:1", FALSE},
    {"6to4", {NULL}, "2002:7f00:1::", FALSE},
    {"teredo", {NULL}, "2001:0:7f00:1::", FALSE},
    {"listed", {"192.0.2.0/24"}, "192.0.2.1", TRUE},
    {"listed-mapped", {"192.0.2.0/24"}, "::ffff:192.0.2.1", TRUE},
    {"not-listed", {"192.0.2.0/24"}, "192.0.3.1", FALSE},
    {"not-listed-6", {"192.0.2.0/24"}, "2001:db8::1", FALSE},
    {"second", {"192.0.2.0/24", "10.0.0.0/8"}, "10.9.9.9", TRUE},
    {"one", {"192.0.2.1"}, "192.0.2.1", TRUE},
    {"one-beside", {"192.0.2.1"}, "192.0.2.2", FALSE},
    {"all-not-loopback", {"0.0.0.0/0", "::/0"}, "127.0.0.1", FALSE},
    {"all-not-loopback-6", {"0.0.0.0/0", "::/0"}, "::1", FALSE},
    {"all-not-metadata", {"0.0.0.0/0", "169.0.0.0/8"}, "169.254.169.254", FALSE},
    {"all-else", {"0.0.0.0/0", "::/0"}, "198.51.100.7", TRUE},
    {"loopback-whole", {"127.0.0.0/8"}, "127.0.0.1", TRUE},
    {"loopback-one", {"127.0.0.1/32"}, "127.0.0.1", TRUE},
    {"loopback-other", {"127.0.0.1/32"}, "127.0.0.2", FALSE},
    {"loopback-6-listed", {"::1"}, "::1", TRUE},
};

static void
test_case(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    gboolean four = inet_pton(AF_INET, cases[i].address, &v4.sin_addr) == 1;
    g_autoptr(GError) error = NULL;

    g_assert_true(four || inet_pton(AF_INET6, cases[i].address, &v6.sin6_addr) == 1);
    g_assert_cmpint(vimg_address_check(
                        cases[i].networks,
                        four ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6, &error),
                    ==, cases[i].allowed);
    if (cases[i].allowed)
        g_assert_no_error(error);
    else
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ACCESS_DENIED);
}

static void
test_other_family(void)
{
    static const char *const none[] = {NULL};
    struct sockaddr other = {.sa_family = AF_UNIX};
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_address_check(none, &other, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ACCESS_DENIED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/address/", cases[i].path, NULL);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_case);
    }
    g_test_add_func("/address/other-family", test_other_family);
    return g_test_run();
}
