/*
 * test-config.c: virtimaged.conf
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "conf/daemon-config.h"

static void
test_defaults(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgDaemonConfig) config =
        vimg_daemon_config_parse("f", "# nothing\n\n \t\r\n", &error);

    g_assert_no_error(error);
    g_assert_null(config->zones[0]);
    g_assert_null(config->socket_group);
    g_assert_null(config->compat_uris[0]);
    g_assert_null(config->host_uri);
    g_assert_null(config->search_paths[0]);
    g_assert_cmpuint(config->max_clients, ==, 5000);
    g_assert_cmpuint(config->max_streams, ==, 256);
    g_assert_cmpuint(config->max_workers, ==, 20);
    g_assert_cmpuint(config->max_pool_calls, ==, 5);
    g_assert_cmpuint(config->max_client_requests, ==, 64);
    g_assert_cmpuint(config->max_client_bytes, ==, 33554432);
    g_assert_cmpuint(config->max_stream_queue, ==, 8388608);
    g_assert_cmpuint(config->keepalive_interval, ==, 5);
    g_assert_cmpuint(config->keepalive_count, ==, 5);
    g_assert_cmpuint(config->stream_stall_timeout, ==, 120);
    g_assert_null(config->metrics_file);
    g_assert_cmpuint(config->metrics_interval, ==, 15);
    g_assert_cmpuint(g_strv_length(config->import_schemes), ==, 3);
    g_assert_null(config->import_hosts[0]);
    g_assert_null(config->import_addresses[0]);
    g_assert_null(config->import_directories[0]);
    g_assert_null(config->import_ca_file);
    g_assert_null(config->import_proxy);
    g_assert_cmpuint(config->import_timeout, ==, 60);
    g_assert_cmpuint(config->import_ratio, ==, 1000);
    g_assert_cmpuint(config->import_max_size, ==, 17592186044416);
    g_assert_cmpuint(config->nbd_cache, ==, 4294967296);
    g_assert_cmpuint(config->nbd_wait, ==, 60);
    g_assert_null(config->export_listen);
    g_assert_null(config->export_url);
    g_assert_null(config->export_tls_cert);
    g_assert_null(config->export_tls_key);
    g_assert_null(config->export_user);
    g_assert_cmpuint(config->export_connections, ==, 100);
    g_assert_cmpuint(config->export_rate, ==, 0);
    g_assert_cmpuint(config->export_client_connections, ==, 32);
    g_assert_cmpuint(config->export_client_rate, ==, 0);
    g_assert_cmpuint(config->export_timeout, ==, 60);
    g_assert_cmpint(config->log_level, ==, VIMG_LOG_INFO);
}

static void
test_full(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", "config", "full.conf", NULL);
    g_autoptr(VimgDaemonConfig) config = vimg_daemon_config_load(path, &error);
    static const char *const zones[] = {"zone-1", "zone-2", "zone 3", NULL};
    static const char *const paths[] = {"/srv", "/mnt", NULL};
    static const char *const schemes[] = {"https", NULL};
    static const char *const hosts[] = {"*.example.com", NULL};
    static const char *const networks[] = {"192.0.2.0/24", "2001:db8::1", NULL};
    static const char *const incoming[] = {"/srv/incoming", NULL};

    g_assert_no_error(error);
    g_assert_cmpstrv(config->zones, zones);
    g_assert_cmpstr(config->socket_group, ==, "kvm");
    g_assert_cmpstr(config->compat_uris[0], ==, "qemu:///system");
    g_assert_null(config->compat_uris[1]);
    g_assert_cmpstr(config->host_uri, ==, "qemu:///system");
    g_assert_cmpstrv(config->search_paths, paths);
    g_assert_cmpuint(config->max_clients, ==, 10);
    g_assert_cmpuint(config->max_streams, ==, 11);
    g_assert_cmpuint(config->max_workers, ==, 12);
    g_assert_cmpuint(config->max_pool_calls, ==, 3);
    g_assert_cmpuint(config->max_client_requests, ==, 14);
    g_assert_cmpuint(config->max_client_bytes, ==, 1048576);
    g_assert_cmpuint(config->max_stream_queue, ==, 2097152);
    g_assert_cmpuint(config->keepalive_interval, ==, 0);
    g_assert_cmpuint(config->keepalive_count, ==, 7);
    g_assert_cmpuint(config->stream_stall_timeout, ==, 30);
    g_assert_cmpstr(config->metrics_file, ==, "/run/m.prom");
    g_assert_cmpuint(config->metrics_interval, ==, 60);
    g_assert_cmpstrv(config->import_schemes, schemes);
    g_assert_cmpstrv(config->import_hosts, hosts);
    g_assert_cmpstrv(config->import_addresses, networks);
    g_assert_cmpstrv(config->import_directories, incoming);
    g_assert_cmpstr(config->import_ca_file, ==, "/etc/ca.pem");
    g_assert_cmpstr(config->import_proxy, ==, "http://proxy:3128");
    g_assert_cmpuint(config->import_timeout, ==, 5);
    g_assert_cmpuint(config->import_ratio, ==, 100);
    g_assert_cmpuint(config->import_max_size, ==, 1073741824);
    g_assert_cmpuint(config->nbd_cache, ==, 1048576);
    g_assert_cmpuint(config->nbd_wait, ==, 5);
    g_assert_cmpstr(config->export_listen, ==, "[::1]:8080");
    g_assert_cmpstr(config->export_url, ==, "https://images.example.com/");
    g_assert_cmpstr(config->export_tls_cert, ==, "/etc/cert.pem");
    g_assert_cmpstr(config->export_tls_key, ==, "/etc/key.pem");
    g_assert_cmpstr(config->export_user, ==, "images");
    g_assert_cmpuint(config->export_connections, ==, 7);
    g_assert_cmpuint(config->export_rate, ==, 1048576);
    g_assert_cmpuint(config->export_client_connections, ==, 2);
    g_assert_cmpuint(config->export_client_rate, ==, 65536);
    g_assert_cmpuint(config->export_timeout, ==, 9);
    g_assert_cmpint(config->log_level, ==, VIMG_LOG_DEBUG);
}

static const struct {
    const char *name;
    const char *text;
    const char *message;
} bad[] = {
    {"unknown", "\n\nzone = []\n", "f:3: unknown setting 'zone'"},
    {"no-name", "= 1", "f:1: expected a setting: NAME = VALUE"},
    {"no-equals", "max_clients 5", "f:1: expected '=' after max_clients"},
    {"twice", "max_clients = 5\nmax_clients = 5\n", "f:2: max_clients is set twice"},
    {"number-zero", "max_clients = 0", "f:1: max_clients needs a number from 1 to 100000"},
    {"number-large", "max_clients = 99999999999999999999",
     "f:1: max_clients needs a number from 1 to 100000"},
    {"number-string", "max_clients = \"5\"", "f:1: max_clients needs a number from 1 to 100000"},
    {"number-negative", "keepalive_interval = -1",
     "f:1: keepalive_interval needs a number from 0 to 86400"},
    {"number-none", "max_clients =\n5", "f:1: max_clients needs a number from 1 to 100000"},
    {"level", "log_level = 5", "f:1: log_level needs a number from 1 to 4"},
    {"listen-name", "export_listen = 'host:80'",
     "f:1: export_listen: 'host:80' is not an address and a port such as 192.0.2.1:8080 or [2001:db8::1]:8080, or a port such as :8080"},
    {"listen-no-port", "export_listen = '192.0.2.1'",
     "f:1: export_listen: '192.0.2.1' is not an address and a port such as 192.0.2.1:8080 or [2001:db8::1]:8080, or a port such as :8080"},
    {"listen-bare", "export_listen = '::1:80'",
     "f:1: export_listen: '::1:80' is not an address and a port such as 192.0.2.1:8080 or [2001:db8::1]:8080, or a port such as :8080"},
    {"listen-port", "export_listen = ':65536'",
     "f:1: export_listen: ':65536' is not an address and a port such as 192.0.2.1:8080 or [2001:db8::1]:8080, or a port such as :8080"},
    {"listen-any", "export_listen = '0.0.0.0:80'",
     "f: export_listen names no single address, so export_url must be set"},
    {"key-alone", "export_tls_key = '/k'", "f: export_tls_cert and export_tls_key need each other"},
    {"trailing", "max_clients = 5 6", "f:1: text after the value of max_clients"},
    {"string-bare", "socket_group = kvm", "f:1: socket_group needs a string in quotes"},
    {"string-open", "socket_group = \"kvm\n\"", "f:1: the string does not end on its line"},
    {"string-quotes", "socket_group = \"kvm'", "f:1: the string does not end on its line"},
    {"string-empty", "socket_group = \"\"", "f:1: socket_group: an empty string"},
    {"string-bytes", "socket_group = \"\xff\"", "f:1: socket_group: not valid UTF-8"},
    {"uri", "host_uri = \"here\"",
     "f:1: host_uri: 'here' is not \"auto\", \"none\" or a URI such as qemu:///system"},
    {"uri-host", "host_uri = \"qemu+ssh://h/system\"",
     "f:1: host_uri: 'qemu+ssh://h/system' is a daemon of another machine; only one of this host can be used"},
    {"uri-tcp", "host_uri = \"qemu+tcp:///system\"",
     "f:1: host_uri: 'qemu+tcp:///system' is a daemon of another machine; only one of this host can be used"},
    {"uri-socket", "host_uri = \"qemu:///system?socket=x\"",
     "f:1: host_uri: 'x' is not an absolute path"},
    {"list-string", "zones = \"a\"", "f:1: zones needs a list of strings: [ \"…\", \"…\" ]"},
    {"list-open", "zones = [ \"a\"\n", "f:2: zones: the list does not end"},
    {"list-commas", "zones = [ \"a\",\n,]", "f:2: zones needs a string in quotes"},
    {"list-number", "zones = [ 1 ]", "f:1: zones needs a string in quotes"},
    {"list-twice", "zones = [ \"a\",\n\"a\" ]", "f:2: zones: 'a' is given twice"},
    {"zone-name", "zones = [ \"a/b\" ]", "f:1: zones: name a/b cannot contain '/'"},
    {"metrics-file", "metrics_file = \"m\"", "f:1: metrics_file: 'm' is not an absolute path"},
    {"metrics-interval", "metrics_interval = 0",
     "f:1: metrics_interval needs a number from 1 to 86400"},
    {"import-scheme", "import_schemes = [ \"ftp\" ]",
     "f:1: import_schemes: images are imported from https, http and file URLs"},
    {"import-address", "import_addresses = [ \"10.0.0.1/8\" ]",
     "f:1: import_addresses: '10.0.0.1/8' is not a network such as 192.0.2.0/24 or 2001:db8::/32"},
    {"import-directory", "import_directories = [ \"x\" ]",
     "f:1: import_directories: 'x' is not an absolute path"},
    {"import-ratio", "import_ratio = 0", "f:1: import_ratio needs a number from 1 to 1000000"},
    {"search-path", "search_paths = [ \"x\" ]", "f:1: search_paths: 'x' is not an absolute path"},
};

static void
test_bad(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgDaemonConfig) config = vimg_daemon_config_parse("f", bad[i].text, &error);

    g_assert_null(config);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
    g_assert_cmpstr(error->message, ==, bad[i].message);
}

static void
test_missing(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgDaemonConfig) config = vimg_daemon_config_load("/no-such-dir/f", &error);

    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_null(config);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/full", test_full);
    g_test_add_func("/config/missing", test_missing);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *path = g_strconcat("/config/bad/", bad[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_bad);
    }
    return g_test_run();
}
