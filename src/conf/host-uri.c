/*
 * host-uri.c: which of the host's own libvirt daemons is meant
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/host-uri.h"
#include "util/i18n.h"

#define TRANSPORT_LOCAL "unix"

void
vimg_host_uri_free(VimgHostUri *uri)
{
    if (!uri)
        return;
    g_free(uri->name);
    g_free(uri->driver);
    g_free(uri->socket);
    g_free(uri);
}

/* The one parameter that is ours to obey; others are for libvirt's clients. */
static gboolean
take_socket(VimgHostUri *uri, GUri *parsed, GError **error)
{
    g_autoptr(GHashTable) params = NULL;
    const char *query = g_uri_get_query(parsed);

    if (!query)
        return TRUE;
    params = g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL);
    if (params)
        uri->socket = g_strdup(g_hash_table_lookup(params, "socket"));
    return !uri->socket || g_path_is_absolute(uri->socket) ||
           vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("'%s' is not an absolute path"),
                      uri->socket);
}

static gboolean
is_local(GUri *parsed, const char *transport)
{
    const char *host = g_uri_get_host(parsed);

    return (!host || !*host) && (!transport || g_str_equal(transport, TRANSPORT_LOCAL));
}

VimgHostUri *
vimg_host_uri_parse(const char *text, GError **error)
{
    g_autoptr(VimgHostUri) uri = g_new0(VimgHostUri, 1);
    g_autoptr(GUri) parsed = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);
    char *plus;

    if (!parsed) {
        vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                   _("'%s' is not \"auto\", \"none\" or a URI such as qemu:///system"), text);
        return NULL;
    }
    uri->driver = g_strdup(g_uri_get_scheme(parsed));
    plus = strchr(uri->driver, '+');
    if (plus)
        *plus++ = '\0';
    if (!is_local(parsed, plus)) {
        vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                   _("'%s' is a daemon of another machine; only one of this host can be used"),
                   text);
        return NULL;
    }
    uri->session = g_str_equal(g_uri_get_path(parsed), "/session");
    uri->name = g_strdup_printf("%s://%s", uri->driver, g_uri_get_path(parsed));
    return take_socket(uri, parsed, error) ? g_steal_pointer(&uri) : NULL;
}
