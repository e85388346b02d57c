/*
 * listener.c: one listening unix socket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc/listener.h"
#include "rpc/watch.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define BACKLOG 128
#define ACCEPTS_MAX 64 /* before others have their turn */

struct _VimgListener {
    VimgWatch watch;
    gboolean read_only;
    gboolean active;
    VimgListenerEvents events;
    char *path; /* NULL: not ours to remove */
    dev_t dev;  /* of the bound socket */
    ino_t ino;
};

static void
on_ready(gpointer data, GIOCondition seen)
{
    VimgListener *listener = data;
    guint i;

    /* accepting may have made one client too many */
    for (i = 0; i < ACCEPTS_MAX && listener->active; i++) {
        int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            listener->events.accepted(fd, listener->read_only, listener->events.data);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            vimg_warning("accept: %s", g_strerror(errno));
            listener->events.failed(listener->events.data);
            break;
        }
    }
}

/* @fd: (transfer full) */
static VimgListener *
watch(int fd, gboolean read_only, const VimgListenerEvents *events, GMainContext *context)
{
    VimgListener *listener = g_new0(VimgListener, 1);

    listener->read_only = read_only;
    listener->active = TRUE;
    listener->events = *events;
    vimg_watch_begin(&listener->watch, fd, context, on_ready, listener);
    return listener;
}

void
vimg_listener_set_active(VimgListener *listener, gboolean active)
{
    listener->active = active;
    vimg_watch_await(&listener->watch, active ? G_IO_IN : 0);
}

/* Somebody accepts connections at @address. */
static gboolean
is_alive(const struct sockaddr_un *address)
{
    vimg_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return TRUE; /* not known: leave it alone */
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return TRUE;
    return errno != ECONNREFUSED && errno != ENOENT;
}

static gboolean
bind_path(int fd, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;

    if (strlen(path) >= sizeof(address.sun_path))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("socket path '%s' is too long"), path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return TRUE;
    if (errno != EADDRINUSE)
        return vimg_throw_errno(error, "bind '%s'", path);
    if (lstat(path, &found) == 0 && !S_ISSOCK(found.st_mode))
        return vimg_throw(error, VIMG_ERROR_SYSTEM, _("'%s' exists and is no socket"), path);
    if (is_alive(&address))
        return vimg_throw(error, VIMG_ERROR_SYSTEM, _("another daemon listens on '%s'"), path);
    if (unlink(path) < 0 && errno != ENOENT)
        return vimg_throw_errno(error, "unlink '%s'", path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return vimg_throw_errno(error, "bind '%s'", path);
    return TRUE;
}

VimgListener *
vimg_listener_new(const char *path, mode_t mode, gid_t group, gboolean read_only,
                  const VimgListenerEvents *events, GMainContext *context, GError **error)
{
    vimg_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    VimgListener *listener;
    struct stat bound;

    if (fd < 0) {
        vimg_throw_errno(error, "socket");
        return NULL;
    }
    /* the file gets the mode of the socket: closed to all others until its group is set */
    if (fchmod(fd, 0600) < 0 || !bind_path(fd, path, error)) {
        if (error && !*error)
            vimg_throw_errno(error, "fchmod");
        return NULL;
    }
    if (lstat(path, &bound) < 0 || lchown(path, (uid_t)-1, group) < 0 || chmod(path, mode) < 0 ||
        listen(fd, BACKLOG) < 0) {
        vimg_throw_errno(error, "listen on '%s'", path);
        unlink(path);
        return NULL;
    }
    listener = watch(vimg_steal_fd(&fd), read_only, events, context);
    listener->path = g_strdup(path);
    listener->dev = bound.st_dev;
    listener->ino = bound.st_ino;
    return listener;
}

VimgListener *
vimg_listener_new_fd(int fd, gboolean read_only, const VimgListenerEvents *events,
                     GMainContext *context, GError **error)
{
    int listening = 0;
    int domain = 0;
    int type = 0;
    socklen_t size = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
        vimg_throw_errno(error, "descriptor %d", fd);
        return NULL;
    }
    if (!listening || domain != AF_UNIX || type != SOCK_STREAM) {
        vimg_throw(error, VIMG_ERROR_SYSTEM, _("descriptor %d is no listening unix socket"), fd);
        return NULL;
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        vimg_throw_errno(error, "descriptor %d", fd);
        return NULL;
    }
    return watch(fd, read_only, events, context);
}

void
vimg_listener_free(VimgListener *listener)
{
    struct stat found;

    if (!listener)
        return;
    /* gone before it is closed: a new daemon must not take ours for a stale one and then lose its
     * own to us */
    if (listener->path && lstat(listener->path, &found) == 0 && found.st_dev == listener->dev &&
        found.st_ino == listener->ino)
        unlink(listener->path);
    vimg_watch_end(&listener->watch);
    g_free(listener->path);
    g_free(listener);
}
