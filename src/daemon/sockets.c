/*
 * sockets.c: the sockets a daemon answers on, its own or systemd's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "daemon/sockets.h"
#include "util/i18n.h"
#include "util/log.h"

/* Where clients look. */
#define SOCKET "virtimaged-sock"
#define SOCKET_RO "virtimaged-sock-ro"

#define DEFAULT_GROUP "libvirt"
#define GROUP_BYTES_MAX (1024 * 1024) /* of one line of the group database */

/* 0 and *@gid, or an errno; ENOENT: no such group. */
static int
find_group(const char *name, gid_t *gid)
{
    gsize size = 4096;

    for (;;) {
        g_autofree char *buffer = g_malloc(size);
        struct group group, *found = NULL;
        int rc = getgrnam_r(name, &group, buffer, size, &found);

        if (rc == ERANGE && size < GROUP_BYTES_MAX) {
            size *= 2;
            continue;
        }
        if (rc == 0 && found)
            *gid = group.gr_gid;
        return rc != 0 ? rc : found ? 0 : ENOENT;
    }
}

/* Who besides its owner may connect: the default group is used only where it exists. */
static gboolean
choose_group(const VimgDaemonConfig *config, gid_t *gid, GError **error)
{
    *gid = getegid();
    if (!config->socket_group) {
        find_group(DEFAULT_GROUP, gid);
        return TRUE;
    }
    errno = find_group(config->socket_group, gid);
    if (errno == ENOENT)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                          _("socket_group: there is no group '%s'"), config->socket_group);
    if (errno)
        return vimg_throw_errno(error, _("cannot look up group '%s'"), config->socket_group);
    return TRUE;
}

#ifdef HAVE_LIBSYSTEMD

/* The path a passed socket is bound to.  Returns: FALSE if it is not a listening local socket. */
static gboolean
socket_path(int fd, char *path, gsize size)
{
    struct sockaddr_un address = {0};
    socklen_t length = sizeof(address);

    if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return FALSE;
    g_strlcpy(path, address.sun_path, MIN(size, sizeof(address.sun_path)));
    return TRUE;
}

static gboolean
take_over(VimgServer *server, int fd, const char *name, gid_t gid, GError **error)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = "";
    gboolean read_only;

    if (!socket_path(fd, path, sizeof(path)))
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                          _("'%s' from systemd is not a listening local socket"), name);
    read_only = g_str_has_suffix(path, "-ro");
    if (geteuid() == 0 && *path && lchown(path, (uid_t)-1, gid) < 0)
        return vimg_throw_errno(error, _("cannot set the group of '%s'"), path);
    vimg_info("systemd passed '%s'%s", path, read_only ? ", read-only" : "");
    return vimg_server_listen_fd(server, fd, read_only, error);
}

/* *@taken: whether there were any. */
static gboolean
listen_passed(VimgServer *server, gid_t gid, gboolean *taken, GError **error)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(TRUE, &names);
    gboolean ok = TRUE;

    *taken = n > 0;
    if (n < 0) {
        errno = -n;
        return vimg_throw_errno(error, "%s", _("cannot take over sockets from systemd"));
    }
    for (int i = 0; i < n && ok; i++)
        ok = take_over(server, SD_LISTEN_FDS_START + i, names[i], gid, error);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return ok;
}

void
vimg_sockets_notify(const char *state)
{
    sd_notify(FALSE, state);
}

#else

static gboolean
listen_passed(VimgServer *server, gid_t gid, gboolean *taken, GError **error)
{
    *taken = FALSE;
    return TRUE;
}

void
vimg_sockets_notify(const char *state)
{
}

#endif

gboolean
vimg_sockets_listen(VimgServer *server, const VimgPaths *paths, const VimgDaemonConfig *config,
                    GError **error)
{
    g_autofree char *path = g_build_filename(paths->run_dir, SOCKET, NULL);
    g_autofree char *path_ro = g_build_filename(paths->run_dir, SOCKET_RO, NULL);
    mode_t mode = paths->privileged ? 0660 : 0600;
    gboolean taken = FALSE;
    gid_t gid = getegid();

    if (paths->privileged && !choose_group(config, &gid, error))
        return FALSE;
    if (!listen_passed(server, gid, &taken, error))
        return FALSE;
    return taken || (vimg_server_listen(server, path, mode, gid, FALSE, error) &&
                     vimg_server_listen(server, path_ro, mode, gid, TRUE, error));
}
