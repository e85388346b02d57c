/*
 * test-cluster.c: connecting to a cluster, its RADOS pool and its space
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <unistd.h>

#include "answer.h"
#include "cluster-helper.h"
#include "peers.h"
#include "rados-pool.h"

static VimgCluster *
connected(Definition *definition)
{
    g_autoptr(GError) error = NULL;
    VimgCluster *cluster = vimg_cluster_connect(&definition->pool, FALSE, &error);

    g_assert_no_error(error);
    return cluster;
}

/* Returns: (transfer full) the message. */
static char *
refused(Definition *definition, VimgErrorCode code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_cluster_connect(&definition->pool, FALSE, &error));
    g_assert_error(error, VIMG_ERROR, (gint)code);
    g_test_message("%s", error->message);
    return g_strdup(error->message);
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' does not say '%s'", text, part);
}

/* Of RADOS pool "rbd", as the cluster lists it: "2 rbd". */
static gint64
pool_id(void)
{
    g_autofree char *list = cluster_run("ceph osd lspools");
    g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
    gsize i;

    for (i = 0; lines[i]; i++) {
        if (g_str_has_suffix(lines[i], " rbd"))
            return g_ascii_strtoll(lines[i], NULL, 10);
    }
    return -1;
}

static void
test_connect(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = connected(definition);
    g_autofree char *fsid = cluster_run("ceph fsid");
    g_autofree char *key = cluster_key("admin");
    g_autofree char *address = g_strdup_printf("v2:127.0.0.1:%u", cluster_port());
    g_autoptr(GError) error = NULL;
    VimgClusterSpace space;

    g_assert_cmpstr(cluster->fsid, ==, fsid);
    g_assert_cmpstr(cluster->pool, ==, "rbd");
    g_assert_cmpint(cluster->pool_id, ==, pool_id());
    g_assert_cmpstr(cluster->user, ==, "admin");
    g_assert_cmpstr(cluster->monitors, ==, address);
    g_assert_cmpmem(cluster->key->data, cluster->key->size, key, strlen(key));
    g_assert_true(vimg_cluster_probe(cluster, &error));
    g_assert_no_error(error);
    g_assert_true(vimg_cluster_space(cluster, &space, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(space.available, >, 1 << 30);
    g_assert_cmpuint(space.total, ==, space.stored + space.available);
    g_assert_false(space.full || space.nearfull);
}

/* As virsh secret-set-value --base64 stores it. */
static void
test_binary_key(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autofree char *key = cluster_key("admin");
    gsize size = 0;
    g_autofree guchar *bytes = g_base64_decode(key, &size);
    g_autofree char *line = g_strconcat(key, "\n", NULL);

    secret_set("bytes", bytes, size);
    definition->pool.secret_usage = "bytes";
    vimg_cluster_unref(connected(definition));
    secret_set("bytes", line, strlen(line));
    vimg_cluster_unref(connected(definition));
}

static void
test_wrong_key(void)
{
    static const char other[] = "AQBDmGRhAAAAABAAjZxkuWcKFvPA9cStR1n2ng==";
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autofree char *wrong = NULL;
    g_autofree char *nonsense = NULL;

    secret_set("other", other, strlen(other));
    definition->pool.secret_usage = "other";
    wrong = refused(definition, VIMG_ERROR_AUTH);
    assert_has(wrong, "refuses the key of client.admin");
    g_assert_null(strstr(wrong, other));
    secret_set("other", "sesame", 6);
    nonsense = refused(definition, VIMG_ERROR_AUTH);
    assert_has(nonsense, "is not a key of Ceph");
    g_assert_null(strstr(nonsense, "sesame"));
}

/* A socket nobody accepts from, and one on which nobody listens. */
static int
silent_port(gboolean listening, guint16 *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&at, sizeof(at)), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&at, &size), ==, 0);
    if (listening)
        g_assert_cmpint(listen(fd, 4), ==, 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void
test_all_monitors_fail(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autofree char *message = NULL;
    guint16 silent;
    guint16 closed;
    int silent_fd = silent_port(TRUE, &silent);
    int closed_fd = silent_port(FALSE, &closed);

    g_array_set_size(definition->hosts, 0);
    definition_add_host(definition, "127.0.0.1", closed);
    definition_add_host(definition, "localhost", silent);
    definition_add_host(definition, "nowhere.invalid", 0);
    message = refused(definition, VIMG_ERROR_DISCONNECTED);
    assert_has(message, "Connection refused");
    assert_has(message, "localhost (");
    assert_has(message, "no answer in time");
    assert_has(message, "nowhere.invalid");
    close(silent_fd);
    close(closed_fd);
}

static void
test_one_monitor_is_enough(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    guint16 closed;
    int fd = silent_port(FALSE, &closed);

    g_array_set_size(definition->hosts, 0);
    definition_add_host(definition, "127.0.0.1", closed);
    definition_add_host(definition, "nowhere.invalid", 0);
    definition_add_host(definition, "localhost", cluster_port());
    vimg_cluster_unref(connected(definition));
    close(fd);
}

static void
test_pool_by_exact_name(void)
{
    g_autoptr(Definition) definition = definition_new("rb");
    g_autofree char *named = refused(definition, VIMG_ERROR_SYSTEM);
    g_autofree char *unnamed = NULL;

    assert_has(named, "no RADOS pool 'rb'");
    definition->pool.source_name = NULL;
    unnamed = refused(definition, VIMG_ERROR_SYSTEM);
    assert_has(unnamed, "pool-build makes it");
}

static void
test_pool_of_our_own(void)
{
    g_autoptr(Definition) definition = definition_new(NULL);
    g_autoptr(VimgCluster) cluster = NULL;
    g_autoptr(VimgCluster) named = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *pools = NULL;
    g_autofree char *after = NULL;
    g_autofree char *detail = NULL;
    g_autofree char *pool = NULL;
    gboolean ours = FALSE;

    cluster = vimg_cluster_connect(&definition->pool, TRUE, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(cluster->pool, "bak-t-"));
    g_assert_cmpuint(strlen(cluster->pool), ==, strlen("bak-t-") + 32);
    pool = g_strdup(cluster->pool);
    pools = cluster_run("ceph osd pool ls");
    assert_has(pools, pool);
    detail = cluster_run("ceph osd pool ls detail");
    assert_has(strstr(detail, pool), "application rbd");
    g_assert_true(vimg_rados_pool_is_ours(cluster, &ours, &error));
    g_assert_true(ours);
    named = connected(definition);
    g_assert_cmpint(named->pool_id, ==, cluster->pool_id);
    g_assert_true(vimg_rados_pool_delete(named, &error));
    g_assert_no_error(error);
    after = cluster_run("ceph osd pool ls");
    g_assert_null(strstr(after, pool));
}

static void
test_pool_of_others(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = connected(definition);
    g_autoptr(GError) error = NULL;
    gboolean ours = TRUE;

    g_assert_true(vimg_rados_pool_is_ours(cluster, &ours, &error));
    g_assert_false(ours);
}

static void
test_reader(void)
{
    g_autofree char *key = cluster_run("ceph auth get-or-create-key client.reader mon 'allow r' "
                                       "osd 'allow r'");
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = NULL;
    g_autoptr(GError) error = NULL;
    VimgClusterSpace space;

    secret_set("reader", key, strlen(key));
    definition->pool.secret_usage = "reader";
    definition->pool.auth_user = "reader";
    cluster = connected(definition);
    g_assert_false(vimg_cluster_probe(cluster, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    g_clear_error(&error);
    g_assert_true(vimg_cluster_space(cluster, &space, &error));
    g_assert_no_error(error);
}

/* What comes late is in the place of the next one, and not one more. */
static void
test_probe_names(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = connected(definition);
    g_autoptr(VimgCluster) again = connected(definition);
    g_autoptr(Definition) other = definition_new("rbd");
    g_autoptr(VimgCluster) beside = connected(other);
    g_autoptr(GError) error = NULL;

    g_assert_cmpstr(cluster->probe, ==, again->probe);
    g_assert_cmpstr(cluster->probe, !=, beside->probe);
    g_assert_cmpint(rados_write_full(cluster->io, cluster->probe, "late", 4), ==, 0);
    vimg_cluster_probe(again, &error);
    g_assert_no_error(error);
    g_assert_cmpint(rados_stat(cluster->io, cluster->probe, NULL, NULL), ==, -ENOENT);
}

/* What Ceph's own documents give to users of RBD is enough. */
static void
test_rbd_profile(void)
{
    g_autofree char *key = cluster_run("ceph auth get-or-create-key client.profile mon 'profile "
                                       "rbd' osd 'profile rbd' mgr 'profile rbd'");
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = NULL;
    g_autoptr(GError) error = NULL;

    secret_set("profile", key, strlen(key));
    definition->pool.secret_usage = "profile";
    definition->pool.auth_user = "profile";
    definition->pool.data_network = "127.0.0.0/8";
    cluster = connected(definition);
    g_assert_true(vimg_cluster_probe(cluster, &error));
    g_assert_no_error(error);
    g_assert_true(vimg_cluster_admit(cluster, 1 << 20, &error));
    g_assert_no_error(error);
}

static void
test_space(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = connected(definition);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_cluster_admit(cluster, 0, &error));
    g_assert_false(vimg_cluster_admit(cluster, (guint64)1 << 50, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    assert_has(error->message, "PiB do not fit into RADOS pool 'rbd'");
    g_clear_error(&error);
    __atomic_store_n(&cluster->reserve, (guint64)1 << 50, __ATOMIC_RELAXED);
    g_assert_false(vimg_cluster_admit(cluster, 1, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
}

/* Returns: FALSE when the flag came. */
static gboolean
wait_flag(VimgCluster *cluster, gsize offset, gboolean wanted)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    VimgClusterSpace space;

    do {
        g_assert_true(vimg_cluster_space(cluster, &space, NULL));
        if (G_STRUCT_MEMBER(gboolean, &space, offset) == wanted)
            return TRUE;
        g_usleep(100000);
    } while (g_get_monotonic_time() < deadline);
    return FALSE;
}

static void
wait_flag_name(const char *name)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    g_autofree char *pools = cluster_run("ceph osd pool ls detail");

    while (!strstr(pools, name)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_free(pools);
        pools = cluster_run("ceph osd pool ls detail");
    }
}

static void
test_full(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = connected(definition);
    g_autoptr(GError) error = NULL;

    g_free(cluster_run("ceph osd set-nearfull-ratio 0.001"));
    g_assert_true(wait_flag(cluster, G_STRUCT_OFFSET(VimgClusterSpace, nearfull), TRUE));
    g_assert_false(vimg_cluster_admit(cluster, 1, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    assert_has(error->message, "nearly full");
    g_clear_error(&error);
    /* what has begun may go on */
    g_assert_true(vimg_cluster_has_room(cluster, 1, &error));
    g_assert_true(vimg_cluster_probe(cluster, &error));
    /* between the two it says so instead */
    g_free(cluster_run("ceph osd set-backfillfull-ratio 0.001"));
    wait_flag_name("backfillfull");
    g_assert_false(vimg_cluster_admit(cluster, 1, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    assert_has(error->message, "nearly full");
    g_clear_error(&error);
    g_free(cluster_run("ceph osd set-full-ratio 0.001"));
    g_assert_true(wait_flag(cluster, G_STRUCT_OFFSET(VimgClusterSpace, full), TRUE));
    g_assert_false(vimg_cluster_admit(cluster, 1, &error));
    assert_has(error->message, "is full");
    g_clear_error(&error);
    g_assert_false(vimg_cluster_has_room(cluster, 0, &error));
    assert_has(error->message, "is full");
    g_clear_error(&error);
    g_assert_false(vimg_cluster_probe(cluster, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_free(cluster_run("ceph osd set-full-ratio 0.95"));
    g_free(cluster_run("ceph osd set-backfillfull-ratio 0.9"));
    g_free(cluster_run("ceph osd set-nearfull-ratio 0.85"));
    g_assert_true(wait_flag(cluster, G_STRUCT_OFFSET(VimgClusterSpace, full), FALSE));
    g_assert_true(wait_flag(cluster, G_STRUCT_OFFSET(VimgClusterSpace, nearfull), FALSE));
}

static void
test_data_network(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(GPtrArray) peers = g_ptr_array_new();
    VimgCephPeer peer = {.name = "osd.3", .address = "127.0.0.2:6800"};
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;

    definition->pool.data_network = "127.0.0.0/24";
    vimg_cluster_unref(connected(definition));
    definition->pool.data_network = "10.9.0.0/16";
    message = refused(definition, VIMG_ERROR_CONFIG_UNSUPPORTED);
    assert_has(message, "server '127.0.0.1' has no address in network '10.9.0.0/16'");
    /* 127.0.0.2 lies in this network, but the way there begins at 127.0.0.1 */
    g_ptr_array_add(peers, &peer);
    g_assert_false(vimg_peers_check(peers, "127.0.0.2/31", FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
    assert_has(error->message, "route to osd.3 at 127.0.0.2:6800 leaves from 127.0.0.1");
    g_clear_error(&error);
    /* librados may go on to any monitor that the others name */
    g_assert_true(vimg_peers_check(peers, "127.0.0.1/32", FALSE, &error));
    g_assert_false(vimg_peers_check(peers, "127.0.0.1/32", TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
    assert_has(error->message, "osd.3 at 127.0.0.2:6800 is not in data network '127.0.0.1/32'");
    g_clear_error(&error);
    peer.address = "nonsense";
    g_assert_false(vimg_peers_check(peers, "127.0.0.0/8", FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
}

static void
test_answers(void)
{
    g_autoptr(Definition) definition = definition_new("rbd");
    g_autoptr(VimgCluster) cluster = connected(definition);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) monitors = vimg_ceph_monitors(cluster->rados, &error);
    g_autoptr(GPtrArray) osds = vimg_ceph_osds(cluster->rados, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(monitors->len, ==, 1);
    g_assert_cmpstr(((VimgCephPeer *)monitors->pdata[0])->name, ==, "mon.a");
    g_assert_cmpuint(osds->len, >=, 1);
    g_assert_cmpstr(((VimgCephPeer *)osds->pdata[0])->name, ==, "osd.0");
    g_assert_null(vimg_ceph_ask(cluster->rados, "\"prefix\": \"no such thing\"", &error));
    g_assert_nonnull(error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    g_test_add_func("/ceph/cluster/connect", test_connect);
    g_test_add_func("/ceph/cluster/binary-key", test_binary_key);
    g_test_add_func("/ceph/cluster/wrong-key", test_wrong_key);
    g_test_add_func("/ceph/cluster/all-monitors-fail", test_all_monitors_fail);
    g_test_add_func("/ceph/cluster/one-monitor-is-enough", test_one_monitor_is_enough);
    g_test_add_func("/ceph/cluster/pool-by-exact-name", test_pool_by_exact_name);
    g_test_add_func("/ceph/cluster/pool-of-our-own", test_pool_of_our_own);
    g_test_add_func("/ceph/cluster/pool-of-others", test_pool_of_others);
    g_test_add_func("/ceph/cluster/reader", test_reader);
    g_test_add_func("/ceph/cluster/probe-names", test_probe_names);
    g_test_add_func("/ceph/cluster/rbd-profile", test_rbd_profile);
    g_test_add_func("/ceph/cluster/space", test_space);
    g_test_add_func("/ceph/cluster/full", test_full);
    g_test_add_func("/ceph/cluster/data-network", test_data_network);
    g_test_add_func("/ceph/cluster/answers", test_answers);
    return g_test_run();
}
