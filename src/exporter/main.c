/*
 * main.c: virtimage-export: serves exports to the world, and has nothing but what it is given
 *
 * Started by virtimaged with two descriptors: a socket to ask it for exports, and one that listens.
 * It reads its certificate, gives up every privilege, and opens nothing from then on.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exporter/answer.h"
#include "util/error.h"
#include "util/file.h"

#define PEM_MAX ((gsize)1024 * 1024) /* bytes of a certificate or key */

typedef struct {
    int connections, client_connections;
    gint64 rate, client_rate;
    int timeout;
    char *user;
    char *certificate; /* files */
    char *key;
} Arguments;

static gboolean
parse_arguments(int *argc, char ***argv, Arguments *out, GError **error)
{
    const GOptionEntry entries[] = {
        {"connections", 0, 0, G_OPTION_ARG_INT, &out->connections},
        {"rate", 0, 0, G_OPTION_ARG_INT64, &out->rate},
        {"client-connections", 0, 0, G_OPTION_ARG_INT, &out->client_connections},
        {"client-rate", 0, 0, G_OPTION_ARG_INT64, &out->client_rate},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &out->timeout},
        {"user", 0, 0, G_OPTION_ARG_STRING, &out->user},
        {"tls-cert", 0, 0, G_OPTION_ARG_FILENAME, &out->certificate},
        {"tls-key", 0, 0, G_OPTION_ARG_FILENAME, &out->key},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, "Started by virtimaged(8), by nobody else.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (out->connections < 1 || out->timeout < 1 || out->rate < 0 || out->client_connections < 0 ||
        out->client_rate < 0)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "this is started by virtimaged");
    return TRUE;
}

static void
clear_arguments(Arguments *arguments)
{
    g_clear_pointer(&arguments->user, g_free);
    g_clear_pointer(&arguments->certificate, g_free);
    g_clear_pointer(&arguments->key, g_free);
}

static gboolean
check_socket(int fd, GError **error)
{
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "this is started by virtimaged");
}

static gboolean
read_pem(const char *path, char **out, GError **error)
{
    if (path)
        *out = vimg_file_read(path, PEM_MAX, NULL, error);
    return !path || *out;
}

static gboolean
become(const char *name, GError **error)
{
    const struct passwd *user = getpwnam(name);

    if (!user)
        return vimg_throw(error, VIMG_ERROR_FAILED, "there is no user '%s'", name);
    if (setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
        return vimg_throw_errno(error, "cannot become user '%s'", name);
    if (setuid(0) == 0)
        return vimg_throw(error, VIMG_ERROR_FAILED, "still root as user '%s'", name);
    return TRUE;
}

/* No process can be made that may do more, and nobody looks into this one. */
static gboolean
drop_privileges(const char *user, GError **error)
{
    const struct rlimit none = {0, 0};

    if (geteuid() == 0 && !become(user ? user : "nobody", error))
        return FALSE;
    if (chdir("/") < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return vimg_throw_errno(error, "cannot give up privileges");
    return TRUE;
}

/* The library has made its own of them. */
static void
forget_key(VimgExporterOptions *options)
{
    if (options->key)
        explicit_bzero(options->key, strlen(options->key));
    g_clear_pointer(&options->key, g_free);
    g_clear_pointer(&options->certificate, g_free);
}

static gboolean
start(const Arguments *arguments, GError **error)
{
    VimgExporterOptions options = {.listen_fd = VIMG_EXPORTER_LISTEN_FD,
                                   .limits = {.downloads = (guint)arguments->connections,
                                              .rate = (guint64)arguments->rate,
                                              .each = (guint)arguments->client_connections,
                                              .each_rate = (guint64)arguments->client_rate},
                                   .timeout = (guint)arguments->timeout};
    VimgExporterLink *link;
    gboolean ok;

    if (!check_socket(VIMG_EXPORTER_LINK_FD, error) ||
        !check_socket(VIMG_EXPORTER_LISTEN_FD, error) ||
        !read_pem(arguments->certificate, &options.certificate, error) ||
        !read_pem(arguments->key, &options.key, error) || !drop_privileges(arguments->user, error))
        return FALSE;
    link = vimg_exporter_link_new(VIMG_EXPORTER_LINK_FD, error);
    ok = link && vimg_exporter_serve(link, &options, error);
    forget_key(&options);
    if (ok)
        vimg_exporter_link_begin(link);
    return ok;
}

int
main(int argc, char **argv)
{
    Arguments arguments = {0};
    g_autoptr(GError) error = NULL;
    gboolean started;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* of a terminal: the daemon ends, and this with it */
    started = parse_arguments(&argc, &argv, &arguments, &error) && start(&arguments, &error);
    clear_arguments(&arguments);
    if (!started) {
        g_printerr("virtimage-export: %s\n", error->message);
        vimg_exporter_say_begin(VIMG_EXPORTER_LINK_FD, error->message);
        return 1;
    }
    for (;;)
        pause();
}
