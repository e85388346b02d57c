/*
 * handlers-connect.c: opening a connection, and what a client asks about it
 *
 * Rights come from the socket alone: whoever may connect to it is authenticated by that, so the one
 * way to authenticate that is offered is "none".
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>
#include <libvirt/libvirt.h>

#include "rpc/handlers.h"
#include "rpc/host-info.h"
#include "rpc/server.h"
#include "util/i18n.h"

/* The type of the connection, which is also the scheme of our URIs. */
#define DRIVER "image"
#define SCHEME DRIVER "://"
#define URI_SYSTEM "image:///system"
#define URI_SESSION "image:///session"

/* The libvirt whose procedures we speak; clients guess from it what they may call. */
#define SPOKEN_VERSION (9 * 1000000)

/* Numbers a client may ask SUPPORTS_FEATURE for; without a host's daemon all others are 0. */
enum {
    FEATURE_KEEPALIVE = 10,
    FEATURE_EVENT_CALLBACK = 14,
    FEATURE_CLOSE_CALLBACK = 15,
};

/* ---- opening -------------------------------------------------------------------------------- */

static gboolean
is_compat_uri(VimgCall *call, const char *name, gsize length)
{
    char **uris = vimg_server_config(vimg_client_server(call->client))->compat_uris;

    for (guint i = 0; uris && uris[i]; i++) {
        if (strlen(uris[i]) == length && memcmp(uris[i], name, length) == 0)
            return TRUE;
    }
    return FALSE;
}

static const char *
default_uri(VimgCall *call)
{
    return vimg_server_is_privileged(vimg_client_server(call->client)) ? URI_SYSTEM : URI_SESSION;
}

/*
 * Clients of a system daemon ask for /system, those of a user's own for /session.  Which one a
 * client reached was decided by its socket (root's session is the system), so both answer both.
 */
static gboolean
check_path(VimgCall *call, const char *path, GError **error)
{
    static const char *const paths[] = {"/", "/system", "/session", NULL};

    return g_strv_contains(paths, path) ||
           vimg_throw(error, VIMG_ERROR_INTERNAL, _("unexpected image URI path '%1$s', try %2$s"),
                      path, default_uri(call));
}

/*
 * The path of a URI of ours; what is behind '?' was for the client's own eyes: which socket, which
 * ssh.  Not with GUri, which resolves "..".  Returns: (transfer full) NULL if it names another
 * driver or a host.
 */
static char *
path_of(const char *uri)
{
    const char *path;
    gsize length;

    if (!g_str_has_prefix(uri, SCHEME))
        return NULL;
    path = uri + strlen(SCHEME);
    length = strcspn(path, "?#");
    return length == 0 || *path == '/' ? g_strndup(path, length) : NULL;
}

/* Returns: (transfer full) the URI that @name means, or NULL with @error. */
static char *
resolve_uri(VimgCall *call, const char *name, GError **error)
{
    g_autofree char *path = NULL;

    if (!name || !*name)
        return g_strdup(default_uri(call));
    if (is_compat_uri(call, name, strcspn(name, "?")))
        return g_strdup(name);
    path = path_of(name);
    if (!path) {
        vimg_throw(error, VIMG_ERROR_NO_CONNECT, "%s", name);
        return NULL;
    }
    if (!check_path(call, path, error))
        return NULL;
    return g_strdup(g_str_equal(path, "/") ? default_uri(call) : name);
}

gboolean
vimg_handle_open(VimgCall *call, GError **error)
{
    const vimg_remote_open_args *args = call->args;
    g_autofree char *uri = NULL;

    if (!vimg_client_get_uri(call->client)) {
        uri = resolve_uri(call, args->name ? *args->name : NULL, error);
        if (!uri)
            return FALSE;
        /* before it counts as open, so that no call slips in between; other bits are the client's
         */
        if (args->flags & VIR_CONNECT_RO)
            vimg_client_set_read_only(call->client);
        if (vimg_client_set_uri(call->client, uri))
            return TRUE;
    }
    return vimg_throw(error, VIMG_ERROR_RPC_STATE, "%s", _("connection already open"));
}

gboolean
vimg_handle_auth_list(VimgCall *call, GError **error)
{
    vimg_remote_auth_list_ret *ret = call->ret;
    uid_t uid = vimg_client_uid(call->client);

    /* a session's socket lies in a private directory; this is the second lock on that door */
    if (!vimg_server_is_privileged(vimg_client_server(call->client)) && uid != 0 &&
        uid != geteuid())
        return vimg_throw(error, VIMG_ERROR_AUTH, "%s",
                          _("this daemon serves the user that started it only"));
    vimg_client_set_authenticated(call->client);
    ret->types.types_val = g_new0(vimg_remote_auth_type, 1);
    ret->types.types_val[0] = VIMG_AUTH_NONE;
    ret->types.types_len = 1;
    return TRUE;
}

gboolean
vimg_handle_auth_other(VimgCall *call, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_AUTH, _("%s was not offered"), call->proc->name);
}

/*
 * Proxies say for whom they speak.  Nothing here depends on who it is, so it is checked and let go;
 * from anybody but root it would be a lie.
 */
gboolean
vimg_handle_set_identity(VimgCall *call, GError **error)
{
    const vimg_remote_identity_args *args = call->args;

    if (!vimg_call_check_flags(call, args->flags, 0, error))
        return FALSE;
    if (vimg_client_uid(call->client) != 0)
        return vimg_throw(error, VIMG_ERROR_ACCESS_DENIED, "'%s'", call->proc->name);
    return TRUE;
}

gboolean
vimg_handle_supports_feature(VimgCall *call, GError **error)
{
    const vimg_remote_int *args = call->args;
    vimg_remote_int *ret = call->ret;

    /* the one thing that may be asked of a connection that is not open yet */
    if (args->value != FEATURE_KEEPALIVE && !vimg_client_get_uri(call->client))
        return vimg_throw(error, VIMG_ERROR_RPC_STATE, "%s", _("connection not open"));
    switch (args->value) {
    case FEATURE_KEEPALIVE:
        vimg_client_enable_keepalive(call->client);
        ret->value = 1;
        break;
    case FEATURE_EVENT_CALLBACK:
    case FEATURE_CLOSE_CALLBACK:
        ret->value = 1;
        break;
    default:
        ret->value = 0;
    }
    return TRUE;
}

/* Those of the connection itself are ours; others are of what is behind it. */
gboolean
vimg_route_feature(const VimgCall *call)
{
    static const int ours[] = {FEATURE_KEEPALIVE, FEATURE_EVENT_CALLBACK, FEATURE_CLOSE_CALLBACK};
    const vimg_remote_int *args = call->args;

    for (gsize i = 0; i < G_N_ELEMENTS(ours); i++)
        if (args->value == ours[i])
            return FALSE;
    return vimg_client_get_uri(call->client) != NULL;
}

/* Twice is as once, as in libvirt. */

gboolean
vimg_handle_hear_close(VimgCall *call, GError **error)
{
    vimg_client_set_hears_close(call->client, TRUE);
    return TRUE;
}

gboolean
vimg_handle_unhear_close(VimgCall *call, GError **error)
{
    vimg_client_set_hears_close(call->client, FALSE);
    return TRUE;
}

/* ---- what it is ----------------------------------------------------------------------------- */

gboolean
vimg_handle_nothing(VimgCall *call, GError **error)
{
    return TRUE;
}

gboolean
vimg_handle_unsupported(VimgCall *call, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s", call->proc->name);
}

gboolean
vimg_handle_get_type(VimgCall *call, GError **error)
{
    return vimg_string_to_wire(g_strdup(DRIVER), call->ret);
}

gboolean
vimg_handle_get_version(VimgCall *call, GError **error)
{
    static const guint64 weights[] = {1000000, 1000, 1};
    g_auto(GStrv) parts = g_strsplit(VIMG_VERSION, ".", G_N_ELEMENTS(weights));
    vimg_remote_version *ret = call->ret;

    for (guint i = 0; parts[i] && i < G_N_ELEMENTS(weights); i++) {
        guint64 part = 0;

        g_ascii_string_to_unsigned(parts[i], 10, 0, 999, &part, NULL);
        ret->value += weights[i] * part;
    }
    return TRUE;
}

gboolean
vimg_handle_get_lib_version(VimgCall *call, GError **error)
{
    vimg_remote_version *ret = call->ret;

    ret->value = SPOKEN_VERSION;
    return TRUE;
}

gboolean
vimg_handle_get_hostname(VimgCall *call, GError **error)
{
    return vimg_string_to_wire(g_strdup(g_get_host_name()), call->ret);
}

gboolean
vimg_handle_get_uri(VimgCall *call, GError **error)
{
    return vimg_string_to_wire(g_strdup(vimg_client_get_uri(call->client)), call->ret);
}

gboolean
vimg_handle_is_secure(VimgCall *call, GError **error)
{
    vimg_remote_int *ret = call->ret;

    ret->value = 1; /* a local socket: nobody listens */
    return TRUE;
}

gboolean
vimg_handle_get_capabilities(VimgCall *call, GError **error)
{
    return vimg_string_to_wire(vimg_host_capabilities(""), call->ret);
}

gboolean
vimg_handle_node_get_info(VimgCall *call, GError **error)
{
    vimg_remote_node_info *ret = call->ret;
    VimgHostInfo info;

    vimg_host_info_read("", &info);
    g_strlcpy(ret->model, info.arch, sizeof(ret->model));
    ret->memory = info.memory;
    ret->cpus = info.cpus;
    ret->mhz = info.mhz;
    ret->nodes = info.nodes;
    ret->sockets = info.sockets;
    ret->cores = info.cores;
    ret->threads = info.threads;
    return TRUE;
}
