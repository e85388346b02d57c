/*
 * nbd-socket.c: sockets over which images are served, each private to who asked for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/nbd-socket.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define SOCKET "nbd"
#define BACKLOG 64

/* What else its owner has put into the directory stays, and the directory with it. */
void
vimg_nbd_socket_remove(const char *dir, const char *id)
{
    g_autofree char *own = g_build_filename(dir, id, NULL);
    g_autofree char *path = g_build_filename(own, SOCKET, NULL);

    unlink(path);
    rmdir(own);
}

gboolean
vimg_nbd_sockets_prepare(const char *dir, GError **error)
{
    g_autoptr(GDir) entries = NULL;
    const char *name;

    if (!vimg_dir_make(dir, 0711, error))
        return FALSE;
    /* the umask has narrowed it; what lies in it is private */
    if (chmod(dir, 0711) < 0)
        return vimg_throw_errno(error, _("cannot set the mode of '%s'"), dir);
    entries = g_dir_open(dir, 0, error);
    while (entries && (name = g_dir_read_name(entries)))
        vimg_nbd_socket_remove(dir, name);
    return entries != NULL;
}

static int
listen_at(const char *path, GError **error)
{
    vimg_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                   _("the path '%s' is too long for a socket"), path);
        return -1;
    }
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        vimg_throw_errno(error, _("cannot listen on '%s'"), path);
        return -1;
    }
    return vimg_steal_fd(&fd);
}

/* The directory last: from then on its owner may do there what he likes. */
static gboolean
give_away(const char *own, const char *path, uid_t uid, GError **error)
{
    if (uid == geteuid() || (lchown(path, uid, (gid_t)-1) == 0 && lchown(own, uid, (gid_t)-1) == 0))
        return TRUE;
    return vimg_throw_errno(error, _("cannot change the owner of '%s'"), own);
}

int
vimg_nbd_socket_listen(const char *dir, const char *id, uid_t uid, char **path, GError **error)
{
    g_autofree char *own = g_build_filename(dir, id, NULL);
    g_autofree char *at = g_build_filename(own, SOCKET, NULL);
    vimg_autofd int fd = -1;

    if (mkdir(own, 0700) < 0) {
        vimg_throw_errno(error, _("cannot create directory '%s'"), own);
        return -1;
    }
    fd = listen_at(at, error);
    if (fd < 0 || !give_away(own, at, uid, error)) {
        vimg_nbd_socket_remove(dir, id);
        return -1;
    }
    *path = g_steal_pointer(&at);
    return vimg_steal_fd(&fd);
}
