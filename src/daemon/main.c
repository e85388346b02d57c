/*
 * main.c: virtimaged: options, start, life and end of the daemon
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <glib-unix.h>

#include "conf/daemon-config.h"
#include "conf/host-uri.h"
#include "conf/schema.h"
#include "daemon/crash.h"
#include "daemon/deadline.h"
#include "daemon/export-server.h"
#include "daemon/instance.h"
#include "daemon/nbd-server.h"
#include "daemon/paths.h"
#include "daemon/sockets.h"
#include "host/host.h"
#include "host/identity.h"
#include "host/primary.h"
#include "host/secret.h"
#include "pool/import-rules.h"
#include "pool/model.h"
#include "rpc/dispatch.h"
#include "rpc/remote.h"
#include "rpc/server.h"
#include "rpc/upstream.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/thread.h"

/* Seconds that calls and storages have to come to an end. */
#define END_TIMEOUT 20

typedef struct {
    VimgPathOptions paths;
    int timeout; /* seconds; 0: none */
    gboolean verbose;
    gboolean version;
} Options;

/* Events reach the server through here, because the model outlives it at the end. */
typedef struct {
    VimgMutex lock;
    VimgServer *server; /* NULL while there is none */
} Relay;

typedef struct {
    VimgPaths *paths;
    VimgDaemonConfig *config;
    VimgImportRules imports;
    VimgInstance *instances[2]; /* of the run and of the state directory */
    VimgModel *model;
    VimgHost *host; /* NULL: the configuration wants none */
    VimgHostFuncs host_funcs;
    VimgServer *server;
    VimgExportServer *exports;
    VimgNbdServers *nbd;
    VimgHostPrimary *primary;
    Relay relay;
    GMainLoop *loop;
} Daemon;

/* ---- options -------------------------------------------------------------------------------- */

static gboolean
parse_options(int *argc, char ***argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"config", 'f', 0, G_OPTION_ARG_FILENAME, &options->paths.config_file,
         N_("Read the configuration from FILE"), N_("FILE")},
        {"config-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->paths.config_dir,
         N_("Keep definitions of pools and secrets in DIR"), N_("DIR")},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->paths.state_dir,
         N_("Keep what must survive a restart in DIR"), N_("DIR")},
        {"run-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->paths.run_dir,
         N_("Make the sockets in DIR"), N_("DIR")},
        {"plugin-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->paths.plugin_dir,
         N_("Load backends from DIR"), N_("DIR")},
        {"timeout", 't', 0, G_OPTION_ARG_INT, &options->timeout,
         N_("End after SECONDS without clients, active pools and jobs"), N_("SECONDS")},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, N_("Log debug messages"), NULL},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, N_("Show the version"), NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_translation_domain(context, VIMG_GETTEXT_DOMAIN);
    g_option_context_set_summary(context, N_("Image storages for libvirt clients."));
    g_option_context_add_main_entries(context, entries, VIMG_GETTEXT_DOMAIN);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("unexpected argument '%s'"), (*argv)[1]);
    if (options->timeout < 0)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("--timeout: %d is not a number of seconds"), options->timeout);
    return TRUE;
}

static gboolean
load_config(Daemon *daemon, GError **error)
{
    const VimgPaths *paths = daemon->paths;

    if (!paths->config_named && !g_file_test(paths->config_file, G_FILE_TEST_EXISTS))
        daemon->config = vimg_daemon_config_new();
    else
        daemon->config = vimg_daemon_config_load(paths->config_file, error);
    return daemon->config != NULL;
}

/* ---- start ---------------------------------------------------------------------------------- */

/* Each client, stream and slice takes a descriptor. */
static void
raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            vimg_warning("cannot raise the number of open files: %s", g_strerror(errno));
    }
}

static gboolean
lock_dirs(Daemon *daemon, GError **error)
{
    g_autofree char *run = g_build_filename(daemon->paths->run_dir, "virtimaged.pid", NULL);
    g_autofree char *state = g_build_filename(daemon->paths->state_dir, "virtimaged.pid", NULL);

    daemon->instances[0] = vimg_instance_new(run, error);
    if (!daemon->instances[0])
        return FALSE;
    daemon->instances[1] = vimg_instance_new(state, error);
    return daemon->instances[1] != NULL;
}

static void
relay_event(const VimgEvent *event, gpointer data)
{
    Relay *relay = data;
    VIMG_LOCK_GUARD(&relay->lock);

    if (relay->server)
        vimg_remote_event(event, relay->server);
}

static void
relay_job(const VimgJobEvent *event, gpointer data)
{
    Relay *relay = data;
    VIMG_LOCK_GUARD(&relay->lock);

    if (relay->server)
        vimg_remote_job_event(event, relay->server);
}

static void
relay_set(Relay *relay, VimgServer *server)
{
    VIMG_LOCK_GUARD(&relay->lock);

    relay->server = server;
}

/* Strings stay those of @config. */
static void
take_import_rules(const VimgDaemonConfig *config, VimgImportRules *out)
{
    out->source.schemes = (const char *const *)config->import_schemes;
    out->source.hosts = (const char *const *)config->import_hosts;
    out->source.addresses = (const char *const *)config->import_addresses;
    out->source.directories = (const char *const *)config->import_directories;
    out->source.ca_file = config->import_ca_file;
    out->source.proxy = config->import_proxy;
    out->source.timeout = config->import_timeout;
    out->ratio = config->import_ratio;
    out->max_size = config->import_max_size;
}

static VimgBuffer *
find_host_secret(gpointer data, int usage_type, const char *usage, const guint8 *uuid,
                 GError **error)
{
    return vimg_host_secret(data, usage_type, usage, uuid, error);
}

static gboolean
start_model(Daemon *daemon, GError **error)
{
    const VimgPaths *paths = daemon->paths;
    const VimgModelConfig config = {
        .config_dir = paths->config_dir,
        .state_dir = paths->state_dir,
        .run_dir = paths->live_dir,
        .plugin_dir = paths->plugin_dir,
        .zones = (const char *const *)daemon->config->zones,
        .search_paths = (const char *const *)daemon->config->search_paths,
        .metrics_file = daemon->config->metrics_file,
        .metrics_interval = daemon->config->metrics_interval,
        .imports = &daemon->imports,
    };

    take_import_rules(daemon->config, &daemon->imports);
    daemon->model = vimg_model_new(&config, error);
    if (!daemon->model)
        return FALSE;
    vimg_model_set_event_sink(daemon->model, relay_event, &daemon->relay);
    vimg_model_set_job_sink(daemon->model, relay_job, &daemon->relay);
    if (daemon->host)
        vimg_model_set_host_secrets(daemon->model, find_host_secret, daemon->host);
    return vimg_model_start(daemon->model, error);
}

/* Not at all unless it is configured. */
static gboolean
start_exports(Daemon *daemon, GError **error)
{
    if (!daemon->config->export_listen)
        return TRUE;
    daemon->exports =
        vimg_export_server_new(daemon->paths->export_program, daemon->config, daemon->model, error);
    return daemon->exports != NULL;
}

/* Where nbdkit and our plugin of it are installed. */
static gboolean
start_nbd(Daemon *daemon, GError **error)
{
    const VimgPaths *paths = daemon->paths;

    if (!paths->nbd_program || !g_file_test(paths->nbd_plugin, G_FILE_TEST_EXISTS))
        return TRUE;
    daemon->nbd = vimg_nbd_servers_new(paths, daemon->config, daemon->model, error);
    return daemon->nbd != NULL;
}

/* After start_host(): its pools are primary storage. */
static gboolean
start_primary(Daemon *daemon, GError **error)
{
    const VimgHostPrimaryConfig config = {
        .host = daemon->host,
        .state_dir = daemon->paths->state_dir,
        .reader = daemon->config->export_user,
        .keepalive_interval = daemon->config->keepalive_interval,
        .keepalive_count = daemon->config->keepalive_count,
    };

    if (!daemon->host)
        return TRUE;
    daemon->primary = vimg_host_primary_new(&config, daemon->model, error);
    return daemon->primary != NULL;
}

static guint
model_busy(gpointer data)
{
    const Daemon *daemon = data;

    return vimg_model_busy(daemon->model);
}

static void
idle_end(gpointer data)
{
    const Daemon *daemon = data;

    vimg_info("nothing to do, ending");
    g_main_loop_quit(daemon->loop);
}

static VimgHostReach
reach_host(gpointer data, const VimgPeer *peer, gboolean read_only, gboolean wait, int *fd,
           GError **error)
{
    g_autoptr(GError) local = NULL;

    if (!wait && !vimg_identity_is_own(peer))
        return VIMG_HOST_LATER;
    if (vimg_host_reach(data, peer, read_only, wait, fd, &local))
        return *fd < 0 ? VIMG_HOST_ABSENT : VIMG_HOST_REACHED;
    if (!wait && g_error_matches(local, VIMG_ERROR, VIMG_ERROR_TIMEOUT))
        return VIMG_HOST_LATER;
    g_propagate_error(error, g_steal_pointer(&local));
    return VIMG_HOST_FAILED;
}

static gboolean
is_host_present(gpointer data)
{
    return vimg_host_is_present(data);
}

static void
note_host_opened(gpointer data)
{
    vimg_host_note_opened(data);
}

static gboolean
start_host(Daemon *daemon, GError **error)
{
    const char *uri = daemon->config->host_uri;

    if (g_strcmp0(uri, VIMG_HOST_URI_NONE) == 0)
        return TRUE;
    daemon->host = vimg_host_new(uri, daemon->paths->run_dir, daemon->paths->privileged, error);
    if (!daemon->host)
        return FALSE;
    daemon->host_funcs = (VimgHostFuncs){.reach = reach_host,
                                         .is_present = is_host_present,
                                         .opened = note_host_opened,
                                         .patience = vimg_host_open_patience,
                                         .name = vimg_host_name(daemon->host),
                                         .data = daemon->host};
    return TRUE;
}

static gboolean
start_server(Daemon *daemon, int timeout, GError **error)
{
    static const VimgProgram *const programs[] = {&vimg_remote_program, &vimg_control_program,
                                                  NULL};

    daemon->server =
        vimg_server_new(NULL, daemon->config, daemon->model, programs, &vimg_remote_hooks, error);
    if (!daemon->server)
        return FALSE;
    if (daemon->host)
        vimg_server_set_host(daemon->server, &daemon->host_funcs);
    relay_set(&daemon->relay, daemon->server);
    if (timeout > 0)
        vimg_server_set_idle_timeout(daemon->server, (guint)timeout, model_busy, idle_end, daemon);
    return vimg_sockets_listen(daemon->server, daemon->paths, daemon->config, error);
}

static gboolean
daemon_start(Daemon *daemon, const Options *options, GError **error)
{
    daemon->paths = vimg_paths_new(&options->paths);
    if (!load_config(daemon, error))
        return FALSE;
    vimg_log_set_level(options->verbose ? VIMG_LOG_DEBUG : daemon->config->log_level);
    vimg_schema_set_dir(daemon->paths->schema_dir);
    raise_limits();
    return vimg_paths_make(daemon->paths, error) && lock_dirs(daemon, error) &&
           start_host(daemon, error) && start_model(daemon, error) &&
           start_exports(daemon, error) && start_nbd(daemon, error) &&
           start_primary(daemon, error) && start_server(daemon, options->timeout, error);
}

/* ---- end ------------------------------------------------------------------------------------ */

static void
daemon_clear(Daemon *daemon)
{
    vimg_deadline_start(END_TIMEOUT);
    relay_set(&daemon->relay, NULL);
    /* first, because the server waits for the calls that run */
    if (daemon->model)
        vimg_model_cancel_jobs(daemon->model);
    vimg_export_server_free(daemon->exports);
    vimg_server_free(daemon->server);
    if (daemon->model)
        vimg_model_stop(daemon->model); /* it tells the next of pools that go */
    vimg_host_primary_free(daemon->primary);
    vimg_nbd_servers_free(daemon->nbd);
    vimg_model_free(daemon->model);
    vimg_host_free(daemon->host);
    for (guint i = G_N_ELEMENTS(daemon->instances); i-- > 0;)
        vimg_instance_free(daemon->instances[i]);
    vimg_daemon_config_free(daemon->config);
    vimg_paths_free(daemon->paths);
    g_main_loop_unref(daemon->loop);
    vimg_mutex_clear(&daemon->relay.lock);
}

/* Once: a second signal finds the default action and ends the process where it stands. */
static gboolean
on_signal(gpointer data)
{
    vimg_info("signal received, ending");
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

/*
 * One arena: its free memory can be given back as a whole, while each thread's own would keep what
 * its busiest hour took.  What is worth a lock of its own are megabytes at a time here.
 */
static void
set_up_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

static void
set_up_process(void)
{
    vimg_crash_report();
    set_up_memory();
    setlocale(LC_ALL, "");
    bindtextdomain(VIMG_GETTEXT_DOMAIN, VIMG_LOCALEDIR);
    bind_textdomain_codeset(VIMG_GETTEXT_DOMAIN, "UTF-8");
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

static gboolean
run(const Options *options, GError **error)
{
    Daemon daemon = {.loop = g_main_loop_new(NULL, FALSE)};
    gboolean ok;

    vimg_mutex_init(&daemon.relay.lock);
    g_unix_signal_add(SIGTERM, on_signal, daemon.loop);
    g_unix_signal_add(SIGINT, on_signal, daemon.loop);
    ok = daemon_start(&daemon, options, error);
    if (ok) {
        vimg_info("virtimaged %s ready in '%s'", VIMG_VERSION, daemon.paths->run_dir);
        vimg_sockets_notify("READY=1");
        g_main_loop_run(daemon.loop);
        vimg_sockets_notify("STOPPING=1");
    }
    daemon_clear(&daemon);
    return ok;
}

static gboolean
show_version(void)
{
    g_print("virtimaged (virtimage) %s\n", VIMG_VERSION);
    return TRUE;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Options options = {0};
    gboolean ok;

    set_up_process();
    ok = parse_options(&argc, &argv, &options, &error) &&
         (options.version ? show_version() : run(&options, &error));
    if (!ok) {
        g_autofree char *text =
            error->domain == VIMG_ERROR ? vimg_error_text(error) : g_strdup(error->message);

        g_printerr("virtimaged: %s\n", text);
    }
    vimg_path_options_clear(&options.paths);
    return ok ? 0 : 1;
}
