/*
 * connect.c: the way to an SSH server: addresses, keys, login
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host-key.h"
#include "login.h"
#include "network.h"
#include "ssh-private.h"

#define KEEP_ALIVE_SECONDS 15

/* One search for a server that lets us in. */
typedef struct _Search Search;
struct _Search {
    const VimgSshTarget *target;
    const VimgNetwork *network; /* NULL: any */
    const VimgEndpoint *local;  /* NULL: the route's */
    gint64 deadline;
    const char *fingerprint; /* of the host key to be shown, if there is such a one; NULL: any */
    VimgSshSink sink;
    gpointer data;
    /* what is to be done once keys were exchanged; NULL: nothing */
    gboolean (*enter)(const Search *search, VimgSsh *ssh, GError **error);
};

/* The host as the definition has it, the address behind it, and the key there. */
struct _VimgSshPeer {
    char *host;
    guint16 port;
    char *fingerprint;
    VimgEndpoint endpoint;
};

VimgSshPeer *
vimg_ssh_peer_new(VimgSsh *ssh)
{
    VimgSshPeer *peer = g_new0(VimgSshPeer, 1);

    peer->host = g_strdup(ssh->host);
    peer->port = ssh->port;
    peer->fingerprint = vimg_host_key_fingerprint(ssh);
    peer->endpoint.what = g_strdup(ssh->what);
    peer->endpoint.length = sizeof(peer->endpoint.address);
    /* of one that was lost already no other will be had */
    if (getpeername(ssh->fd, (struct sockaddr *)&peer->endpoint.address, &peer->endpoint.length) <
        0)
        peer->endpoint.length = 0;
    return peer;
}

void
vimg_ssh_peer_free(VimgSshPeer *peer)
{
    if (!peer)
        return;
    g_free(peer->host);
    g_free(peer->fingerprint);
    g_free(peer->endpoint.what);
    g_free(peer);
}

static gboolean
is_host_of(const VimgSshPeer *peer, const VimgPluginAddress *host)
{
    return (host->port ? host->port : VIMG_SSH_PORT) == peer->port &&
           g_ascii_strcasecmp(host->name, peer->host) == 0;
}

static void
tell(const Search *search, VimgSshStep step, const char *what)
{
    if (search->sink)
        search->sink(step, what, search->data);
}

/* @type: of the host key; NULL: one that is known, if there is one. */
static gboolean
exchange_keys(const Search *search, VimgSsh *ssh, const char *type, GError **error)
{
    int rc;

    tell(search, VIMG_SSH_KEY_EXCHANGE, ssh->what);
    if (!vimg_ssh_session_open(ssh))
        return vimg_ssh_throw(error, VIMG_ERROR_NO_MEMORY, VIMG_SSH_KEY_EXCHANGE, ssh->what, "%s",
                              g_strerror(ENOMEM));
    if (type)
        libssh2_session_method_pref(ssh->session, LIBSSH2_METHOD_HOSTKEY, type);
    else
        vimg_host_key_prefer(ssh, search->target);
    VIMG_SSH_CALL(ssh, rc, libssh2_session_handshake(ssh->session, ssh->fd));
    if (rc != 0)
        return vimg_ssh_throw_lost(error, VIMG_SSH_KEY_EXCHANGE, ssh);
    return TRUE;
}

static VimgSsh *
open_endpoint(const Search *search, const VimgPluginAddress *host, const VimgEndpoint *endpoint,
              gint64 deadline, const char *type, GError **error)
{
    g_autoptr(VimgSsh) ssh = g_new0(VimgSsh, 1);

    ssh->host = g_ascii_strdown(host->name, -1);
    ssh->port = host->port ? host->port : VIMG_SSH_PORT;
    ssh->what = g_strdup(endpoint->what);
    ssh->deadline = deadline;
    ssh->given_up = search->target->given_up;
    tell(search, VIMG_SSH_CONNECT, ssh->what);
    ssh->fd = vimg_network_connect(endpoint, search->local, deadline, &ssh->given_up);
    if (ssh->fd < 0) {
        vimg_ssh_throw_waited(error, VIMG_SSH_CONNECT, ssh->what, -ssh->fd);
        return NULL;
    }
    if (!exchange_keys(search, ssh, type, error))
        return NULL;
    return g_steal_pointer(&ssh);
}

static gboolean
shows(VimgSsh *ssh, const char *fingerprint)
{
    g_autofree char *shown = vimg_host_key_fingerprint(ssh);

    return strcmp(shown, fingerprint) == 0;
}

/* A server shows one key, of the type it is asked for, and has others. */
static VimgSsh *
meet_endpoint(const Search *search, const VimgPluginAddress *host, const VimgEndpoint *endpoint,
              gint64 deadline, GError **error)
{
    g_autoptr(VimgSsh) ssh = open_endpoint(search, host, endpoint, deadline, NULL, error);
    Search silent = *search;
    const char *type;
    gsize i;

    if (!ssh || !search->fingerprint || shows(ssh, search->fingerprint))
        return g_steal_pointer(&ssh);
    silent.sink = NULL;
    for (i = 0; (type = vimg_host_key_type(i)); i++) {
        g_autoptr(VimgSsh) other = open_endpoint(&silent, host, endpoint, deadline, type, NULL);

        if (other && shows(other, search->fingerprint))
            return g_steal_pointer(&other);
    }
    return g_steal_pointer(&ssh);
}

static VimgSsh *
try_endpoint(const Search *search, const VimgPluginAddress *host, const VimgEndpoint *endpoint,
             gint64 deadline, GError **error)
{
    g_autoptr(VimgSsh) ssh = meet_endpoint(search, host, endpoint, deadline, error);

    if (!ssh || (search->enter && !search->enter(search, ssh, error)))
        return NULL;
    return g_steal_pointer(&ssh);
}

/* Whether looking further is of no use, or no good: another server would hide what is wrong. */
static gboolean
is_final(const GError *error)
{
    return !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) &&
           !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
}

static gint64
deadline_of(const VimgSshTarget *target)
{
    guint seconds = target->seconds ? target->seconds : VIMG_SSH_SECONDS;

    return g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
}

/* The time that is left is shared fairly: a host that is silent does not take that of the next. */
static gint64
fair_share(gint64 deadline, gsize n)
{
    gint64 now = g_get_monotonic_time();

    return now + MAX(deadline - now, 0) / (gint64)MAX(n, 1);
}

/* Takes @cause; a final one is all that counts. */
static void
add_cause(GError **all, GError *cause)
{
    GError *before = *all;

    if (before && !is_final(cause)) {
        *all = g_error_new(VIMG_ERROR,
                           before->code == cause->code ? cause->code : VIMG_ERROR_DISCONNECTED,
                           "%s; %s", before->message, cause->message);
        g_error_free(cause);
    } else {
        *all = cause;
    }
    g_clear_error(&before);
}

static VimgSsh *
try_host(const Search *search, const VimgPluginAddress *host, gint64 deadline, GError **error)
{
    g_autoptr(GPtrArray) endpoints = NULL;
    GError *causes = NULL;
    guint i;

    tell(search, VIMG_SSH_RESOLVE, host->name);
    endpoints =
        vimg_network_resolve(host, search->network, deadline, &search->target->given_up, error);
    if (!endpoints)
        return NULL;
    for (i = 0; i < endpoints->len && !(causes && is_final(causes)); i++) {
        GError *cause = NULL;
        VimgSsh *ssh = try_endpoint(search, host, endpoints->pdata[i],
                                    fair_share(deadline, endpoints->len - i), &cause);

        if (ssh) {
            g_clear_error(&causes);
            return ssh;
        }
        add_cause(&causes, cause);
    }
    g_propagate_error(error, causes);
    return NULL;
}

static GError *
no_server(void)
{
    return g_error_new(VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED, "%s",
                       _("the definition names no server"));
}

/* As long as the definition has it. */
static VimgSsh *
try_only(const Search *search, GError **error)
{
    const VimgSshTarget *target = search->target;
    const VimgSshPeer *only = target->only;
    gsize i;

    for (i = 0; i < target->n_hosts; i++) {
        if (!is_host_of(only, &target->hosts[i]) ||
            (search->network &&
             !vimg_network_contains(search->network,
                                    (const struct sockaddr *)&only->endpoint.address)))
            continue;
        return try_endpoint(search, &target->hosts[i], &only->endpoint, search->deadline, error);
    }
    g_propagate_error(error, no_server());
    return NULL;
}

static VimgSsh *
try_hosts(Search *search, GError **error)
{
    const VimgSshTarget *target = search->target;
    GError *causes = NULL;
    gsize i;

    if (target->only)
        return try_only(search, error);
    for (i = 0; i < target->n_hosts && !(causes && is_final(causes)); i++) {
        GError *cause = NULL;
        VimgSsh *ssh = try_host(search, &target->hosts[i],
                                fair_share(search->deadline, target->n_hosts - i), &cause);

        if (ssh) {
            g_clear_error(&causes);
            return ssh;
        }
        add_cause(&causes, cause);
    }
    if (!causes)
        causes = no_server();
    g_propagate_error(error, causes);
    return NULL;
}

static VimgSsh *
find_server(Search *search, GError **error)
{
    VimgNetwork network;
    VimgEndpoint local;

    if (!search->target->network)
        return try_hosts(search, error);
    if (!vimg_network_parse(search->target->network, &network, error))
        return NULL;
    if (!vimg_network_local(&network, &local)) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED,
                    _("this host has no address in network '%s'"), search->target->network);
        return NULL;
    }
    search->network = &network;
    search->local = &local;
    return try_hosts(search, error);
}

/* ---- what it is for */

/* Throws unless @ssh shows the key of @fingerprint. */
static gboolean
demand(VimgSsh *ssh, const char *fingerprint, GError **error)
{
    g_autofree char *print = vimg_host_key_fingerprint(ssh);

    if (shows(ssh, fingerprint))
        return TRUE;
    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_HOST_KEY, ssh->what,
                          _("it is %1$s, not %2$s"), print, fingerprint);
}

static gboolean
enter(const Search *search, VimgSsh *ssh, GError **error)
{
    const VimgSshPeer *only = search->target->only;

    tell(search, VIMG_SSH_HOST_KEY, ssh->what);
    if ((only && !demand(ssh, only->fingerprint, error)) ||
        !vimg_host_key_check(ssh, search->target, error))
        return FALSE;
    tell(search, VIMG_SSH_LOGIN, ssh->what);
    return vimg_ssh_login(ssh, search->target, error);
}

VimgSsh *
vimg_ssh_connect(const VimgSshTarget *target, VimgSshSink sink, gpointer data, GError **error)
{
    Search search = {.target = target,
                     .deadline = deadline_of(target),
                     .fingerprint = target->only ? target->only->fingerprint : target->host_key,
                     .sink = sink,
                     .data = data,
                     .enter = enter};
    VimgSsh *ssh = find_server(&search, error);

    if (!ssh)
        return NULL;
    ssh->deadline = 0;
    /* no answers: libssh2 would keep them for ever; a silent host is the socket's to notice */
    libssh2_keepalive_config(ssh->session, 0, KEEP_ALIVE_SECONDS);
    return ssh;
}

/* ---- keys to be accepted */

/* The first server that shows a key at all; that of @fingerprint, which may be NULL, if it can. */
static VimgSsh *
meet(const VimgSshTarget *target, const char *fingerprint, gint64 deadline, GError **error)
{
    Search search = {.target = target, .deadline = deadline, .fingerprint = fingerprint};

    return find_server(&search, error);
}

char *
vimg_ssh_offered_key(const VimgSshTarget *target, GError **error)
{
    g_autoptr(VimgSsh) ssh = meet(target, NULL, deadline_of(target), error);

    return ssh ? vimg_host_key_describe(ssh) : NULL;
}

static gboolean
accept_from(VimgSsh *ssh, const VimgSshTarget *target, const char *fingerprint, GError **error)
{
    return demand(ssh, fingerprint, error) && vimg_host_key_remember(ssh, target, error);
}

gboolean
vimg_ssh_accept(const VimgSshTarget *target, const char *fingerprint, GError **error)
{
    gint64 deadline = deadline_of(target);
    GError *causes = NULL;
    gboolean done = FALSE;
    gsize i;

    /* several hosts of a target may be names of one server: all that show the key get it */
    for (i = 0; i < target->n_hosts; i++) {
        VimgSshTarget one = *target;
        g_autoptr(VimgSsh) ssh = NULL;
        GError *cause = NULL;

        one.hosts = &target->hosts[i];
        one.n_hosts = 1;
        ssh = meet(&one, fingerprint, fair_share(deadline, target->n_hosts - i), &cause);
        if (ssh && accept_from(ssh, &one, fingerprint, &cause))
            done = TRUE;
        else
            add_cause(&causes, cause);
    }
    if (done) {
        g_clear_error(&causes);
        return TRUE;
    }
    if (!causes)
        causes = no_server();
    g_propagate_error(error, causes);
    return FALSE;
}
