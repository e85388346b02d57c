/*
 * test-remote.c: pools on another machine: what their definitions say, and who is not there
 *
 * Servers that are there are those of tests/integration/test_ssh*.py.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "diagnose.h"
#include "location.h"
#include "remote.h"
#include "store-helper.h"
#include "way.h"

#define KEY "SHA256:jm6UJYQQUeH1fEjIsjPxWzGeUeSC3vV3SXaJ+iGGCHU"
#define ATTRIBUTES_MAX 4

static const VimgPluginAddress one_host[] = {{"Images.Example.org", 0}};
static const VimgPluginAddress two_hosts[] = {{"fd00::5", 2222}, {"10.0.0.5", 0}};

static const struct {
    const char *name;
    gsize n_hosts;
    const char *auth;
    const char *usage;
    const char *ssh[ATTRIBUTES_MAX]; /* attributes of <image:ssh>; none: no such element */
    const char *word;                /* of the refusal; NULL: it is good */
} definitions[] = {
    {"local", 0, NULL, NULL, {NULL}, NULL},
    {"local-auth", 0, "ssh", "s", {NULL}, "'auth' is of no use without"},
    {"local-ssh", 0, NULL, NULL, {"policy", "known"}, "'ssh' is of no use without"},
    {"password", 1, "ssh", "s", {NULL}, NULL},
    {"identity", 1, NULL, NULL, {"identity", "/root/.ssh/id"}, NULL},
    {"both", 1, "ssh", "s", {"identity", "/root/.ssh/id"}, NULL},
    {"neither", 1, NULL, NULL, {NULL}, "nothing to log in with"},
    {"user-alone", 1, "ssh", NULL, {NULL}, "nothing to log in with"},
    {"identity-relative", 1, NULL, NULL, {"identity", "id"}, "'id' is not an absolute path"},
    {"host-key", 1, "ssh", "s", {"hostKey", KEY}, NULL},
    {"host-key-md5", 1, "ssh", "s", {"hostKey", "MD5:00:11"}, "is not a fingerprint"},
    {"host-key-short", 1, "ssh", "s", {"hostKey", "SHA256:jm6U"}, "is not a fingerprint"},
    {"host-key-padded", 1, "ssh", "s", {"hostKey", KEY "="}, "is not a fingerprint"},
    {"host-key-odd",
     1,
     "ssh",
     "s",
     {"hostKey", "SHA256:jm6UJYQQUeH1fEjIsjPxWzGeUeSC3vV3SXaJ'iGGCHU"},
     "is not a fingerprint"},
};

static VimgPluginPool
pool_at(const VimgPluginAddress *hosts, gsize n_hosts)
{
    return (VimgPluginPool){.size = sizeof(VimgPluginPool),
                            .name = "images",
                            .uuid = "00000000-0000-4000-8000-000000000001",
                            .hosts = hosts,
                            .n_hosts = n_hosts,
                            .dir = "/srv/images"};
}

static void
test_definition(HelperHome *home, gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    const VimgPluginElement ssh = {"ssh", definitions[i].ssh, ""};
    VimgPluginPool pool = pool_at(one_host, definitions[i].n_hosts);
    g_autoptr(GError) error = NULL;

    pool.auth_type = definitions[i].auth;
    pool.secret_usage = definitions[i].usage;
    pool.elements = &ssh;
    pool.n_elements = definitions[i].ssh[0] ? 1 : 0;
    if (!definitions[i].word) {
        g_assert_true(vimg_imagestore_check(&pool, &error));
        g_assert_no_error(error);
        return;
    }
    g_assert_false(vimg_imagestore_check(&pool, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
    g_assert_nonnull(strstr(error->message, definitions[i].word));
}

static void
test_names(HelperHome *home, gconstpointer data)
{
    VimgPluginPool first = pool_at(one_host, 1);
    VimgPluginPool second = pool_at(two_hosts, 2);
    g_autofree char *identity = vimg_imagestore_identity(&first);
    g_autofree char *other = NULL;
    g_autofree char *where = vimg_remote_where(&first);
    g_autofree char *there = vimg_remote_where(&second);
    g_autoptr(GError) error = NULL;

    second.dir = "/srv//a/../images/";
    other = vimg_imagestore_identity(&second);
    g_assert_cmpstr(identity, ==, "ssh:images.example.org:22/srv/images");
    g_assert_cmpstr(other, ==, "ssh:fd00::5:2222/srv/images");
    g_assert_cmpstr(where, ==, "Images.Example.org:/srv/images");
    g_assert_cmpstr(there, ==, "[fd00::5]:/srv/images");
    /* by its name alone: what it leads to is the server's to say */
    first.secret_usage = "s";
    first.dir = "/srv/../proc/1";
    g_assert_false(vimg_imagestore_check(&first, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

/* ---- where a path leads ----------------------------------------------------------------- */

/* A server that has /srv, in which 'link' leads to /proc and 'a' is a directory. */
static char *
real_path(const char *path, gpointer data)
{
    static const struct {
        const char *path;
        const char *real;
    } there[] = {{"/", "/"}, {"/srv", "/srv"}, {"/srv/a", "/srv/a"}, {"/srv/link", "/proc"}};
    guint *asked = data;
    gsize i;

    (*asked)++;
    for (i = 0; i < G_N_ELEMENTS(there); i++) {
        if (strcmp(path, there[i].path) == 0)
            return g_strdup(there[i].real);
    }
    return NULL;
}

static void
test_resolve(HelperHome *home, gconstpointer data)
{
    static const struct {
        const char *dir;
        const char *resolved;
        guint asked;
        gboolean good;
    } cases[] = {
        {"/srv/a", "/srv/a", 1, TRUE},         {"/srv/a/b/c", "/srv/a/b/c", 3, TRUE},
        {"/srv/link", "/proc", 1, FALSE},      {"/srv/link/x/y", "/proc/x/y", 3, FALSE},
        {"/none/link", "/none/link", 3, TRUE},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint asked = 0;
        g_autofree char *resolved = vimg_location_resolve_by(cases[i].dir, real_path, &asked);
        g_autoptr(GError) error = NULL;

        g_assert_cmpstr(resolved, ==, cases[i].resolved);
        g_assert_cmpuint(asked, ==, cases[i].asked);
        g_assert_true(vimg_location_allow(cases[i].dir, resolved, &error) == cases[i].good);
        g_assert_true(cases[i].good || strstr(error->message, "leads to '/proc"));
    }
}

/* ---- nobody there ----------------------------------------------------------------------- */

static guint secrets_out; /* given and not taken back */

static VimgBuffer *
give_secret(const char *auth_type, const char *usage, const char *uuid, GError **error)
{
    VimgBuffer *value;

    if (strcmp(usage, "none") == 0) {
        g_set_error_literal(error, VIMG_ERROR, VIMG_ERROR_NO_SECRET, "no secret 'none'");
        return NULL;
    }
    value = vimg_buffer_new(6);
    memcpy(value->data, "swordf", 6);
    secrets_out++;
    return value;
}

static void
take_secret(VimgBuffer *value)
{
    g_assert_cmpint(value->refs, ==, 1); /* nobody keeps it */
    secrets_out--;
    vimg_buffer_unref(value);
}

static void
drop_log(VimgLogLevel level, const char *message)
{
    g_assert_null(strstr(message, "swordf"));
}

static const VimgServices services = {
    .abi = VIMG_PLUGIN_ABI,
    .size = sizeof(services),
    .log = drop_log,
    .secret_get = give_secret,
    .secret_free = take_secret,
};

/* A port of this host that nobody listens on; the socket keeps others from it. */
static int
closed_port(guint16 *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void
note_step(const VimgPluginStep *step, gpointer data)
{
    static const char letters[] = {'o', 'w', 'f', 's'};
    GString *text = data;

    g_assert_null(strstr(step->detail, "swordf"));
    g_string_append_printf(text, "%s=%c ", step->name, letters[step->verdict]);
}

static void
test_nobody(HelperHome *home, gconstpointer data)
{
    VimgPluginAddress host = {"127.0.0.1", 0};
    VimgPluginPool pool = pool_at(&host, 1);
    g_autoptr(GString) steps = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    int fd = closed_port(&host.port);

    vimg_services = &services;
    pool.auth_type = "ssh";
    pool.secret_usage = "password";
    g_assert_null(vimg_imagestore_open(&pool, VIMG_OPEN_CREATE, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_nonnull(strstr(error->message, "127.0.0.1"));
    g_clear_error(&error);
    g_assert_false(vimg_imagestore_build(&pool, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_false(vimg_imagestore_remove(&pool, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_false(vimg_way_accept(&pool, KEY, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_true(vimg_diagnose(&pool, note_step, steps, NULL, &error));
    g_assert_cmpstr(steps->str, ==,
                    "resolve=o connect=f key-exchange=s host-key=s login=s subsystem=s path=s "
                    "server=s directory=s store=s space=s files=s latency=s clock=s leases=s "
                    "images=s leftovers=s damage=s ");
    g_assert_cmpuint(secrets_out, ==, 0);
    vimg_services = NULL;
    close(fd);
}

static void
test_no_secret(HelperHome *home, gconstpointer data)
{
    VimgPluginPool pool = pool_at(one_host, 1);
    g_autoptr(GString) steps = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    vimg_services = &services;
    pool.auth_type = "ssh";
    pool.secret_usage = "none";
    g_assert_null(vimg_imagestore_open(&pool, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SECRET);
    g_clear_error(&error);
    g_assert_true(vimg_diagnose(&pool, note_step, steps, NULL, &error));
    g_assert_nonnull(strstr(steps->str, "host-key=s login=f subsystem=s path=s server=s"));
    vimg_services = NULL;
}

static void
test_accept(HelperHome *home, gconstpointer data)
{
    VimgPluginPool here = pool_at(NULL, 0);
    VimgPluginPool there = pool_at(one_host, 1);
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_way_accept(&here, KEY, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    g_assert_false(vimg_way_accept(&there, "SHA256:short", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(definitions); i++) {
        g_autofree char *path = g_strconcat("/imagestore/remote/", definitions[i].name, NULL);

        helper_add(path, test_definition, GSIZE_TO_POINTER(i));
    }
    helper_add("/imagestore/remote/names", test_names, NULL);
    helper_add("/imagestore/remote/resolve", test_resolve, NULL);
    helper_add("/imagestore/remote/nobody", test_nobody, NULL);
    helper_add("/imagestore/remote/no-secret", test_no_secret, NULL);
    helper_add("/imagestore/remote/accept", test_accept, NULL);
    return g_test_run();
}
