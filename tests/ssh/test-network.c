/*
 * test-network.c: addresses of servers and of this host, and networks they are in
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

#include "ssh/network.h"
#include "sshd-helper.h"

typedef struct {
    const char *path;
    const char *cidr;
    const char *inside; /* NULL: it is none */
    const char *outside;
} NetworkCase;

static const NetworkCase network_cases[] = {
    {"/ssh/network/8", "10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
    {"/ssh/network/12", "172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
    {"/ssh/network/23", "192.168.2.0/23", "192.168.3.1", "192.168.4.1"},
    {"/ssh/network/32", "192.0.2.1/32", "192.0.2.1", "192.0.2.0"},
    {"/ssh/network/0", "0.0.0.0/0", "255.1.2.3", "::1"},
    {"/ssh/network/host-bits", "10.1.2.3/16", "10.1.9.9", "10.2.2.3"},
    {"/ssh/network/v6-64", "2001:db8::/64", "2001:db8::ffff:1", "2001:db8:0:1::1"},
    {"/ssh/network/v6-57", "2001:db8::/57", "2001:db8:0:7f::1", "2001:db8:0:80::1"},
    {"/ssh/network/v6-128", "::1/128", "::1", "::2"},
    {"/ssh/network/families", "::/0", "::ffff:10.0.0.1", "10.0.0.1"},
    {"/ssh/network/no-bits", "10.0.0.0", NULL, NULL},
    {"/ssh/network/bits-33", "10.0.0.0/33", NULL, NULL},
    {"/ssh/network/bits-129", "::/129", NULL, NULL},
    {"/ssh/network/bits-negative", "10.0.0.0/-1", NULL, NULL},
    {"/ssh/network/two-slashes", "10.0.0.0/8/8", NULL, NULL},
    {"/ssh/network/no-address", "localhost/8", NULL, NULL},
    {"/ssh/network/empty", "", NULL, NULL},
    {"/ssh/network/short", "10.0/8", NULL, NULL},
};

static gboolean
contains(const VimgNetwork *network, const char *text)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};

    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return vimg_network_contains(network, (struct sockaddr *)&four);
    g_assert_cmpint(inet_pton(AF_INET6, text, &six.sin6_addr), ==, 1);
    return vimg_network_contains(network, (struct sockaddr *)&six);
}

static void
test_network(gconstpointer data)
{
    const NetworkCase *c = data;
    g_autoptr(GError) error = NULL;
    VimgNetwork network;
    gboolean good = vimg_network_parse(c->cidr, &network, &error);

    if (!c->inside) {
        g_assert_false(good);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
        return;
    }
    g_assert_no_error(error);
    g_assert_true(contains(&network, c->inside));
    g_assert_false(contains(&network, c->outside));
}

/* ---- with servers */

static void
assert_fails(const VimgSshTarget *target, VimgErrorCode code, const char *pattern)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(target, NULL, NULL, &error);

    g_assert_null(ssh);
    g_assert_error(error, VIMG_ERROR, (gint)code);
    if (!g_pattern_match_simple(pattern, error->message))
        g_error("'%s' is not '%s'", error->message, pattern);
}

/* Where nobody listens. */
static guint16
dead_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void
test_sides(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = NULL;

    target.network = "127.0.0.0/8";
    ssh = vimg_ssh_connect(&target, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(ssh);
    target.network = "203.0.113.0/24";
    assert_fails(&target, VIMG_ERROR_CONFIG_UNSUPPORTED,
                 "this host has no address in network '203.0.113.0/24'");
    target.network = "127.0.0.0/8";
    sshd->address.name = "192.0.2.1";
    assert_fails(&target, VIMG_ERROR_CONFIG_UNSUPPORTED,
                 "server '192.0.2.1' has no address in network '127.0.0.0/8'");
    target.network = "nonsense";
    assert_fails(&target, VIMG_ERROR_CONFIG_UNSUPPORTED, "'nonsense' is no network*");
}

static void
test_bound(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    struct sockaddr_in mine = {.sin_family = AF_INET};
    struct sockaddr_in found;
    socklen_t length = sizeof(found);
    VimgEndpoint local = {.length = sizeof(mine)};
    gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    g_autoptr(GPtrArray) endpoints = NULL;
    g_autoptr(GError) error = NULL;
    VimgNetwork network;
    int fd;

    inet_pton(AF_INET, "127.0.0.9", &mine.sin_addr);
    memcpy(&local.address, &mine, sizeof(mine));
    g_assert_true(vimg_network_parse("127.0.0.1/32", &network, &error));
    endpoints = vimg_network_resolve(&sshd->address, &network, deadline, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(endpoints->len, ==, 1); /* not ::1 */
    fd = vimg_network_connect(endpoints->pdata[0], &local, deadline, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&found, &length), ==, 0);
    g_assert_cmpuint(found.sin_addr.s_addr, ==, mine.sin_addr.s_addr);
    close(fd);
    g_assert_true(vimg_network_local(&network, &local));
    memcpy(&found, &local.address, sizeof(found));
    g_assert_cmpuint(found.sin_addr.s_addr, ==, htonl(INADDR_LOOPBACK));
}

static void
test_several_hosts(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    VimgPluginAddress hosts[] = {
        {"127.0.0.1", dead_port()}, {"127.0.0.1", dead_port()}, sshd->address};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = NULL;

    target.hosts = hosts;
    target.n_hosts = G_N_ELEMENTS(hosts);
    ssh = vimg_ssh_connect(&target, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(ssh);
    target.n_hosts = 2;
    assert_fails(&target, VIMG_ERROR_DISCONNECTED,
                 "cannot connect to 127.0.0.1 port *: Connection refused; "
                 "cannot connect to 127.0.0.1 port *: Connection refused");
    target.n_hosts = 0;
    assert_fails(&target, VIMG_ERROR_CONFIG_UNSUPPORTED, "the definition names no server");
}

/* What one server refuses, the next is not asked: somebody should know of it. */
static void
test_refused_is_final(void)
{
    g_autoptr(Sshd) first = sshd_new("ed25519", NULL);
    g_autoptr(Sshd) second = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(second);
    VimgPluginAddress hosts[] = {{"127.0.0.1", dead_port()}, first->address, second->address};
    g_autofree char *print = sshd_fingerprint(second, "ed25519");
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_ssh_accept(&target, print, &error));
    target.policy = VIMG_HOST_KEY_KNOWN;
    target.hosts = hosts;
    target.n_hosts = G_N_ELEMENTS(hosts);
    assert_fails(&target, VIMG_ERROR_AUTH, "host key of *it is not known*");
}

static void
test_name(void)
{
    VimgPluginAddress host = {.name = "no such name"};
    VimgSshTarget target = {.hosts = &host, .n_hosts = 1, .seconds = 5};

    assert_fails(&target, VIMG_ERROR_DISCONNECTED, "cannot resolve 'no such name': *");
}

/* ---- a resolver that hangs */

#define HANGING "hangs.invalid"

static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_changed = PTHREAD_COND_INITIALIZER;
/* guarded by it */
static guint n_asked; /* for HANGING */
static gboolean answers;

/* In the place of that of the C library. */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
            struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(name, HANGING) != 0)
        return real(name, service, hints, out);
    pthread_mutex_lock(&resolver_lock);
    n_asked++;
    pthread_cond_broadcast(&resolver_changed);
    while (!answers)
        pthread_cond_wait(&resolver_changed, &resolver_lock);
    pthread_mutex_unlock(&resolver_lock);
    return real("127.0.0.1", service, hints, out);
}

static void
assert_no_answer(guint16 port)
{
    VimgPluginAddress host = {.name = HANGING, .port = port};
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_network_resolve(&host, NULL, g_get_monotonic_time() + G_USEC_PER_SEC / 10,
                                       NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

static gboolean
is_given_up(gpointer data)
{
    return ++*(guint *)data >= 2;
}

static void
assert_given_up(guint16 port)
{
    VimgPluginAddress host = {.name = HANGING, .port = port};
    guint asked = 0;
    const VimgSshGivenUp given_up = {is_given_up, &asked};
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_network_resolve(&host, NULL, G_MAXINT64, &given_up, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_assert_cmpuint(asked, ==, 2);
}

static void *
await_answer(void *data)
{
    VimgPluginAddress host = {.name = HANGING};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) endpoints = vimg_network_resolve(
        &host, NULL, g_get_monotonic_time() + 60 * G_USEC_PER_SEC, NULL, &error);

    (void)data;
    g_assert_no_error(error);
    g_assert_cmpuint(endpoints->len, ==, 1);
    return NULL;
}

/* However often it is asked in vain, one thread is left behind; all get what it finds. */
static void
test_hanging(void)
{
    pthread_t waiting[3];
    gsize i;

    for (i = 0; i < 5; i++)
        assert_no_answer(0);
    pthread_mutex_lock(&resolver_lock);
    while (n_asked == 0)
        pthread_cond_wait(&resolver_changed, &resolver_lock);
    g_assert_cmpuint(n_asked, ==, 1);
    pthread_mutex_unlock(&resolver_lock);
    assert_no_answer(2222); /* another question */
    assert_given_up(2222);
    for (i = 0; i < G_N_ELEMENTS(waiting); i++)
        g_assert_cmpint(pthread_create(&waiting[i], NULL, await_answer, NULL), ==, 0);
    pthread_mutex_lock(&resolver_lock);
    answers = TRUE;
    pthread_cond_broadcast(&resolver_changed);
    pthread_mutex_unlock(&resolver_lock);
    for (i = 0; i < G_N_ELEMENTS(waiting); i++)
        pthread_join(waiting[i], NULL);
    await_answer(NULL); /* a new question */
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(network_cases); i++)
        g_test_add_data_func(network_cases[i].path, &network_cases[i], test_network);
    g_test_add_func("/ssh/network/sides", test_sides);
    g_test_add_func("/ssh/network/bound", test_bound);
    g_test_add_func("/ssh/network/several-hosts", test_several_hosts);
    g_test_add_func("/ssh/network/refused-is-final", test_refused_is_final);
    g_test_add_func("/ssh/network/name", test_name);
    g_test_add_func("/ssh/network/hanging", test_hanging);
    return g_test_run();
}
