/*
 * connect.c: the ways to a daemon: a socket of this host, or a process of another one by ssh
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/address.h"
#include "cli/daemon.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

/* ---- this host -------------------------------------------------------------------------- */

/* Returns: (transfer full) */
static char *
socket_path(const VimgAddress *address, gboolean read_only)
{
    const char *name = read_only ? "virtimaged-sock-ro" : "virtimaged-sock";

    if (address->socket)
        return g_strdup(address->socket);
    /* root's session is the system */
    if (address->session && geteuid() != 0)
        return g_build_filename(g_get_user_runtime_dir(), "libvirt", name, NULL);
    return g_build_filename(VIMG_RUNDIR, "libvirt", name, NULL);
}

static int
connect_socket(const char *path, GError **error)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    vimg_autofd int fd = -1;

    if (strlen(path) >= sizeof(where.sun_path)) {
        vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("the path of socket '%s' is too long"), path);
        return -1;
    }
    memcpy(where.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&where, sizeof(where)) < 0) {
        g_set_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_UNREACHABLE,
                    _("no daemon answers at '%1$s': %2$s"), path, g_strerror(errno));
        return -1;
    }
    return vimg_steal_fd(&fd);
}

/* ---- another one ------------------------------------------------------------------------ */

/* Returns: (transfer full) what the shell over there is to run. */
static char *
remote_command(const VimgAddress *address, gboolean read_only)
{
    g_autofree char *netcat = NULL;
    g_autofree char *path = NULL;
    g_autofree char *name = g_shell_quote(address->name);

    if (!address->netcat && !address->socket) /* which the helper cannot be told */
        return g_strdup_printf("virt-ssh-helper %s%s", read_only ? "-r " : "", name);
    netcat = g_shell_quote(address->netcat ? address->netcat : "nc");
    path = g_shell_quote(address->socket ? address->socket
                         : read_only     ? "/run/libvirt/virtimaged-sock-ro"
                                         : "/run/libvirt/virtimaged-sock");
    return g_strdup_printf("%s -U %s", netcat, path);
}

/* @option and @value, or @option @value in one; nothing without a value. */
static void
add_option(GPtrArray *argv, const char *option, const char *prefix, const char *value)
{
    if (!value)
        return;
    g_ptr_array_add(argv, g_strdup(option));
    g_ptr_array_add(argv, g_strconcat(prefix, value, NULL));
}

char **
vimg_address_ssh(const VimgAddress *address, gboolean read_only)
{
    GPtrArray *argv = g_ptr_array_new();

    g_ptr_array_add(argv, g_strdup(address->command ? address->command : "ssh"));
    g_ptr_array_add(argv, g_strdup("-T"));
    add_option(argv, "-e", "", "none");
    /* a host that is gone is noticed, as here nobody else would */
    add_option(argv, "-o", "ServerAliveInterval=", "15");
    add_option(argv, "-p", "", address->port);
    add_option(argv, "-l", "", address->user);
    add_option(argv, "-i", "", address->key_file);
    add_option(argv, "-o", "UserKnownHostsFile=", address->known_hosts);
    add_option(argv, "-o", "StrictHostKeyChecking=", address->no_verify ? "no" : NULL);
    add_option(argv, "-o", "BatchMode=", address->no_tty ? "yes" : NULL);
    add_option(argv, "--", "", address->host);
    g_ptr_array_add(argv, remote_command(address, read_only));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}

/* Ctrl-C is for us: a stream ends in order through a living ssh. */
static void
ignore_interrupt(gpointer unused)
{
    signal(SIGINT, SIG_IGN);
}

static int
connect_ssh(const VimgAddress *address, gboolean read_only, GPid *child, GError **error)
{
    g_auto(GStrv) argv = vimg_address_ssh(address, read_only);
    g_autoptr(GError) local = NULL;
    vimg_autofd int ours = -1;
    vimg_autofd int theirs = -1;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        vimg_throw_errno(error, "socketpair");
        return -1;
    }
    ours = fds[0];
    theirs = fds[1];
    if (!g_spawn_async_with_fds(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                ignore_interrupt, NULL, child, theirs, theirs, -1, &local)) {
        g_set_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_UNREACHABLE, _("cannot run '%1$s': %2$s"),
                    argv[0], local->message);
        return -1;
    }
    return vimg_steal_fd(&ours);
}

int
vimg_address_connect(const VimgAddress *address, gboolean read_only, GPid *child, GError **error)
{
    g_autofree char *path = NULL;

    *child = 0;
    if (address->host)
        return connect_ssh(address, read_only, child, error);
    path = socket_path(address, read_only);
    return connect_socket(path, error);
}
