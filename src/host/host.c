/*
 * host.c: the host's own libvirt daemon: where it is, and connecting to it for a client
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf/host-uri.h"
#include "host/connect.h"
#include "host/host.h"
#include "host/identity.h"
#include "host/talk.h"
#include "util/file.h"
#include "util/i18n.h"

#define CONNECT_SECONDS 10                 /* for a place in its queue */
#define OPEN_TIMEOUT (30 * G_USEC_PER_SEC) /* until it has answered */

/* The sockets of virtproxyd are libvirtd's: whichever of the two runs. */
#define SOCKET "libvirt-sock"
#define AUTO_DRIVER "qemu"
#define SUFFIX_RO "-ro"

/* Ours, whatever name somebody gave them elsewhere. */
static const char *const own_sockets[] = {"virtimaged-sock", "virtimaged-sock-ro"};

struct _VimgHost {
    char *name;     /* what is opened there: a URI */
    char **sockets; /* in the order they are tried */
    char *run_dir;  /* of our own */
    gboolean named; /* the user named it, so it must be there */
    gint opened;    /* atomic: it was there once, so it may be missing but not absent */
};

void
vimg_host_free(VimgHost *host)
{
    if (!host)
        return;
    g_free(host->name);
    g_strfreev(host->sockets);
    g_free(host->run_dir);
    g_free(host);
}

/* Where libvirt's clients look for the daemons of @driver. */
static char **
sockets_in(const char *dir, const char *driver)
{
    g_autofree char *modular = g_strdup_printf("virt%sd-sock", driver);
    char **sockets = g_new0(char *, 3);

    sockets[0] = g_build_filename(dir, SOCKET, NULL);
    sockets[1] = g_build_filename(dir, modular, NULL);
    return sockets;
}

static gboolean
use_uri(VimgHost *host, const char *text, GError **error)
{
    g_autoptr(VimgHostUri) uri = vimg_host_uri_parse(text, error);
    g_autofree char *dir = NULL;

    if (!uri)
        return FALSE;
    dir = g_build_filename(uri->session ? g_get_user_runtime_dir() : VIMG_RUNDIR, "libvirt", NULL);
    host->named = TRUE;
    host->name = g_strdup(uri->name);
    if (uri->socket)
        host->sockets = g_strsplit(uri->socket, "\n", 1);
    else
        host->sockets = sockets_in(dir, uri->driver);
    return TRUE;
}

VimgHost *
vimg_host_new(const char *uri, const char *run_dir, gboolean privileged, GError **error)
{
    g_autoptr(VimgHost) host = g_new0(VimgHost, 1);

    host->run_dir = g_strdup(run_dir);
    if (uri && !g_str_equal(uri, VIMG_HOST_URI_AUTO))
        return use_uri(host, uri, error) ? g_steal_pointer(&host) : NULL;
    host->name = g_strconcat(AUTO_DRIVER ":///", privileged ? "system" : "session", NULL);
    host->sockets = sockets_in(run_dir, AUTO_DRIVER);
    return g_steal_pointer(&host);
}

/* ---- connecting --------------------------------------------------------------------------- */

/* A name may be a link: what it leads to counts. */
static gboolean
is_ours(const VimgHost *host, const char *path)
{
    struct stat theirs, ours;

    if (stat(path, &theirs) < 0)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(own_sockets); i++) {
        g_autofree char *own = g_build_filename(host->run_dir, own_sockets[i], NULL);

        if (stat(own, &ours) == 0 && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
            return TRUE;
    }
    return FALSE;
}

/* The first of the sockets that is there and not ours; NULL: none is. */
static const char *
find_socket(const VimgHost *host)
{
    guint i = 0;

    while (host->sockets[i] &&
           (access(host->sockets[i], F_OK) < 0 || is_ours(host, host->sockets[i])))
        i++;
    return host->sockets[i];
}

static gboolean
must_be_there(const VimgHost *host)
{
    return host->named || __atomic_load_n(&host->opened, __ATOMIC_RELAXED);
}

gboolean
vimg_host_is_present(const VimgHost *host)
{
    return must_be_there(host) || find_socket(host);
}

char *
vimg_host_uri(const VimgHost *host)
{
    const char *socket = find_socket(host);
    const char *path = strchr(host->name, ':');
    g_autofree char *escaped = NULL;

    if (!socket)
        socket = host->sockets[0]; /* what fails there says where that is */
    escaped = g_uri_escape_string(socket, "/", FALSE);
    return g_strdup_printf("%.*s+unix%s?socket=%s", (int)(path - host->name), host->name, path,
                           escaped);
}

/* Two names of one socket are found above; this is for a file system mounted twice. */
static gboolean
is_self(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid();
}

/* Returns: a socket that does not block, or -1 with errno. */
static int
connect_to(const char *path, gboolean wait)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = CONNECT_SECONDS};
    vimg_autofd int fd = -1;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        (wait && fcntl(fd, F_SETFL, O_NONBLOCK) < 0))
        return -1;
    return vimg_steal_fd(&fd);
}

static gboolean
throw_connect(const char *path, const VimgPeer *peer, GError **error)
{
    switch (errno) {
    case EACCES:
    case EPERM:
        return vimg_throw(
            error, VIMG_ERROR_ACCESS_DENIED,
            _("the user with id %1$u may not connect to the host's libvirt daemon at '%2$s'; its group is whom that daemon serves"),
            (guint)peer->uid, path);
    case ECONNREFUSED:
        return vimg_throw(
            error, VIMG_ERROR_FAILED,
            _("nobody listens at '%s': start the host's libvirt daemon, or set host_uri to \"none\""),
            path);
    case EAGAIN:
        return vimg_throw(
            error, VIMG_ERROR_TIMEOUT,
            _("the host's libvirt daemon takes no connection at '%s'; if it hangs, restart it"),
            path);
    default:
        return vimg_throw_errno(error, _("cannot connect to the host's libvirt daemon at '%s'"),
                                path);
    }
}

/* Who wants to connect, and how. */
typedef struct {
    const VimgPeer *peer;
    gboolean read_only;
    gboolean wait;
} Wish;

/* *@fd stays -1 if there is no socket at @path.  One that is ours is none. */
static gboolean
try_socket(const VimgHost *host, const char *path, const Wish *wish, int *fd, GError **error)
{
    vimg_autofd int mine = -1;

    if (is_ours(host, path))
        return TRUE;
    mine = connect_to(path, wish->wait);
    if (mine < 0 && (errno == ENOENT || errno == ENOTDIR))
        return TRUE;
    if (mine < 0)
        return throw_connect(path, wish->peer, error);
    if (is_self(mine))
        return TRUE;
    *fd = vimg_steal_fd(&mine);
    return TRUE;
}

/*
 * One that nobody listens at may be left of a daemon that is gone for good, beside another one's:
 * *@refused remembers the first, and whatever else is wrong with a socket is the answer.
 */
static gboolean
pass_by_refused(const VimgHost *host, const char *path, const Wish *wish, int *fd, GError **refused,
                GError **error)
{
    GError *local = NULL;

    if (try_socket(host, path, wish, fd, &local))
        return TRUE;
    if (!g_error_matches(local, VIMG_ERROR, VIMG_ERROR_FAILED)) {
        g_propagate_error(error, local);
        return FALSE;
    }
    if (*refused)
        g_error_free(local);
    else
        *refused = local;
    return TRUE;
}

/* The socket for readers is open to more people; a daemon may have but one. */
static gboolean
find(const VimgHost *host, const Wish *wish, int *fd, GError **error)
{
    g_autoptr(GError) refused = NULL;

    for (guint i = 0; host->sockets[i]; i++) {
        g_autofree char *ro = g_strconcat(host->sockets[i], SUFFIX_RO, NULL);

        if (wish->read_only && !pass_by_refused(host, ro, wish, fd, &refused, error))
            return FALSE;
        if (*fd < 0 && !pass_by_refused(host, host->sockets[i], wish, fd, &refused, error))
            return FALSE;
        if (*fd >= 0)
            return TRUE;
    }
    if (refused) {
        g_propagate_error(error, g_steal_pointer(&refused));
        return FALSE;
    }
    return !must_be_there(host) ||
           vimg_throw(
               error, VIMG_ERROR_FAILED,
               _("there is no socket '%s': start the host's libvirt daemon, or set host_uri to \"none\""),
               host->sockets[0]);
}

gboolean
vimg_host_reach(VimgHost *host, const VimgPeer *peer, gboolean read_only, gboolean wait, int *fd,
                GError **error)
{
    const Wish wish = {.peer = peer, .read_only = read_only, .wait = wait};

    *fd = -1;
    return vimg_identity_take(peer, error) && find(host, &wish, fd, error);
}

void
vimg_host_note_opened(VimgHost *host)
{
    __atomic_store_n(&host->opened, 1, __ATOMIC_RELAXED);
}

const char *
vimg_host_name(const VimgHost *host)
{
    return host->name;
}

gint64
vimg_host_open_patience(void)
{
    return vimg_host_patience(OPEN_TIMEOUT);
}

static gboolean
open_on(const VimgHost *host, int fd, const VimgPeer *peer, GError **error)
{
    g_auto(VimgTalk) talk;

    vimg_talk_init(&talk, fd, -1, g_get_monotonic_time() + vimg_host_open_patience());
    return vimg_talk_open(&talk, host->name, FALSE, peer, error);
}

gboolean
vimg_host_open(VimgHost *host, const VimgPeer *peer, int *fd, GError **error)
{
    vimg_autofd int mine = -1;

    *fd = -1;
    if (!vimg_host_reach(host, peer, FALSE, TRUE, &mine, error))
        return FALSE;
    if (mine >= 0 && !open_on(host, mine, peer, error))
        return FALSE;
    if (mine >= 0)
        vimg_host_note_opened(host);
    *fd = vimg_steal_fd(&mine);
    return TRUE;
}
