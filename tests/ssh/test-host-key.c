/*
 * test-host-key.c: servers that are known, unknown, or not who they were
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <sys/stat.h>

#include "ssh/known-hosts.h"
#include "ssh/ssh-private.h"
#include "sshd-helper.h"

#define ACCEPT_LINE "virtimagectl host-key accept images"

/* Returns: (transfer full) why not, NULL: it was. */
static char *
connect_to(const VimgSshTarget *target)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(target, NULL, NULL, &error);

    if (ssh)
        return NULL;
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    g_assert_true(g_str_has_prefix(error->message, "host key of 127.0.0.1 port ") ||
                  g_str_has_prefix(error->message, "host key of ::1 port "));
    return g_strdup(error->message);
}

static VimgSshTarget
strict_target(Sshd *sshd)
{
    VimgSshTarget target = sshd_target(sshd);

    target.policy = VIMG_HOST_KEY_KNOWN;
    return target;
}

static char *
read_known(Sshd *sshd)
{
    char *text = NULL;

    g_file_get_contents(sshd->known_hosts, &text, NULL, NULL);
    return text;
}

static void
write_known(Sshd *sshd, const char *text)
{
    g_assert_true(g_file_set_contents(sshd->known_hosts, text, -1, NULL));
}

/* "[localhost]:PORT KEY\n" */
static char *
known_line(Sshd *sshd, const char *type)
{
    g_autofree char *key = sshd_host_key(sshd, type);

    return g_strdup_printf("[localhost]:%u %s\n", sshd->address.port, key);
}

static void
test_unknown(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = strict_target(sshd);
    g_autofree char *print = sshd_fingerprint(sshd, "ed25519");
    g_autofree char *why = connect_to(&target);
    g_autofree char *expected = g_strdup_printf(
        "it is not known, ssh-ed25519 %s; to accept it: " ACCEPT_LINE " %s", print, print);

    g_assert_nonnull(why);
    g_assert_true(g_str_has_suffix(why, expected));
    g_assert_null(read_known(sshd));
}

static void
test_accept(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = strict_target(sshd);
    g_autofree char *print = sshd_fingerprint(sshd, "ed25519");
    g_autofree char *described = g_strconcat("ssh-ed25519 ", print, NULL);
    g_autofree char *line = known_line(sshd, "ed25519");
    g_autofree char *known = NULL;
    g_autofree char *offered = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;

    offered = vimg_ssh_offered_key(&target, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(offered, ==, described);
    g_assert_false(vimg_ssh_accept(&target, "SHA256:something/else", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    g_assert_nonnull(strstr(error->message, print));
    g_assert_nonnull(strstr(error->message, "SHA256:something/else"));
    g_assert_null(read_known(sshd));
    g_clear_error(&error);
    g_assert_true(vimg_ssh_accept(&target, print, &error));
    g_assert_no_error(error);
    known = read_known(sshd);
    g_assert_cmpstr(known, ==, line);
    g_assert_cmpint(stat(sshd->known_hosts, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
    g_assert_null(connect_to(&target));
}

static void
test_changed(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *before = sshd_fingerprint(sshd, "ed25519");
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    g_autofree char *known = NULL;
    g_autofree char *now = NULL;
    g_autofree char *why = NULL;
    g_autoptr(GError) error = NULL;

    write_known(sshd, "# mine\nother ssh-ed25519 AAAA what\n@cert-authority * ssh-rsa AAAA\n");
    g_assert_null(connect_to(&target)); /* remembered as it is new */
    first = read_known(sshd);
    sshd_change_keys(sshd);
    now = sshd_fingerprint(sshd, "ed25519");
    why = connect_to(&target);
    g_assert_nonnull(why);
    g_assert_nonnull(strstr(why, "it has changed from ssh-ed25519 "));
    g_assert_nonnull(strstr(why, before));
    g_assert_nonnull(strstr(why, now));
    known = read_known(sshd);
    g_assert_cmpstr(known, ==, first);

    g_assert_true(vimg_ssh_accept(&target, now, &error));
    g_assert_no_error(error);
    second = known_line(sshd, "ed25519");
    g_free(known);
    known = read_known(sshd);
    g_free(first);
    first = g_strconcat("# mine\nother ssh-ed25519 AAAA what\n@cert-authority * ssh-rsa AAAA\n",
                        second, NULL);
    g_assert_cmpstr(known, ==, first);
    g_assert_null(connect_to(&target));
}

/* ---- what known hosts say */

typedef struct {
    const char *path;
    const char *host_keys; /* of the server */
    /* %k: "[localhost]:PORT ssh-…" for the ed25519 key, %e for the ecdsa one, %K, %E: the key alone
     */
    const char *known;
    const char *refused; /* NULL: let in */
} KnownCase;

#define OTHER_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define NOBODYS_RSA "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ=="

static const KnownCase known_cases[] = {
    {"/ssh/host-key/known/plain", "ed25519", "%k", NULL},
    {"/ssh/host-key/known/crlf", "ed25519", "# x\r\n%k\r\n", NULL},
    {"/ssh/host-key/known/second-key", "ed25519", "[localhost]:%p " OTHER_KEY "\n%k", NULL},
    {"/ssh/host-key/known/among-others", "ed25519", "a,[localhost]:%p,b %K\n", NULL},
    {"/ssh/host-key/known/without-port", "ed25519", "localhost %K\n", NULL},
    {"/ssh/host-key/known/other-without-port", "ed25519", "localhost " OTHER_KEY "\n",
     "*it is not known*"},
    {"/ssh/host-key/known/other-port", "ed25519", "[localhost]:1 %K\n", "*it is not known*"},
    {"/ssh/host-key/known/other-host", "ed25519", "[localhos]:%p %K\n", "*it is not known*"},
    {"/ssh/host-key/known/preferred", "ed25519,ecdsa", "%e", NULL},
    {"/ssh/host-key/known/other-type", "ed25519", "[localhost]:%p " NOBODYS_RSA "\n",
     "*it has changed from ssh-rsa SHA256:*"},
    {"/ssh/host-key/known/other-key", "ed25519", "[localhost]:%p " OTHER_KEY "\n",
     "*it has changed from ssh-ed25519 SHA256:*"},
    {"/ssh/host-key/known/revoked", "ed25519", "%k@revoked [localhost]:%p %K\n", "*it is revoked*"},
    {"/ssh/host-key/known/revoked-plain", "ed25519", "%k@revoked\t localhost %K\n",
     "*it is revoked*"},
    {"/ssh/host-key/known/revoked-pattern", "ed25519", "%k@revoked * %K what\n", "*it is revoked*"},
    {"/ssh/host-key/known/revoked-elsewhere", "ed25519", "%k@revoked other %K\n",
     "*it is revoked*"},
    {"/ssh/host-key/known/pattern", "ed25519", "*ost]:?* %K\n", NULL},
    {"/ssh/host-key/known/pattern-excluded", "ed25519", "*,![local*]:%p %K\n", "*it is not known*"},
    {"/ssh/host-key/known/pattern-other", "ed25519", "[*]:%p " OTHER_KEY "\n",
     "*it has changed from ssh-ed25519 SHA256:*"},
    {"/ssh/host-key/known/authority", "ed25519", "@cert-authority [localhost]:%p %K\n",
     "*it is not known*"},
    {"/ssh/host-key/known/garbage", "ed25519",
     "\n \n|1|\n|1|x|y\nx\nx y\n[localhost]:%p\n[localhost]:%p ssh-ed25519\n\xff\xfe z\n, , ,\n@\n%k",
     NULL},
    {"/ssh/host-key/known/empty", "ed25519", "", "*it is not known*"},
};

static char *
expand(Sshd *sshd, const char *format)
{
    g_autoptr(GString) text = g_string_new(format);
    g_autofree char *port = g_strdup_printf("%u", sshd->address.port);
    g_autofree char *line = known_line(sshd, "ed25519");
    g_autofree char *key = sshd_host_key(sshd, "ed25519");

    g_string_replace(text, "%k", line, 0);
    g_string_replace(text, "%K", key, 0);
    g_string_replace(text, "%p", port, 0);
    if (strstr(format, "%e")) {
        g_autofree char *ecdsa = known_line(sshd, "ecdsa");

        g_string_replace(text, "%e", ecdsa, 0);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
test_known(gconstpointer data)
{
    const KnownCase *c = data;
    g_autoptr(Sshd) sshd = sshd_new(c->host_keys, NULL);
    VimgSshTarget target = strict_target(sshd);
    g_autofree char *text = expand(sshd, c->known);
    g_autofree char *why = NULL;

    write_known(sshd, text);
    why = connect_to(&target);
    if (!c->refused)
        g_assert_cmpstr(why, ==, NULL);
    else if (!why || !g_pattern_match_simple(c->refused, why))
        g_error("'%s' is not '%s'", why, c->refused);
}

static void
test_hashed(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = strict_target(sshd);
    g_autofree char *line = known_line(sshd, "ed25519");
    g_autofree char *print = sshd_fingerprint(sshd, "ed25519");
    g_autofree char *old = g_strconcat(sshd->known_hosts, ".old", NULL);
    g_autofree char *known = NULL;
    g_autofree char *now = NULL;
    g_autoptr(GError) error = NULL;
    const char *argv[] = {"ssh-keygen", "-q", "-H", "-f", sshd->known_hosts, NULL};

    write_known(sshd, line);
    g_assert_true(
        g_spawn_sync(NULL, (char **)argv, NULL,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                     NULL, NULL, NULL, NULL, NULL, NULL));
    known = read_known(sshd);
    g_assert_true(g_str_has_prefix(known, "|1|"));
    g_assert_null(connect_to(&target));
    /* and is replaced */
    sshd_change_keys(sshd);
    g_free(print);
    print = sshd_fingerprint(sshd, "ed25519");
    g_assert_true(vimg_ssh_accept(&target, print, &error));
    g_assert_no_error(error);
    now = read_known(sshd);
    g_free(line);
    line = known_line(sshd, "ed25519");
    g_assert_cmpstr(now, ==, line);
    g_unlink(old);
}

/* The names that share its line keep their key. */
static void
test_shared_line(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = strict_target(sshd);
    g_autofree char *print = sshd_fingerprint(sshd, "ed25519");
    g_autofree char *line = known_line(sshd, "ed25519");
    g_autofree char *before = expand(sshd, "a,[localhost]:%p,b " OTHER_KEY " x y\n");
    g_autofree char *expected = g_strconcat("a,b " OTHER_KEY " x y\n", line, NULL);
    g_autofree char *known = NULL;
    g_autoptr(GError) error = NULL;

    write_known(sshd, before);
    g_assert_true(vimg_ssh_accept(&target, print, &error));
    g_assert_no_error(error);
    known = read_known(sshd);
    g_assert_cmpstr(known, ==, expected);
}

/* What the first key of a host may be is not left to patterns that say otherwise. */
static void
test_new_but_pattern(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *why = NULL;
    g_autofree char *known = NULL;

    write_known(sshd, "*local* " OTHER_KEY "\n");
    why = connect_to(&target);
    g_assert_nonnull(why);
    g_assert_nonnull(strstr(why, "it has changed from"));
    known = read_known(sshd);
    g_assert_cmpstr(known, ==, "*local* " OTHER_KEY "\n");
}

/* A server that filled the memory of its connection is no new one for that. */
static void
test_memory(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(VimgSsh) ssh = g_new0(VimgSsh, 1);
    g_autofree char *text = expand(sshd, "[localhost]:%p " OTHER_KEY "\n");
    g_autoptr(VimgKnownHosts) hosts = NULL;
    VimgKnownKey known;
    gsize size;

    write_known(sshd, text);
    ssh->fd = -1;
    ssh->host = g_strdup("localhost");
    ssh->port = sshd->address.port;
    g_assert_true(vimg_ssh_session_open(ssh));
    for (size = VIMG_SSH_MEMORY_MAX; size > 0; size /= 2)
        while (vimg_ssh_alloc(ssh, size))
            ;
    hosts = vimg_known_hosts_load(ssh, &target, NULL);
    g_assert_nonnull(hosts);
    g_assert_cmpint(vimg_known_hosts_look(hosts, &vimg_key_types[0], "AAAA", &known), ==,
                    VIMG_KNOWN_OTHER);
}

static void
test_fixed(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = strict_target(sshd);
    g_autofree char *print = sshd_fingerprint(sshd, "ed25519");
    g_autofree char *why = NULL;

    target.host_key = print;
    g_assert_null(connect_to(&target));
    g_assert_null(read_known(sshd));
    target.host_key = "SHA256:AAAA";
    why = connect_to(&target);
    g_assert_nonnull(strstr(why, print));
    g_assert_nonnull(strstr(why, "the definition names SHA256:AAAA"));
}

/* Of another type than the server would show by itself. */
static void
test_fixed_type(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519,ecdsa", NULL);
    VimgSshTarget target = strict_target(sshd);
    g_autofree char *print = sshd_fingerprint(sshd, "ecdsa");
    g_autoptr(GError) error = NULL;

    target.host_key = print;
    g_assert_null(connect_to(&target));
    target.host_key = NULL;
    g_assert_true(vimg_ssh_accept(&target, print, &error));
    g_assert_no_error(error);
    g_assert_null(connect_to(&target));
}

static void
test_no_place(void)
{
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autoptr(GError) error = NULL;

    target.known_hosts = "/proc/nowhere/known_hosts";
    g_assert_null(vimg_ssh_connect(&target, NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
}

/* Of several machines the one that was reached, and that with its key. */
static void
test_peer(void)
{
    g_autoptr(Sshd) one = sshd_new("ed25519", NULL);
    g_autoptr(Sshd) two = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(one);
    const VimgPluginAddress both[] = {one->address, two->address};
    const VimgPluginAddress second[] = {two->address, one->address};
    g_autoptr(VimgSshPeer) peer = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSsh) ssh = NULL;
    g_autofree char *what = NULL;
    g_autofree char *why = NULL;

    target.hosts = second;
    target.n_hosts = 2;
    ssh = vimg_ssh_connect(&target, NULL, NULL, &error);
    g_assert_no_error(error);
    what = g_strdup(ssh->what);
    peer = vimg_ssh_peer_new(ssh);
    g_clear_pointer(&ssh, vimg_ssh_free);
    target.hosts = both;
    target.only = peer;
    ssh = vimg_ssh_connect(&target, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(ssh->what, ==, what);
    sshd_change_keys(two);
    why = connect_to(&target);
    g_assert_nonnull(why);
    target.n_hosts = 1;
    g_assert_null(vimg_ssh_connect(&target, NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
}

/* What is in a file that cannot be read is not forgotten, nor is any key new then. */
static void
test_unread(void)
{
    const gsize size = 4 * 1024 * 1024 + 1;
    g_autoptr(Sshd) sshd = sshd_new("ed25519", NULL);
    VimgSshTarget target = sshd_target(sshd);
    g_autofree char *print = sshd_fingerprint(sshd, "ed25519");
    g_autofree char *text = g_strnfill(size, '\n');
    g_autoptr(GError) error = NULL;
    struct stat st;

    write_known(sshd, text);
    g_assert_null(vimg_ssh_connect(&target, NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, sshd->known_hosts));
    g_clear_error(&error);
    g_assert_false(vimg_ssh_accept(&target, print, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_cmpint(stat(sshd->known_hosts, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, (off_t)size);
    target.host_key = print; /* needs none of it */
    g_assert_null(connect_to(&target));
}

#define N_AT_ONCE 8

static void *
connect_thread(void *data)
{
    g_assert_null(connect_to(data));
    return NULL;
}

/* Many connections that meet a new server, and several servers, at once. */
static void
test_at_once(void)
{
    g_autoptr(Sshd) one = sshd_new("ed25519", NULL);
    g_autoptr(Sshd) two = sshd_new("ed25519", NULL);
    VimgSshTarget targets[] = {sshd_target(one), sshd_target(two)};
    pthread_t threads[N_AT_ONCE];
    g_autofree char *first = known_line(one, "ed25519");
    g_autofree char *second = known_line(two, "ed25519");
    g_autofree char *known = NULL;
    gsize i;

    targets[1].known_hosts = one->known_hosts;
    for (i = 0; i < N_AT_ONCE; i++)
        pthread_create(&threads[i], NULL, connect_thread, &targets[i % 2]);
    for (i = 0; i < N_AT_ONCE; i++)
        pthread_join(threads[i], NULL);
    known = read_known(one);
    g_assert_cmpuint(strlen(known), ==, strlen(first) + strlen(second));
    g_assert_nonnull(strstr(known, first));
    g_assert_nonnull(strstr(known, second));
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ssh/host-key/unknown", test_unknown);
    g_test_add_func("/ssh/host-key/accept", test_accept);
    g_test_add_func("/ssh/host-key/changed", test_changed);
    for (i = 0; i < G_N_ELEMENTS(known_cases); i++)
        g_test_add_data_func(known_cases[i].path, &known_cases[i], test_known);
    g_test_add_func("/ssh/host-key/hashed", test_hashed);
    g_test_add_func("/ssh/host-key/shared-line", test_shared_line);
    g_test_add_func("/ssh/host-key/new-but-pattern", test_new_but_pattern);
    g_test_add_func("/ssh/host-key/memory", test_memory);
    g_test_add_func("/ssh/host-key/fixed", test_fixed);
    g_test_add_func("/ssh/host-key/fixed-type", test_fixed_type);
    g_test_add_func("/ssh/host-key/no-place", test_no_place);
    g_test_add_func("/ssh/host-key/peer", test_peer);
    g_test_add_func("/ssh/host-key/unread", test_unread);
    g_test_add_func("/ssh/host-key/at-once", test_at_once);
    return g_test_run();
}
