/*
 * server.c: the listening sockets, the set of clients, and the workers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include "rpc/connection.h"
#include "rpc/listener.h"
#include "rpc/server-private.h"
#include "rpc/upstream-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define FAST_WORKERS 5
#define HOST_WORKERS 16 /* calls that wait for the host's own daemon at a time, */
#define HOST_CALLS 4    /* of one client */
#define TICK_MSEC 1000
#define PIPES_MAX                                                                                  \
    64 /* packets at a time that pass by way of one, whoever has them; the others are copied */

/* ---- the clock ---------------------------------------------------------------------------- */

static GPtrArray *
list_clients(VimgServer *server)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_client_unref);
    GHashTableIter iter;
    gpointer client;

    VIMG_LOCK_GUARD(&server->lock);
    g_hash_table_iter_init(&iter, server->clients);
    while (g_hash_table_iter_next(&iter, &client, NULL))
        g_ptr_array_add(list, vimg_client_ref(client));
    return list;
}

/* Main loop: only it changes the set, so it may count without the lock. */
static guint
n_clients(VimgServer *server)
{
    return g_hash_table_size(server->clients);
}

static void
update_listeners(VimgServer *server)
{
    gboolean active = n_clients(server) < server->config->max_clients && server->accept_again == 0;
    guint i;

    for (i = 0; i < server->listeners->len; i++)
        vimg_listener_set_active(server->listeners->pdata[i], active);
}

static void
check_idle(VimgServer *server, gint64 now)
{
    if (server->idle_timeout == 0)
        return;
    if (n_clients(server) || g_hash_table_size(server->streams) ||
        (server->busy && server->busy(server->idle_data))) {
        server->idle_since = now;
        return;
    }
    if (now - server->idle_since < server->idle_timeout)
        return;
    server->idle_timeout = 0;
    server->idle_func(server->idle_data);
}

static void update_timer(VimgServer *server);

static gboolean
on_tick(gpointer data)
{
    VimgServer *server = data;
    g_autoptr(GPtrArray) clients = list_clients(server);
    gint64 now = g_get_monotonic_time();
    guint i;

    for (i = 0; i < clients->len; i++)
        if (!vimg_connection_is_closed(clients->pdata[i]))
            vimg_connection_tick(clients->pdata[i], now);
    if (server->accept_again && now >= server->accept_again) {
        server->accept_again = 0;
        update_listeners(server);
    }
    check_idle(server, now);
    update_timer(server);
    return G_SOURCE_CONTINUE;
}

/* It ticks only while there is something to watch. */
static void
update_timer(VimgServer *server)
{
    gboolean wanted = n_clients(server) || server->idle_timeout || server->accept_again;

    if (wanted && !server->timer) {
        server->timer = g_timeout_source_new(TICK_MSEC);
        g_source_set_callback(server->timer, on_tick, server, NULL);
        g_source_attach(server->timer, server->context);
    } else if (!wanted && server->timer) {
        g_source_destroy(server->timer);
        g_clear_pointer(&server->timer, g_source_unref);
    }
}

/* ---- clients ------------------------------------------------------------------------------ */

void
vimg_server_add_client(VimgServer *server, VimgClient *client)
{
    vimg_mutex_lock(&server->lock);
    g_hash_table_add(server->clients, vimg_client_ref(client));
    vimg_mutex_unlock(&server->lock);
    update_listeners(server);
    update_timer(server);
}

void
vimg_server_remove_client(VimgServer *server, VimgClient *client)
{
    vimg_mutex_lock(&server->lock);
    g_hash_table_steal(server->clients, client);
    vimg_mutex_unlock(&server->lock);
    vimg_client_unref(client);
    server->idle_since = g_get_monotonic_time();
    update_listeners(server);
    update_timer(server);
}

/* An unprivileged daemon serves its own user, and root who may do everything anyway. */
static gboolean
may_connect(VimgServer *server, int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return FALSE;
    *uid = peer.uid;
    return server->privileged || peer.uid == 0 || peer.uid == geteuid();
}

/* The administrator's limit, which root may pass, is less than two packets of a stream. */
void
vimg_server_widen(int fd, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static void
on_accepted(int fd, gboolean read_only, gpointer data)
{
    VimgServer *server = data;
    g_autoptr(VimgClient) client = NULL;
    vimg_autofd int owned = fd;
    uid_t uid = (uid_t)-1;

    if (!may_connect(server, fd, &uid)) {
        vimg_warning("refused a client of uid %u", (guint)uid);
        return;
    }
    vimg_server_widen(fd, 2 * VIMG_STREAM_PAYLOAD);
    client = vimg_client_new(server, vimg_steal_fd(&owned), uid, read_only);
    vimg_connection_open(client);
}

static void
on_accept_failed(gpointer data)
{
    VimgServer *server = data;

    server->accept_again = g_get_monotonic_time() + G_USEC_PER_SEC;
    update_listeners(server);
    update_timer(server);
}

void
vimg_server_foreach_client(VimgServer *server, void (*func)(VimgClient *client, gpointer data),
                           gpointer data)
{
    g_autoptr(GPtrArray) clients = list_clients(server);
    guint i;

    for (i = 0; i < clients->len; i++)
        func(clients->pdata[i], data);
}

/* ---- life --------------------------------------------------------------------------------- */

VimgServer *
vimg_server_new(GMainContext *context, const VimgDaemonConfig *config, VimgModel *model,
                const VimgProgram *const *programs, const VimgServerHooks *hooks, GError **error)
{
    g_autoptr(VimgServer) server = g_new0(VimgServer, 1);

    server->context = context ? g_main_context_ref(context) : NULL;
    server->config = config;
    server->model = model;
    server->programs = programs;
    if (hooks)
        server->hooks = *hooks;
    server->limits = (VimgKeepaliveLimits){
        .interval = (gint64)config->keepalive_interval * G_USEC_PER_SEC,
        .count = config->keepalive_count,
        .stall = (gint64)config->stream_stall_timeout * G_USEC_PER_SEC,
    };
    server->privileged = geteuid() == 0;
    server->listeners = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_listener_free);
    server->streams = g_hash_table_new_full(g_direct_hash, g_direct_equal,
                                            (GDestroyNotify)vimg_stream_unref, NULL);
    server->clients = g_hash_table_new(g_direct_hash, g_direct_equal);
    vimg_mutex_init(&server->lock);
    server->inbox = vimg_inbox_new(context, error);
    if (!server->inbox)
        return NULL;
    server->scheduler =
        vimg_scheduler_new(FAST_WORKERS, config->max_workers, config->max_pool_calls, error);
    if (!server->scheduler)
        return NULL;
    return g_steal_pointer(&server);
}

static gboolean
any_runs(const GPtrArray *clients)
{
    for (guint i = 0; i < clients->len; i++)
        if (vimg_connection_runs(clients->pdata[i]))
            return TRUE;
    return FALSE;
}

/* Of calls that run others may be done long before the last one is. */
static void
close_clients(VimgServer *server)
{
    g_autoptr(GPtrArray) clients = list_clients(server);
    guint i;

    for (i = 0; i < clients->len; i++)
        vimg_connection_close_last(clients->pdata[i]);
    while (any_runs(clients))
        vimg_inbox_run(server->inbox, TRUE);
}

void
vimg_server_free(VimgServer *server)
{
    if (!server)
        return;
    g_ptr_array_set_size(server->listeners, 0);
    close_clients(server);
    /* a worker that asks the host's daemon from now on sees that its client has gone */
    if (server->inbox) {
        vimg_inbox_run(server->inbox, FALSE);
        vimg_upstream_end_attempts(server);
    }
    /* calls that did not begin went with their clients */
    vimg_scheduler_free(g_steal_pointer(&server->scheduler));
    vimg_scheduler_free(g_steal_pointer(&server->host_scheduler));
    if (server->inbox)
        vimg_inbox_run(server->inbox, FALSE);
    while (g_hash_table_size(server->streams))
        vimg_inbox_run(server->inbox, TRUE);
    /* a stream's last posts: what it reports after its end is nothing, but may be under way */
    if (server->inbox)
        vimg_inbox_run(server->inbox, FALSE);
    vimg_inbox_free(server->inbox);
    if (server->timer) {
        g_source_destroy(server->timer);
        g_source_unref(server->timer);
    }
    g_ptr_array_unref(server->listeners);
    g_hash_table_unref(server->streams);
    g_hash_table_unref(server->clients);
    vimg_pipes_free(server->pipes);
    vimg_mutex_clear(&server->lock);
    if (server->context)
        g_main_context_unref(server->context);
    g_free(server);
}

static gboolean
add_listener(VimgServer *server, VimgListener *listener)
{
    if (!listener)
        return FALSE;
    g_ptr_array_add(server->listeners, listener);
    update_listeners(server);
    return TRUE;
}

gboolean
vimg_server_listen(VimgServer *server, const char *path, mode_t mode, gid_t group,
                   gboolean read_only, GError **error)
{
    VimgListenerEvents events = {on_accepted, on_accept_failed, server};

    return add_listener(
        server, vimg_listener_new(path, mode, group, read_only, &events, server->context, error));
}

gboolean
vimg_server_listen_fd(VimgServer *server, int fd, gboolean read_only, GError **error)
{
    VimgListenerEvents events = {on_accepted, on_accept_failed, server};

    return add_listener(server,
                        vimg_listener_new_fd(fd, read_only, &events, server->context, error));
}

void
vimg_server_set_idle_timeout(VimgServer *server, guint seconds, guint (*busy)(gpointer data),
                             void (*func)(gpointer data), gpointer data)
{
    server->idle_timeout = (gint64)seconds * G_USEC_PER_SEC;
    server->idle_since = g_get_monotonic_time();
    server->busy = busy;
    server->idle_func = func;
    server->idle_data = data;
    update_timer(server);
}

void
vimg_server_set_host(VimgServer *server, const VimgHostFuncs *host)
{
    server->host = host;
    vimg_upstream_spin_in(server->context);
    if (host && !server->pipes && vimg_pipe_is_of_use())
        server->pipes = vimg_pipes_new(PIPES_MAX);
}

gboolean
vimg_upstream_may_come(VimgClient *client)
{
    return client->server->host != NULL;
}

gboolean
vimg_upstream_is_configured(VimgClient *client)
{
    const VimgHostFuncs *host = client->server->host;

    return host && (!host->is_present || host->is_present(host->data));
}

const VimgDaemonConfig *
vimg_server_config(VimgServer *server)
{
    return server->config;
}

gboolean
vimg_server_is_privileged(VimgServer *server)
{
    return server->privileged;
}

VimgScheduler *
vimg_server_host_scheduler(VimgServer *server)
{
    g_autoptr(GError) error = NULL;

    if (!server->host_scheduler && server->scheduler) {
        server->host_scheduler = vimg_scheduler_new(1, HOST_WORKERS, HOST_CALLS, &error);
        if (!server->host_scheduler)
            vimg_warning("%s", error->message);
    }
    return server->host_scheduler ? server->host_scheduler : server->scheduler;
}

/* ---- transfers that nobody took ----------------------------------------------------------- */

typedef struct {
    VimgTask task;
    VimgTransfer *transfer;
} Disposal;

static void
dispose(gpointer data)
{
    g_autofree Disposal *disposal = data;

    vimg_transfer_free(disposal->transfer);
}

void
vimg_server_dispose(VimgServer *server, VimgTransfer *transfer)
{
    Disposal *disposal;

    if (!transfer)
        return;
    vimg_transfer_cancel(transfer);
    if (!server->scheduler) {
        vimg_transfer_free(transfer);
        return;
    }
    disposal = g_new0(Disposal, 1);
    disposal->task = (VimgTask){.func = dispose, .data = disposal};
    disposal->transfer = transfer;
    vimg_scheduler_push_slow(server->scheduler, NULL, &disposal->task);
}
