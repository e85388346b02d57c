/*
 * export-server.c: the process that serves exports, started and started again
 *
 * It gets two descriptors and no other, and an empty environment: what it can reach is what it
 * asks for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <gio/gio.h>

#include "daemon/export-address.h"
#include "daemon/export-link.h"
#include "daemon/export-server.h"
#include "exporter/protocol.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/thread.h"

#define GUARD 5     /* seconds, at most, that one goes on without a link */
#define PAUSE_MIN 1 /* seconds until one that ended is started again */
#define PAUSE_MAX 60
#define LASTED (60 * G_USEC_PER_SEC) /* and after which that begins anew */
#define HEARD G_USEC_PER_SEC         /* at most, until all that one has said is heard */
#define LOOK 20                      /* milliseconds, between looks whether it is */

struct _VimgExportServer {
    const char *program;
    const VimgDaemonConfig *config;
    VimgModel *model;
    VimgWorkers *workers;
    VimgExportLink *link;
    int listen_fd;
    GPid pid; /* 0: it does not run */
    guint watch, timer, guard;
    guint pause; /* seconds */
    gint64 started;
    gint64 heard_by; /* monotonic: what one that ended has said */
    char *url;
    gboolean serves; /* until it ends; set in a thread of the link, as is the next one */
    gboolean cannot; /* and has said why */
};

static gboolean begin(gpointer data);

/* ---- listening ---------------------------------------------------------------------------- */

static int
listen_at(GInetSocketAddress *address, const char *text, GError **error)
{
    GSocketAddress *any = G_SOCKET_ADDRESS(address);
    vimg_autofd int fd = -1;
    struct sockaddr_storage native = {0};
    const int on = 1;
    gboolean wide = g_socket_address_get_family(any) == G_SOCKET_FAMILY_IPV6;

    if (!g_socket_address_to_native(any, &native, sizeof(native), error))
        return -1;
    fd = socket(native.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* the address may come up after the daemon, which has more to do than this */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, wide ? IPPROTO_IPV6 : IPPROTO_IP, wide ? IPV6_FREEBIND : IP_FREEBIND, &on,
                   sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&native, (socklen_t)g_socket_address_get_native_size(any)) <
            0 ||
        listen(fd, SOMAXCONN) < 0) {
        vimg_throw_errno(error, _("cannot listen on '%s'"), text);
        return -1;
    }
    return vimg_steal_fd(&fd);
}

/* Returns: (transfer full) where it really listens, as a URL has it. */
static char *
name_address(int fd)
{
    struct sockaddr_storage native = {0};
    socklen_t size = sizeof(native);
    g_autoptr(GSocketAddress) address = NULL;
    g_autofree char *host = NULL;
    gboolean wide;

    getsockname(fd, (struct sockaddr *)&native, &size);
    address = g_socket_address_new_from_native(&native, size);
    host =
        g_inet_address_to_string(g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)));
    wide = g_socket_address_get_family(address) == G_SOCKET_FAMILY_IPV6;
    return g_strdup_printf("%s%s%s:%u", wide ? "[" : "", host, wide ? "]" : "",
                           g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(address)));
}

static char *
make_url(const VimgExportServer *server)
{
    const VimgDaemonConfig *config = server->config;
    gsize size = config->export_url ? strlen(config->export_url) : 0;
    g_autofree char *address = name_address(server->listen_fd);

    if (size == 0)
        return g_strdup_printf("%s://%s", config->export_tls_cert ? "https" : "http", address);
    while (size > 0 && config->export_url[size - 1] == '/')
        size--;
    return g_strndup(config->export_url, size);
}

/* ---- the process -------------------------------------------------------------------------- */

static void
add_option(GPtrArray *argv, const char *name, char *value)
{
    if (value)
        g_ptr_array_add(argv, g_strdup_printf("--%s=%s", name, value));
    g_free(value);
}

static char *
number(guint64 value)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT, value);
}

static GPtrArray *
make_arguments(const VimgExportServer *server)
{
    const VimgDaemonConfig *config = server->config;
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_strdup(server->program));
    add_option(argv, "connections", number(config->export_connections));
    add_option(argv, "rate", number(config->export_rate));
    add_option(argv, "client-connections", number(config->export_client_connections));
    add_option(argv, "client-rate", number(config->export_client_rate));
    add_option(argv, "timeout", number(config->export_timeout));
    add_option(argv, "user", g_strdup(config->export_user));
    add_option(argv, "tls-cert", g_strdup(config->export_tls_cert));
    add_option(argv, "tls-key", g_strdup(config->export_tls_key));
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* In a thread of the link. */
static void
on_begin(const char *why, gpointer data)
{
    VimgExportServer *server = data;

    server->serves = why == NULL;
    server->cannot = why != NULL;
    if (why)
        vimg_warning("exports are not served: %s", why);
    else
        vimg_info("exports are served at %s", server->url);
    vimg_model_set_export_served(server->model, why == NULL, why);
}

/* One that has served is soon there again; the link is closed. */
static void
tell_of_end(VimgExportServer *server)
{
    if (server->serves)
        vimg_model_set_export_served(server->model, FALSE, NULL);
    else if (!server->cannot)
        vimg_model_set_export_served(server->model, FALSE,
                                     _("their server ended at once; why is in the daemon's log"));
    server->serves = server->cannot = FALSE;
}

static void
begin_later(VimgExportServer *server)
{
    server->timer = g_timeout_add_seconds(server->pause, begin, server);
    server->pause = MIN(server->pause * 2, PAUSE_MAX);
}

static void
finish(VimgExportServer *server)
{
    g_clear_pointer(&server->link, vimg_export_link_close);
    tell_of_end(server);
    begin_later(server);
}

/* A child of what was taken over may keep the link open, or its questions may wait for a storage.
 */
static gboolean
hear_rest(gpointer data)
{
    VimgExportServer *server = data;

    if (!vimg_export_link_is_broken(server->link) && g_get_monotonic_time() < server->heard_by)
        return G_SOURCE_CONTINUE;
    server->timer = 0;
    finish(server);
    return G_SOURCE_REMOVE;
}

static void
on_end(GPid pid, gint status, gpointer data)
{
    VimgExportServer *server = data;

    server->watch = 0;
    server->pid = 0;
    if (g_get_monotonic_time() - server->started > LASTED)
        server->pause = PAUSE_MIN;
    vimg_warning("the export server ended (%s %d), it is started again in %u seconds",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), server->pause);
    server->heard_by = g_get_monotonic_time() + HEARD;
    if (server->link && !vimg_export_link_is_broken(server->link))
        server->timer = g_timeout_add(LOOK, hear_rest, server);
    else
        finish(server);
}

static gboolean
spawn(VimgExportServer *server, int link_fd, GError **error)
{
    g_autoptr(GPtrArray) argv = make_arguments(server);
    const int from[] = {link_fd, server->listen_fd};
    const int to[] = {VIMG_EXPORTER_LINK_FD, VIMG_EXPORTER_LISTEN_FD};
    const char *const no_environment[] = {NULL};

    return g_spawn_async_with_pipes_and_fds("/", (const char *const *)argv->pdata, no_environment,
                                            G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL,
                                            NULL, NULL, -1, -1, -1, from, to, G_N_ELEMENTS(from),
                                            &server->pid, NULL, NULL, NULL, error);
}

static gboolean
start(VimgExportServer *server, GError **error)
{
    const VimgExportLinkOptions options = {.file_fd = -1, .begin = on_begin, .data = server};
    vimg_autofd int ours = -1;
    vimg_autofd int theirs = -1;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return vimg_throw_errno(error, _("cannot start '%s'"), server->program);
    ours = pair[0];
    theirs = pair[1];
    if (!spawn(server, theirs, error))
        return FALSE;
    server->started = g_get_monotonic_time();
    server->watch = g_child_watch_add(server->pid, on_end, server);
    server->link =
        vimg_export_link_new(vimg_steal_fd(&ours), server->model, server->workers, &options, error);
    if (!server->link)
        kill(server->pid, SIGKILL);
    return server->link != NULL;
}

static gboolean
begin(gpointer data)
{
    VimgExportServer *server = data;
    g_autoptr(GError) error = NULL;

    server->timer = 0;
    if (start(server, &error))
        return G_SOURCE_REMOVE;
    vimg_warning("exports are not served: %s", error->message);
    vimg_model_set_export_served(server->model, FALSE, error->message);
    if (server->pid == 0)
        begin_later(server);
    return G_SOURCE_REMOVE;
}

/* One that was taken over may not end by itself. */
static gboolean
look_after(gpointer data)
{
    VimgExportServer *server = data;

    if (server->pid == 0 || !server->link || !vimg_export_link_is_broken(server->link))
        return G_SOURCE_CONTINUE;
    vimg_warning("the export server goes on though its link is broken: it is killed");
    kill(server->pid, SIGKILL);
    return G_SOURCE_CONTINUE;
}

/* ---- life --------------------------------------------------------------------------------- */

VimgExportServer *
vimg_export_server_new(const char *program, const VimgDaemonConfig *config, VimgModel *model,
                       GError **error)
{
    VimgExportServer *server = g_new0(VimgExportServer, 1);
    g_auto(GStrv) networks = vimg_model_data_networks(model);
    g_autoptr(GInetSocketAddress) address = vimg_export_address(config->export_listen, networks);

    server->program = program;
    server->config = config;
    server->model = model;
    server->pause = PAUSE_MIN;
    server->workers = vimg_workers_new(
        "vimg-export", MIN(config->export_connections, VIMG_EXPORTER_WAITING_MAX), error);
    server->listen_fd = server->workers ? listen_at(address, config->export_listen, error) : -1;
    if (server->listen_fd >= 0) {
        server->url = make_url(server);
        vimg_model_set_export_url(model, server->url);
        vimg_model_set_export_served(model, FALSE, NULL);
    }
    if (server->listen_fd < 0 || !start(server, error)) {
        vimg_export_server_free(server);
        return NULL;
    }
    server->guard = g_timeout_add_seconds(GUARD, look_after, server);
    return server;
}

/* It has nothing that it must put in order, and what was taken over may ignore other signals. */
static void
end_process(VimgExportServer *server)
{
    if (server->watch)
        g_source_remove(server->watch);
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void
vimg_export_server_free(VimgExportServer *server)
{
    if (!server)
        return;
    if (server->timer)
        g_source_remove(server->timer);
    if (server->guard)
        g_source_remove(server->guard);
    end_process(server); /* before it ends by itself and its number is another's */
    vimg_export_link_close(server->link);
    vimg_workers_free(server->workers);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    g_free(server->url);
    g_free(server);
}
