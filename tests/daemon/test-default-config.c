/*
 * test-default-config.c: the file that is installed says what the daemon does without it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/daemon-config.h"

static char *
read_default(void)
{
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(VIMG_SOURCEDIR "/src/daemon/virtimaged.conf", &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static void
check_numbers(const VimgDaemonConfig *config)
{
    g_autoptr(VimgDaemonConfig) fallback = vimg_daemon_config_new();

    g_assert_cmpuint(config->max_clients, ==, fallback->max_clients);
    g_assert_cmpuint(config->max_streams, ==, fallback->max_streams);
    g_assert_cmpuint(config->max_workers, ==, fallback->max_workers);
    g_assert_cmpuint(config->max_pool_calls, ==, fallback->max_pool_calls);
    g_assert_cmpuint(config->max_client_requests, ==, fallback->max_client_requests);
    g_assert_cmpuint(config->max_client_bytes, ==, fallback->max_client_bytes);
    g_assert_cmpuint(config->max_stream_queue, ==, fallback->max_stream_queue);
    g_assert_cmpuint(config->keepalive_interval, ==, fallback->keepalive_interval);
    g_assert_cmpuint(config->keepalive_count, ==, fallback->keepalive_count);
    g_assert_cmpuint(config->stream_stall_timeout, ==, fallback->stream_stall_timeout);
    g_assert_cmpuint(config->import_timeout, ==, fallback->import_timeout);
    g_assert_cmpuint(config->import_ratio, ==, fallback->import_ratio);
    g_assert_cmpuint(config->import_max_size, ==, fallback->import_max_size);
    g_assert_cmpuint(config->nbd_cache, ==, fallback->nbd_cache);
    g_assert_cmpuint(config->nbd_wait, ==, fallback->nbd_wait);
    g_assert_cmpuint(config->export_connections, ==, fallback->export_connections);
    g_assert_cmpuint(config->export_rate, ==, fallback->export_rate);
    g_assert_cmpuint(config->export_client_connections, ==, fallback->export_client_connections);
    g_assert_cmpuint(config->export_client_rate, ==, fallback->export_client_rate);
    g_assert_cmpuint(config->export_timeout, ==, fallback->export_timeout);
    g_assert_cmpstrv(config->import_schemes, fallback->import_schemes);
    g_assert_cmpint(config->log_level, ==, fallback->log_level);
}

static void
test_as_it_is(void)
{
    g_autofree char *text = read_default();
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgDaemonConfig) config = vimg_daemon_config_parse("default", text, &error);

    g_assert_no_error(error);
    check_numbers(config);
    g_assert_null(config->socket_group);
    g_assert_null(config->host_uri);
    g_assert_null(config->metrics_file);
    g_assert_cmpuint(g_strv_length(config->zones), ==, 0);
}

/* "#key = value" lines without their mark; "# text" stays a comment. */
static char *
uncomment(const char *text, guint *keys)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    *keys = 0;
    for (guint i = 0; lines[i]; i++) {
        if (lines[i][0] == '#' && g_ascii_islower(lines[i][1])) {
            lines[i][0] = ' ';
            ++*keys;
        }
    }
    return g_strjoinv("\n", lines);
}

static void
test_every_key(void)
{
    g_autofree char *text = read_default();
    g_autoptr(GError) error = NULL;
    guint keys = 0;
    g_autofree char *active = uncomment(text, &keys);
    g_autoptr(VimgDaemonConfig) config = vimg_daemon_config_parse("default", active, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(keys, ==, 39);
    check_numbers(config);
    g_assert_cmpstr(config->socket_group, ==, "libvirt");
    g_assert_cmpstr(config->host_uri, ==, "qemu:///system");
    g_assert_cmpuint(g_strv_length(config->zones), ==, 1);
    g_assert_cmpuint(g_strv_length(config->compat_uris), ==, 1);
    g_assert_cmpuint(g_strv_length(config->search_paths), ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/default-config/as-it-is", test_as_it_is);
    g_test_add_func("/default-config/every-key", test_every_key);
    return g_test_run();
}
