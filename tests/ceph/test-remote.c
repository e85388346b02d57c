/*
 * test-remote.c: addresses and key of a cluster, asked over SSH from the monitors' hosts
 *
 * A private sshd stands for a monitor's host; its ceph is the stock one, told of the cluster by the
 * environment, or a script.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "../ssh/sshd-helper.h"
#include "cluster-helper.h"
#include "definition.h"
#include "remote.h"

static const char *const wrong_fsid = "11111111-2222-3333-4444-555555555555";

typedef struct {
    Sshd *sshd;
    char port[8];
    char *dir; /* of its ceph */
} Host;

static void
host_clear(Host *host)
{
    g_autofree char *path = g_build_filename(host->dir, "ceph", NULL);

    sshd_free(host->sshd);
    unlink(path);
    rmdir(host->dir);
    g_free(host->dir);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Host, host_clear)

/* @ceph: the script that stands for ceph there; NULL: the stock one. */
static void
host_start(Host *host, const char *ceph)
{
    char *dir = host->dir = g_dir_make_tmp("vimg-ceph-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "ceph", NULL);
    g_autofree char *script =
        ceph ? g_strdup_printf("#!/bin/sh\n%s\n", ceph)
             : g_strdup_printf("#!/bin/sh\nCEPH_CONF=%s exec /usr/bin/ceph \"$@\"\n",
                               g_getenv("CEPH_CONF"));
    g_autofree char *options = g_strdup_printf("SetEnv PATH=%s:/usr/bin:/bin\n", dir);

    g_assert_true(g_file_set_contents(path, script, -1, NULL));
    g_assert_cmpint(chmod(path, 0755), ==, 0);
    host->sshd = sshd_new("ed25519", options);
    g_snprintf(host->port, sizeof(host->port), "%u", host->sshd->address.port);
}

static Definition *
definition_by_ssh(void)
{
    Definition *definition = definition_new("rbd");

    definition_add_element(definition, "ssh", "policy", "accept-new");
    return definition;
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' does not say '%s'", text, part);
}

/* Returns: (transfer full) the message. */
static char *
refused(Definition *definition, VimgErrorCode code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_cluster_connect(&definition->pool, FALSE, &error));
    g_assert_error(error, VIMG_ERROR, (gint)code);
    g_test_message("%s", error->message);
    g_assert_null(strstr(error->message, SSHD_PASSWORD));
    return g_strdup(error->message);
}

static void
test_connect(void)
{
    g_autoptr(Definition) definition = definition_by_ssh();
    g_autofree char *fsid = cluster_run("ceph fsid");
    g_autoptr(VimgCluster) cluster = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(Host) host = {0};

    host_start(&host, NULL);
    definition_add_monitor(definition, "localhost", host.port, "password");
    cluster = vimg_cluster_connect(&definition->pool, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(cluster->fsid, ==, fsid);
    g_assert_true(vimg_cluster_probe(cluster, &error));
    g_assert_no_error(error);
}

/* The first host that answers is enough, and the user's name is quoted for its shell. */
static void
test_first_that_answers(void)
{
    g_autoptr(Definition) definition = definition_by_ssh();
    g_autofree char *key = cluster_run("ceph auth get-or-create-key client.by.ssh mon 'profile "
                                       "rbd' osd 'profile rbd'");
    g_autoptr(VimgCluster) cluster = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(Host) broken = {0};
    g_auto(Host) host = {0};

    host_start(&broken, "echo 'no such luck' >&2; exit 3");
    host_start(&host, NULL);
    definition->pool.auth_user = "by.ssh";
    definition_add_monitor(definition, "nowhere.invalid", "22", "password");
    definition_add_monitor(definition, "localhost", broken.port, "password");
    definition_add_monitor(definition, "localhost", host.port, "password");
    cluster = vimg_cluster_connect(&definition->pool, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(cluster->key->data, cluster->key->size, key, strlen(key));
}

static void
test_all_fail(void)
{
    g_autoptr(Definition) definition = definition_by_ssh();
    g_autofree char *message = NULL;
    g_auto(Host) broken = {0};
    g_auto(Host) loud = {0};
    g_auto(Host) host = {0};

    host_start(&broken, "echo 'no such luck' >&2; exit 3");
    host_start(&loud, "yes");
    host_start(&host, "exit 4");
    definition_add_monitor(definition, "nowhere.invalid", "22", "password");
    definition_add_monitor(definition, "localhost", broken.port, "password");
    definition_add_monitor(definition, "localhost", loud.port, "password");
    definition_add_monitor(definition, "localhost", host.port, "password");
    message = refused(definition, VIMG_ERROR_DISCONNECTED);
    assert_has(message, "nowhere.invalid: cannot resolve");
    assert_has(message, "no such luck");
    assert_has(message, "it writes more than it may");
    assert_has(message, "exit status 4");
}

static void
test_login_refused(void)
{
    g_autoptr(Definition) definition = definition_by_ssh();
    g_autofree char *wrong = NULL;
    g_autofree char *unknown = NULL;
    g_auto(Host) host = {0};

    host_start(&host, NULL);
    secret_set("wrong", "sesame", 6);
    definition_add_monitor(definition, "localhost", host.port, "wrong");
    wrong = refused(definition, VIMG_ERROR_AUTH);
    assert_has(wrong, "refuses the password of user 'root'");
    g_assert_null(strstr(wrong, "sesame"));
    sshd_change_keys(host.sshd);
    unknown = refused(definition, VIMG_ERROR_AUTH);
    assert_has(unknown, "host key of");
    assert_has(unknown, "virtimagectl host-key accept images");
}

static void
test_host_key_accept(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autofree char *fingerprint = NULL;
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(Host) host = {0};

    host_start(&host, NULL);
    definition_add_monitor(definition, "127.0.0.1", host.port, "password");
    message = refused(definition, VIMG_ERROR_AUTH);
    fingerprint = sshd_fingerprint(host.sshd, "ed25519");
    assert_has(message, fingerprint);
    g_assert_true(vimg_ceph_host_key_accept(&definition->pool, fingerprint, &error));
    g_assert_no_error(error);
    vimg_cluster_unref(vimg_cluster_connect(&definition->pool, FALSE, &error));
    g_assert_no_error(error);
}

static void
test_two_clusters(void)
{
    g_autofree char *other =
        g_strdup_printf("printf '[global]\\n\\tfsid = %s\\n\\tmon_host = 10.0.0.1\\n'", wrong_fsid);
    g_autoptr(Definition) definition = definition_by_ssh();
    g_autofree char *fsid = cluster_run("ceph fsid");
    g_autofree char *message = NULL;
    g_auto(Host) strange = {0};
    g_auto(Host) host = {0};

    host_start(&host, NULL);
    host_start(&strange, other);
    definition_add_monitor(definition, "localhost", host.port, "password");
    definition_add_monitor(definition, "127.0.0.1", strange.port, "password");
    message = refused(definition, VIMG_ERROR_CONFIG_UNSUPPORTED);
    assert_has(message, wrong_fsid);
    assert_has(message, "localhost: ");
    assert_has(message, fsid);
}

/* A host that tells of one cluster where the monitors of another are. */
static void
test_wrong_fsid(void)
{
    g_autofree char *key = cluster_key("admin");
    g_autofree char *liar = g_strdup_printf(
        "case $1 in\nauth) echo %s ;;\n*) printf 'fsid = %s\\nmon host = 127.0.0.1:%u\\n' ;;\nesac",
        key, wrong_fsid, cluster_port());
    g_autoptr(Definition) definition = definition_by_ssh();
    g_autofree char *message = NULL;
    g_auto(Host) host = {0};

    host_start(&host, liar);
    definition_add_monitor(definition, "localhost", host.port, "password");
    message = refused(definition, VIMG_ERROR_CONFIG_UNSUPPORTED);
    assert_has(message, wrong_fsid);
    g_assert_null(strstr(message, key));
}

static const struct {
    const char *text;
    const char *addresses; /* NULL: it is refused */
} configurations[] = {
    {"# minimal\n[global]\n\tfsid = 11111111-2222-3333-4444-555555555555\n"
     "\tmon_host = [v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0] [v2:[fe80::1]:3300/0]\n",
     "10.0.0.1:3300 10.0.0.1:6789 fe80::1:3300 "},
    {"fsid=11111111-2222-3333-4444-555555555555\nmon host = a, b:6789;c\n", "a:0 b:6789 c:0 "},
    {"fsid = 11111111-2222-3333-4444-555555555555\nmon_host = v1:10.0.0.1:99999/0\n",
     "10.0.0.1:0 "},
    {"mon_host = 10.0.0.1\n", NULL},
    {"fsid = 11111111-2222-3333-4444-555555555555\n", NULL},
    {"fsid = none\nmon_host = 10.0.0.1\n", NULL},
    {"", NULL},
    {"\xff\xfe=\n=\nmon_host =\n", NULL},
};

static void
test_parse(void)
{
    gsize i;
    guint j;

    for (i = 0; i < G_N_ELEMENTS(configurations); i++) {
        g_autoptr(VimgCephLogin) login = vimg_ceph_login_alloc("admin");
        g_autoptr(GString) found = g_string_new(NULL);
        g_autoptr(GError) error = NULL;

        if (!configurations[i].addresses) {
            g_assert_false(vimg_ceph_remote_parse(login, configurations[i].text, &error));
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
            continue;
        }
        g_assert_true(vimg_ceph_remote_parse(login, configurations[i].text, &error));
        for (j = 0; j < login->hosts->len; j++) {
            const VimgPluginAddress *host = &g_array_index(login->hosts, VimgPluginAddress, j);

            g_string_append_printf(found, "%s:%u ", host->name, host->port);
        }
        g_assert_cmpstr(found->str, ==, configurations[i].addresses);
    }
}

int
main(int argc, char **argv)
{
    g_autofree char *state = g_dir_make_tmp("vimg-ceph-XXXXXX", NULL);
    g_autofree char *known_hosts = g_build_filename(state, "known_hosts", NULL);
    int result;

    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    cluster_helper_state(state);
    secret_set("password", SSHD_PASSWORD, strlen(SSHD_PASSWORD));
    g_test_add_func("/ceph/remote/parse", test_parse);
    g_test_add_func("/ceph/remote/connect", test_connect);
    g_test_add_func("/ceph/remote/first-that-answers", test_first_that_answers);
    g_test_add_func("/ceph/remote/all-fail", test_all_fail);
    g_test_add_func("/ceph/remote/login-refused", test_login_refused);
    g_test_add_func("/ceph/remote/host-key-accept", test_host_key_accept);
    g_test_add_func("/ceph/remote/two-clusters", test_two_clusters);
    g_test_add_func("/ceph/remote/wrong-fsid", test_wrong_fsid);
    result = g_test_run();
    unlink(known_hosts);
    rmdir(state);
    return result;
}
