/*
 * nbd-server.c: the processes that serve images over NBD, one an image
 *
 * Each is nbdkit with a plugin of ours.  It gets a socket that listens, a link to ask for that
 * image alone and a file for what it has read, nothing else, and is nobody before it begins.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/export-link.h"
#include "daemon/nbd-file.h"
#include "daemon/nbd-server.h"
#include "daemon/nbd-socket.h"
#include "exporter/protocol.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/thread.h"

#define WORKERS 4 /* of each: storage that hangs stops its own images alone */
#define ENDERS 8
#define SERVERS_MAX 64
#define USER "nobody"
#define PID_DIGITS 20

struct _VimgNbdServers {
    const VimgPaths *paths;
    const VimgDaemonConfig *config;
    VimgModel *model;
    VimgWorkers *enders;
    VimgWorkers *spawner; /* one thread: nbdkit ends with the thread that has started it */

    VimgMutex lock;
    VimgCond spawned;
    GHashTable *by_id; /* of Server */
    guint starting;
};

/* One of them, which is freed when its process has ended. */
typedef struct {
    VimgNbdServers *servers;
    char *id;
    GPid pid;
    int pid_fd;
    guint watch;          /* under lock */
    VimgExportLink *link; /* under lock; NULL: it is stopped */
    VimgWorkers *workers;
} Server;

static void
server_free(Server *server)
{
    vimg_export_link_close(server->link);
    vimg_workers_free(server->workers);
    if (server->pid_fd >= 0)
        close(server->pid_fd);
    g_free(server->id);
    g_free(server);
}

/* ---- the process -------------------------------------------------------------------------- */

/* What the child needs to know beforehand, since it may ask for nothing. */
typedef struct {
    struct rlimit room;                           /* of a file */
    char pid[sizeof("LISTEN_PID=") + PID_DIGITS]; /* of its environment */
} Child;

/*
 * nbdkit becomes somebody else itself: what has done so cannot be looked into by others of that
 * user, as what is executed by them can.  Both are (transfer full), NULL if it stays who it is.
 */
static gboolean
choose_user(const VimgNbdServers *servers, char **out_user, char **out_group, GError **error)
{
    const char *name = servers->config->export_user ? servers->config->export_user : USER;
    g_autofree char *buffer = g_malloc(65536);
    struct passwd entry, *user = NULL;

    if (geteuid() != 0)
        return TRUE;
    errno = getpwnam_r(name, &entry, buffer, 65536, &user);
    if (!user)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("there is no user '%s'"), name);
    *out_user = g_strdup_printf("--user=%u", user->pw_uid);
    *out_group = g_strdup_printf("--group=%u", user->pw_gid);
    return TRUE;
}

/* Between fork and exec, so without anything that takes a lock or memory. */
static void
set_up_child(gpointer data)
{
    const struct rlimit none = {0, 0};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    Child *child = data;
    char *at = child->pid + strlen(child->pid);
    guint pid = (guint)getpid();
    guint unit = 1;
    sigset_t empty;

    while (pid / unit >= 10)
        unit *= 10;
    for (; unit > 0; unit /= 10)
        *at++ = (char)('0' + pid / unit % 10);
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
        setrlimit(RLIMIT_FSIZE, &child->room) < 0 || sigaction(SIGXFSZ, &ignore, NULL) < 0)
        _exit(1);
}

/* What the thread that starts processes is to do. */
typedef struct {
    VimgNbdServers *servers;
    int listen_fd;
    int link_fd;
    int cache_fd;
    guint64 room; /* of the cache */
    GPid pid;
    GError *error;
    gboolean done; /* under lock */
} Spawn;

static gboolean
spawn_process(Spawn *spawn, GError **error)
{
    const VimgPaths *paths = spawn->servers->paths;
    Child child = {.room = {spawn->room, spawn->room}, .pid = "LISTEN_PID="};
    const char *const environment[] = {"LISTEN_FDS=1", child.pid, NULL};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *user = NULL, *group = NULL;
    g_autofree char *wait = g_strdup_printf("wait=%u", spawn->servers->config->nbd_wait);
    const int from[] = {spawn->listen_fd, spawn->link_fd, spawn->cache_fd};
    const int to[] = {VIMG_EXPORTER_NBD_LISTEN_FD, VIMG_EXPORTER_NBD_LINK_FD,
                      VIMG_EXPORTER_NBD_CACHE_FD};

    if (!choose_user(spawn->servers, &user, &group, error))
        return FALSE;
    g_ptr_array_add(argv, paths->nbd_program);
    g_ptr_array_add(argv, (gpointer) "--foreground");
    g_ptr_array_add(argv, (gpointer) "--readonly");
    if (user) {
        g_ptr_array_add(argv, user);
        g_ptr_array_add(argv, group);
    }
    g_ptr_array_add(argv, paths->nbd_plugin);
    g_ptr_array_add(argv, wait);
    g_ptr_array_add(argv, NULL);
    return g_spawn_async_with_pipes_and_fds(
        "/", (const char *const *)argv->pdata, environment,
        G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, set_up_child, &child, -1, -1, -1,
        from, to, G_N_ELEMENTS(from), &spawn->pid, NULL, NULL, NULL, error);
}

static void
run_spawn(gpointer data)
{
    Spawn *spawn = data;
    VimgNbdServers *servers = spawn->servers;

    spawn_process(spawn, &spawn->error);
    VIMG_LOCK_GUARD(&servers->lock);
    spawn->done = TRUE;
    vimg_cond_broadcast(&servers->spawned);
}

static gboolean
run_in_spawner(Spawn *spawn, GError **error)
{
    VimgNbdServers *servers = spawn->servers;

    vimg_workers_push(servers->spawner, run_spawn, spawn);
    vimg_mutex_lock(&servers->lock);
    while (!spawn->done)
        vimg_cond_wait(&servers->spawned, &servers->lock);
    vimg_mutex_unlock(&servers->lock);
    if (spawn->error)
        g_propagate_error(error, spawn->error);
    return spawn->pid != 0;
}

/* In a worker, since what was read is closed, which may wait for a storage. */
static void
finish(gpointer data)
{
    Server *server = data;

    vimg_nbd_socket_remove(server->servers->paths->nbd_dir, server->id);
    vimg_model_nbd_ended(server->servers->model, server->id);
    server_free(server);
}

static void
on_end(GPid pid, gint status, gpointer data)
{
    Server *server = data;
    VimgNbdServers *servers = server->servers;

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        vimg_info("the server of export %s ended (%s %d)", server->id,
                  WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    vimg_mutex_lock(&servers->lock);
    g_hash_table_remove(servers->by_id, server->id);
    vimg_mutex_unlock(&servers->lock);
    vimg_workers_push(servers->enders, finish, server);
}

/* The link to ask on, which writes to @file_fd, and takes it; *@theirs: its other end */
static gboolean
open_link(Server *server, const guint8 *hash, int file_fd, guint64 room, int *theirs,
          GError **error)
{
    VimgNbdServers *servers = server->servers;
    vimg_autofd int file = file_fd;
    VimgExportLinkOptions options = {.only = hash, .room = room};
    int pair[2];

    server->workers = vimg_workers_new("vimg-nbd", WORKERS, error);
    if (!server->workers)
        return FALSE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return vimg_throw_errno(error, _("cannot start '%s'"), servers->paths->nbd_program);
    *theirs = pair[1];
    options.file_fd = vimg_steal_fd(&file);
    server->link = vimg_export_link_new(pair[0], servers->model, server->workers, &options, error);
    return server->link != NULL;
}

/* What the process gets it has alone, once it runs. */
static gboolean
run_linked(Server *server, const guint8 *hash, Spawn *spawn, GError **error)
{
    const VimgNbdServers *servers = server->servers;
    vimg_autofd int theirs = -1;
    vimg_autofd int cache = -1;
    VimgNbdFile file;

    if (!vimg_nbd_file_open(servers->paths->state_dir, servers->config->nbd_cache, &file, error))
        return FALSE;
    spawn->cache_fd = cache = file.theirs;
    spawn->room = file.room;
    if (!open_link(server, hash, file.ours, file.room, &theirs, error))
        return FALSE;
    spawn->link_fd = theirs;
    return run_in_spawner(spawn, error);
}

static gboolean
start_process(VimgNbdServers *servers, const char *id, const guint8 *hash, int listen_fd,
              GError **error)
{
    Server *server = g_new0(Server, 1);
    Spawn spawn = {.servers = servers, .listen_fd = listen_fd};

    server->servers = servers;
    server->id = g_strdup(id);
    server->pid_fd = -1;
    if (!run_linked(server, hash, &spawn, error)) {
        server_free(server);
        return FALSE;
    }
    server->pid = spawn.pid;
    server->pid_fd = pidfd_open(server->pid, 0);
    VIMG_LOCK_GUARD(&servers->lock);
    g_hash_table_insert(servers->by_id, server->id, server);
    server->watch = g_child_watch_add(server->pid, on_end, server);
    return TRUE;
}

/* ---- starting and stopping ---------------------------------------------------------------- */

static gboolean
take_place(VimgNbdServers *servers, GError **error)
{
    VIMG_LOCK_GUARD(&servers->lock);
    if (g_hash_table_size(servers->by_id) + servers->starting >= SERVERS_MAX)
        return vimg_throw(error, VIMG_ERROR_BUSY,
                          _("%d images are served over NBD already: stop those that nobody needs"),
                          SERVERS_MAX);
    servers->starting++;
    return TRUE;
}

static char *
start(const char *id, const guint8 *hash, uid_t uid, gpointer data, GError **error)
{
    VimgNbdServers *servers = data;
    const char *dir = servers->paths->nbd_dir;
    g_autofree char *path = NULL;
    vimg_autofd int fd = -1;
    gboolean ok;

    if (!take_place(servers, error))
        return NULL;
    fd = vimg_nbd_socket_listen(dir, id, uid, &path, error);
    ok = fd >= 0 && start_process(servers, id, hash, fd, error);
    if (fd >= 0 && !ok)
        vimg_nbd_socket_remove(dir, id);
    VIMG_LOCK_GUARD(&servers->lock);
    servers->starting--;
    return ok ? g_steal_pointer(&path) : NULL;
}

/* Without a link it has nothing to serve, and ends; one that was taken over does not. */
static void
stop(const char *id, gpointer data)
{
    VimgNbdServers *servers = data;
    VimgExportLink *link = NULL;
    Server *server;

    vimg_mutex_lock(&servers->lock);
    server = g_hash_table_lookup(servers->by_id, id);
    if (server) {
        link = g_steal_pointer(&server->link);
        pidfd_send_signal(server->pid_fd, SIGKILL, NULL, 0);
    }
    vimg_mutex_unlock(&servers->lock);
    vimg_export_link_close(link);
}

static const VimgNbdServer callbacks = {.start = start, .stop = stop};

/* ---- life --------------------------------------------------------------------------------- */

VimgNbdServers *
vimg_nbd_servers_new(const VimgPaths *paths, const VimgDaemonConfig *config, VimgModel *model,
                     GError **error)
{
    VimgNbdServers *servers;

    if (!vimg_nbd_sockets_prepare(paths->nbd_dir, error))
        return NULL;
    servers = g_new0(VimgNbdServers, 1);
    servers->paths = paths;
    servers->config = config;
    servers->model = model;
    servers->by_id = g_hash_table_new(g_str_hash, g_str_equal);
    vimg_mutex_init(&servers->lock);
    vimg_cond_init(&servers->spawned);
    servers->enders = vimg_workers_new("vimg-nbd-end", ENDERS, error);
    servers->spawner = servers->enders ? vimg_workers_new("vimg-spawn", 1, error) : NULL;
    if (!servers->spawner) {
        vimg_nbd_servers_free(servers);
        return NULL;
    }
    vimg_model_set_nbd(model, &callbacks, servers);
    return servers;
}

static void
end_server(Server *server)
{
    g_source_remove(server->watch);
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    vimg_nbd_socket_remove(server->servers->paths->nbd_dir, server->id);
    server_free(server);
}

void
vimg_nbd_servers_free(VimgNbdServers *servers)
{
    GHashTableIter iter;
    gpointer value;

    if (!servers)
        return;
    g_hash_table_iter_init(&iter, servers->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_hash_table_iter_remove(&iter);
        end_server(value);
    }
    g_hash_table_unref(servers->by_id);
    vimg_workers_free(servers->enders);
    vimg_workers_free(servers->spawner);
    vimg_cond_clear(&servers->spawned);
    vimg_mutex_clear(&servers->lock);
    g_free(servers);
}
