/*
 * fuzz-config.c: virtimaged.conf; what is taken has lists and numbers as promised
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/daemon-config.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgDaemonConfig) config = vimg_daemon_config_parse("f", text, &error);

    g_assert((config == NULL) == (error != NULL));
    if (!config) {
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
        g_assert_true(g_str_has_prefix(error->message, "f:"));
        return 0;
    }
    g_assert_nonnull(config->zones);
    g_assert_nonnull(config->compat_uris);
    g_assert_nonnull(config->search_paths);
    g_assert_nonnull(config->import_schemes);
    g_assert_nonnull(config->import_addresses);
    g_assert_cmpuint(config->import_ratio, >=, 1);
    g_assert_cmpuint(config->max_clients, >=, 1);
    g_assert_cmpuint(config->max_streams, >=, 1);
    g_assert_cmpuint(config->max_client_bytes, >=, 65536);
    g_assert_cmpint(config->log_level, >=, VIMG_LOG_DEBUG);
    g_assert_cmpint(config->log_level, <=, VIMG_LOG_ERROR);
    return 0;
}
