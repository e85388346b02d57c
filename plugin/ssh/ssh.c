/*
 * ssh.c: a connection to an SSH server, as far as a channel
 *
 * libssh2 blocks until the channel is there, with a deadline for each of its calls and one for all
 * of them where it receives: a server that always sends a little would get round the first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host-key.h"
#include "login.h"
#include "network.h"
#include "ssh-private.h"

#define SUBSYSTEM_SECONDS 20
#define KEEP_ALIVE_SECONDS 15
#define WINDOW_SIZE (8 * 1024 * 1024) /* bytes that may be under way to us */

/* What a step is called when it fails: with whom, and why. */
static const char *const failures[] = {
    [VIMG_SSH_RESOLVE] = N_("cannot resolve '%1$s': %2$s"),
    [VIMG_SSH_CONNECT] = N_("cannot connect to %1$s: %2$s"),
    [VIMG_SSH_KEY_EXCHANGE] = N_("key exchange with %1$s failed: %2$s"),
    [VIMG_SSH_HOST_KEY] = N_("host key of %1$s refused: %2$s"),
    [VIMG_SSH_LOGIN] = N_("login at %1$s failed: %2$s"),
    [VIMG_SSH_SUBSYSTEM] = N_("subsystem at %1$s failed: %2$s"),
};
G_STATIC_ASSERT(G_N_ELEMENTS(failures) == VIMG_SSH_N_STEPS);

/* The fastest first, of those that libssh2 1.10 has and that are still good. */
static const struct {
    int method;
    const char *names;
} preferences[] = {
    {LIBSSH2_METHOD_KEX,
     "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
     "ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
     "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1"},
    {LIBSSH2_METHOD_CRYPT_CS, "aes128-ctr,aes192-ctr,aes256-ctr"},
    {LIBSSH2_METHOD_CRYPT_SC, "aes128-ctr,aes192-ctr,aes256-ctr"},
    {LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256,hmac-sha2-512,hmac-sha1"},
    {LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256,hmac-sha2-512,hmac-sha1"},
};

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

/* ---- errors */

gboolean
vimg_ssh_throw(GError **error, VimgErrorCode code, VimgSshStep step, const char *what,
               const char *format, ...)
{
    g_autofree char *why = NULL;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    why = g_strdup_vprintf(format, args);
    va_end(args);
    text = g_strdup_printf(_(failures[step]), what, why);
    g_set_error_literal(error, VIMG_ERROR, (gint)code, text);
    return FALSE;
}

static const char *
why_lost(VimgSsh *ssh)
{
    char *text = NULL;
    int rc = libssh2_session_last_error(ssh->session, &text, NULL, 0);

    if (ssh->memory_out)
        return _("the server sends more than it may");
    if (ssh->deadline != 0 && g_get_monotonic_time() >= ssh->deadline)
        return _("no answer in time");
    if (rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV ||
        rc == LIBSSH2_ERROR_SOCKET_SEND)
        return _("the server closed the connection");
    if (rc == LIBSSH2_ERROR_KEX_FAILURE)
        return _(
            "there is no algorithm that both sides know; the server needs an ed25519 or ECDSA host key and a cipher such as aes128-ctr");
    return text && *text ? text : _("the server does not speak SSH");
}

gboolean
vimg_ssh_throw_lost(GError **error, VimgSshStep step, VimgSsh *ssh)
{
    return vimg_ssh_throw(error, VIMG_ERROR_DISCONNECTED, step, ssh->what, "%s", why_lost(ssh));
}

/* ---- what libssh2 works with */

gpointer
vimg_ssh_alloc(VimgSsh *ssh, gsize size)
{
    gpointer block;

    if (size > VIMG_SSH_MEMORY_MAX - ssh->memory) {
        ssh->memory_out = TRUE;
        return NULL;
    }
    block = calloc(1, MAX(size, 1));
    if (block)
        ssh->memory += MIN(malloc_usable_size(block), VIMG_SSH_MEMORY_MAX - ssh->memory);
    return block;
}

static void *
ssh_alloc(size_t size, void **abstract)
{
    return vimg_ssh_alloc(*abstract, size);
}

static void
ssh_free(void *block, void **abstract)
{
    VimgSsh *ssh = *abstract;
    gsize size = block ? malloc_usable_size(block) : 0;

    ssh->memory -= MIN(size, ssh->memory);
    if (ssh->secret && block)
        explicit_bzero(block, size);
    free(block);
}

static void *
ssh_realloc(void *block, size_t size, void **abstract)
{
    void *larger = vimg_ssh_alloc(*abstract, size);

    if (!larger || !block)
        return larger;
    memcpy(larger, block, MIN(size, malloc_usable_size(block)));
    ssh_free(block, abstract);
    return larger;
}

static ssize_t
ssh_receive(libssh2_socket_t fd, void *data, size_t size, int flags, void **abstract)
{
    VimgSsh *ssh = *abstract;
    gssize got;

    if (ssh->deadline != 0 && g_get_monotonic_time() >= ssh->deadline)
        return -ETIMEDOUT;
    got = recv(fd, data, size, flags);
    return got < 0 ? -errno : got;
}

void
vimg_ssh_arm(VimgSsh *ssh)
{
    gint64 left = (ssh->deadline - g_get_monotonic_time()) / 1000;

    libssh2_session_set_timeout(ssh->session, (long)MAX(left, 1));
}

static void
init_library(void)
{
    libssh2_init(0);
}

static gboolean
session_open(VimgSsh *ssh)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    gsize i;

    pthread_once(&once, init_library);
    ssh->session = libssh2_session_init_ex(ssh_alloc, ssh_free, ssh_realloc, ssh);
    if (!ssh->session)
        return FALSE;
    libssh2_session_callback_set(ssh->session, LIBSSH2_CALLBACK_RECV, (void *)ssh_receive);
    for (i = 0; i < G_N_ELEMENTS(preferences); i++)
        libssh2_session_method_pref(ssh->session, preferences[i].method, preferences[i].names);
    return TRUE;
}

void
vimg_ssh_free(VimgSsh *ssh)
{
    if (!ssh)
        return;
    if (ssh->session) {
        libssh2_session_set_blocking(ssh->session, 0);
        libssh2_session_disconnect(ssh->session, "");
    }
    /* from here on nothing of libssh2 waits for the server */
    if (ssh->fd >= 0)
        shutdown(ssh->fd, SHUT_RDWR);
    if (ssh->session)
        libssh2_session_free(ssh->session);
    if (ssh->fd >= 0)
        close(ssh->fd);
    g_free(ssh->host);
    g_free(ssh->what);
    g_free(ssh);
}

/* ---- the way to a server */

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
    tell(search, VIMG_SSH_KEY_EXCHANGE, ssh->what);
    if (!session_open(ssh))
        return vimg_ssh_throw(error, VIMG_ERROR_NO_MEMORY, VIMG_SSH_KEY_EXCHANGE, ssh->what, "%s",
                              g_strerror(ENOMEM));
    if (type)
        libssh2_session_method_pref(ssh->session, LIBSSH2_METHOD_HOSTKEY, type);
    else
        vimg_host_key_prefer(ssh, search->target);
    vimg_ssh_arm(ssh);
    if (libssh2_session_handshake(ssh->session, ssh->fd) != 0)
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
    tell(search, VIMG_SSH_CONNECT, ssh->what);
    ssh->fd = vimg_network_connect(endpoint, search->local, deadline);
    if (ssh->fd < 0) {
        vimg_ssh_throw(error, VIMG_ERROR_DISCONNECTED, VIMG_SSH_CONNECT, ssh->what, "%s",
                       g_strerror(-ssh->fd));
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
    endpoints = vimg_network_resolve(host, search->network, deadline, error);
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

static VimgSsh *
try_hosts(Search *search, GError **error)
{
    const VimgSshTarget *target = search->target;
    GError *causes = NULL;
    gsize i;

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

static gboolean
enter(const Search *search, VimgSsh *ssh, GError **error)
{
    tell(search, VIMG_SSH_HOST_KEY, ssh->what);
    if (!vimg_host_key_check(ssh, search->target, error))
        return FALSE;
    tell(search, VIMG_SSH_LOGIN, ssh->what);
    return vimg_ssh_login(ssh, search->target, error);
}

VimgSsh *
vimg_ssh_connect(const VimgSshTarget *target, VimgSshSink sink, gpointer data, GError **error)
{
    Search search = {.target = target,
                     .deadline = deadline_of(target),
                     .fingerprint = target->host_key,
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

int
vimg_ssh_fd(const VimgSsh *ssh)
{
    return ssh->fd;
}

LIBSSH2_SESSION *
vimg_ssh_session(const VimgSsh *ssh)
{
    return ssh->session;
}

LIBSSH2_CHANNEL *
vimg_ssh_subsystem(VimgSsh *ssh, const char *name, GError **error)
{
    ssh->deadline = g_get_monotonic_time() + SUBSYSTEM_SECONDS * G_USEC_PER_SEC;
    vimg_ssh_arm(ssh);
    ssh->channel = libssh2_channel_open_ex(ssh->session, "session", strlen("session"), WINDOW_SIZE,
                                           LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0);
    if (!ssh->channel) {
        vimg_ssh_throw_lost(error, VIMG_SSH_SUBSYSTEM, ssh);
        return NULL;
    }
    vimg_ssh_arm(ssh);
    if (libssh2_channel_subsystem(ssh->channel, name) != 0) {
        vimg_ssh_throw(error, VIMG_ERROR_DISCONNECTED, VIMG_SSH_SUBSYSTEM, ssh->what,
                       _("'%1$s': %2$s"), name, why_lost(ssh));
        return NULL;
    }
    /* what the other end complains of would fill the window and end the transfer */
    libssh2_channel_handle_extended_data2(ssh->channel, LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE);
    libssh2_session_set_blocking(ssh->session, 0);
    ssh->deadline = 0;
    return ssh->channel;
}

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
    g_autofree char *print = vimg_host_key_fingerprint(ssh);

    if (shows(ssh, fingerprint))
        return vimg_host_key_remember(ssh, target, error);
    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_HOST_KEY, ssh->what,
                          _("it is %1$s, not %2$s"), print, fingerprint);
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
