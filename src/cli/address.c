/*
 * address.c: URIs of daemons, as virsh takes them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "cli/address.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define DEFAULT_URI "VIRTIMAGE_DEFAULT_URI"
#define CONFIG_MAX 65536

void
vimg_address_free(VimgAddress *address)
{
    if (!address)
        return;
    g_free(address->name);
    g_free(address->socket);
    g_free(address->host);
    g_free(address->user);
    g_free(address->port);
    g_free(address->key_file);
    g_free(address->known_hosts);
    g_free(address->command);
    g_free(address->netcat);
    g_free(address);
}

/* ---- aliases ---------------------------------------------------------------------------- */

char *
vimg_address_alias(const char *config, const char *alias)
{
    g_autoptr(GRegex) comments = g_regex_new("^[ \\t]*#.*$", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GRegex) list =
        g_regex_new("^[ \\t]*uri_aliases\\s*=\\s*\\[([^]]*)\\]", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GRegex) entry = g_regex_new("[\"']([^\"'=]+)=([^\"']*)[\"']", 0, 0, NULL);
    g_autofree char *bare = g_regex_replace_literal(comments, config, -1, 0, "", 0, NULL);
    g_autoptr(GMatchInfo) found = NULL;
    g_autoptr(GMatchInfo) entries = NULL;
    g_autofree char *inside = NULL;

    if (!bare || !g_regex_match(list, bare, 0, &found))
        return NULL;
    inside = g_match_info_fetch(found, 1);
    for (g_regex_match(entry, inside, 0, &entries); g_match_info_matches(entries);
         g_match_info_next(entries, NULL)) {
        g_autofree char *name = g_match_info_fetch(entries, 1);

        if (g_str_equal(name, alias))
            return g_match_info_fetch(entries, 2);
    }
    return NULL;
}

/* The user's file, or else that of the host; root has the host's only. */
static char *
look_up_alias(const char *alias)
{
    g_autofree char *own =
        g_build_filename(g_get_user_config_dir(), "libvirt", "libvirt.conf", NULL);
    const char *paths[] = {geteuid() == 0 ? NULL : own, VIMG_SYSCONFDIR "/libvirt/libvirt.conf"};

    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *text = paths[i] ? vimg_file_read(paths[i], CONFIG_MAX, NULL, NULL) : NULL;
        char *uri = text ? vimg_address_alias(text, alias) : NULL;

        if (uri)
            return uri;
    }
    return NULL;
}

/* Returns: (transfer full) */
static char *
choose_uri(const char *given, GError **error)
{
    const char *uri = given ? given : g_getenv(DEFAULT_URI);
    char *alias;

    if (!uri || !*uri)
        return g_strdup(geteuid() == 0 ? "image:///system" : "image:///session");
    if (strchr(uri, ':'))
        return g_strdup(uri);
    alias = look_up_alias(uri);
    if (!alias)
        vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                   _("'%s' is no URI, and no alias that libvirt.conf knows"), uri);
    return alias;
}

/* ---- parameters ------------------------------------------------------------------------- */

/* What may follow the question mark. */
static const struct {
    const char *name;
    gsize offset; /* of a string, or of a truth value */
    gboolean flag;
    gboolean ssh; /* says nothing of a socket of this host */
} parameters[] = {
    {"socket", G_STRUCT_OFFSET(VimgAddress, socket), FALSE, FALSE},
    {"keyfile", G_STRUCT_OFFSET(VimgAddress, key_file), FALSE, TRUE},
    {"known_hosts", G_STRUCT_OFFSET(VimgAddress, known_hosts), FALSE, TRUE},
    {"command", G_STRUCT_OFFSET(VimgAddress, command), FALSE, TRUE},
    {"netcat", G_STRUCT_OFFSET(VimgAddress, netcat), FALSE, TRUE},
    {"no_verify", G_STRUCT_OFFSET(VimgAddress, no_verify), TRUE, TRUE},
    {"no_tty", G_STRUCT_OFFSET(VimgAddress, no_tty), TRUE, TRUE},
};

/* How far the helper looks, which is for stock clients; a way that we have not is refused. */
static gboolean
take_other(VimgAddress *address, const char *name, const char *value, GError **error)
{
    if (g_str_equal(name, "mode"))
        return TRUE;
    if (g_str_equal(name, "proxy") &&
        g_strv_contains((const char *[]){"auto", "native", NULL}, value))
        return TRUE;
    if (g_str_equal(name, "proxy") && g_str_equal(value, "netcat")) {
        if (!address->netcat)
            address->netcat = g_strdup("nc");
        return TRUE;
    }
    return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                      _("parameter '%1$s=%2$s' of the URI is not known"), name, value);
}

static gboolean
take_parameter(VimgAddress *address, const char *name, const char *value, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(parameters); i++) {
        gpointer field = G_STRUCT_MEMBER_P(address, parameters[i].offset);

        if (!g_str_equal(name, parameters[i].name) || (parameters[i].ssh && !address->host))
            continue;
        if (parameters[i].flag) {
            *(gboolean *)field = !g_str_equal(value, "0");
        } else {
            g_free(*(char **)field);
            *(char **)field = g_strdup(value);
        }
        return TRUE;
    }
    return take_other(address, name, value, error);
}

static gboolean
take_parameters(VimgAddress *address, const char *query, GError **error)
{
    GUriParamsIter iter;
    g_autoptr(GError) local = NULL;

    if (!query)
        return TRUE;
    g_uri_params_iter_init(&iter, query, -1, "&;", G_URI_PARAMS_NONE);
    for (;;) {
        g_autofree char *name = NULL;
        g_autofree char *value = NULL;

        if (!g_uri_params_iter_next(&iter, &name, &value, &local))
            break;
        if (!take_parameter(address, name, value, error))
            return FALSE;
    }
    if (local)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("the parameters of the URI are malformed"));
    return TRUE;
}

/* ---- the whole -------------------------------------------------------------------------- */

/* ssh and the shells it runs take it for nothing but a name. */
static gboolean
is_plain(const char *text)
{
    return *text && *text != '-' &&
           !text[strspn(text,
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@:%")];
}

static gboolean
take_host(VimgAddress *address, GUri *uri, GError **error)
{
    const char *user = g_uri_get_userinfo(uri);
    int port = g_uri_get_port(uri);

    /* not shown: it might hold a password */
    if (!is_plain(g_uri_get_host(uri)) || (user && (!is_plain(user) || strchr(user, ':'))))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("the host or user of the URI is not one that ssh may be given"));
    address->host = g_strdup(g_uri_get_host(uri));
    address->user = g_strdup(user);
    address->port = port > 0 ? g_strdup_printf("%d", port) : NULL;
    return TRUE;
}

static gboolean
take_uri(VimgAddress *address, GUri *uri, GError **error)
{
    const char *scheme = g_uri_get_scheme(uri);
    const char *host = g_uri_get_host(uri);
    const char *path = g_uri_get_path(uri);
    gboolean ssh = g_str_equal(scheme, "image+ssh");

    if (!ssh && !g_strv_contains((const char *[]){"image", "image+unix", NULL}, scheme))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("a URI begins with image:, image+unix: or image+ssh:, not with '%s:'"),
                          scheme);
    if (!g_strv_contains((const char *[]){"/system", "/session", "/", "", NULL}, path))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("the path of a URI is /system or /session, not '%s'"), path);
    if (ssh != (host && *host))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("a URI with ssh names a host, others do not"));
    if (ssh && !take_host(address, uri, error))
        return FALSE;
    address->name = g_strdup_printf("image://%s", *path ? path : "/");
    address->session = g_str_equal(path, "/session");
    return take_parameters(address, g_uri_get_query(uri), error);
}

VimgAddress *
vimg_address_new(const char *uri, GError **error)
{
    g_autoptr(VimgAddress) address = g_new0(VimgAddress, 1);
    g_autofree char *chosen = choose_uri(uri, error);
    g_autoptr(GUri) parsed = NULL;

    if (!chosen)
        return NULL;
    /* the query stays as it is: what is escaped in a value is no end of it */
    parsed = g_uri_parse(chosen, G_URI_FLAGS_ENCODED_QUERY, NULL);
    if (!parsed) {
        vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("the URI is malformed"));
        return NULL;
    }
    if (!take_uri(address, parsed, error))
        return NULL;
    return g_steal_pointer(&address);
}
