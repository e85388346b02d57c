/*
 * cut.c: ending a connection of libvirt's from outside, when its daemon does not answer
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/cut.h"
#include "util/log.h"
#include "util/thread.h"

#define SOCKETS "/proc/self/fd"
#define GLANCE ((gint64)250 * 1000) /* until it is asked again whether the job was cancelled */
/* for which a daemon that lives may take back what was made; as for what it does not do in time,
 * it is left to the reaper */
#define GRACE ((gint64)3 * G_USEC_PER_SEC)

/* ---- which socket it is ----------------------------------------------------------------- */

/* Sockets that others have connected to us have a peer without a name; and libvirt waits as long as
 * it takes to write, while what we connect for clients does not. */
static gboolean
may_be_libvirts(int fd)
{
    struct sockaddr_un peer;
    socklen_t size = sizeof(peer);
    struct timeval patience = {0};
    socklen_t patience_size = sizeof(patience);

    return getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, &patience_size) == 0 &&
           patience.tv_sec == 0 && getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
           peer.sun_family == AF_UNIX && size > offsetof(struct sockaddr_un, sun_path);
}

/* Numbers of inodes, each with a descriptor that had it when this looked. */
GHashTable *
vimg_cut_sockets(void)
{
    GHashTable *found = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    g_autoptr(GDir) dir = g_dir_open(SOCKETS, 0, NULL);
    const char *base;

    while (dir && (base = g_dir_read_name(dir))) {
        guint64 fd;
        struct stat info;

        if (g_ascii_string_to_unsigned(base, 10, 0, G_MAXINT, &fd, NULL) &&
            fstat((int)fd, &info) == 0 && S_ISSOCK(info.st_mode) && may_be_libvirts((int)fd)) {
            gint64 inode = (gint64)info.st_ino;

            g_hash_table_insert(found, g_memdup2(&inode, sizeof(inode)), GINT_TO_POINTER((int)fd));
        }
    }
    return found;
}

/* The number may be another's by now, the inode is not. */
static int
duplicate(int fd, gint64 inode)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct stat info;

    if (copy < 0 || (fstat(copy, &info) == 0 && (gint64)info.st_ino == inode))
        return copy;
    close(copy);
    return -1;
}

int
vimg_cut_find(GHashTable *before)
{
    g_autoptr(GHashTable) now = vimg_cut_sockets();
    gint64 found = 0;
    gpointer inode, fd;
    GHashTableIter iter;
    guint n = 0;
    int line = -1;

    g_hash_table_iter_init(&iter, now);
    while (g_hash_table_iter_next(&iter, &inode, &fd)) {
        if (g_hash_table_contains(before, inode))
            continue;
        n++;
        found = *(gint64 *)inode;
        line = GPOINTER_TO_INT(fd);
    }
    return n == 1 ? duplicate(line, found) : -1;
}

/* ---- when it is cut ----------------------------------------------------------------------- */

struct _VimgCutter {
    int line;
    VimgTransfer *transfer;
    VimgThread thread;
    VimgMutex lock;
    VimgCond changed;
    gboolean over; /* under lock */
};

/* Returns: whether that comes before @deadline */
static gboolean
wait_for_end(VimgCutter *cutter, gint64 deadline)
{
    gboolean in_time = TRUE;

    VIMG_LOCK_GUARD(&cutter->lock);
    while (!cutter->over && in_time)
        in_time = vimg_cond_wait_until(&cutter->changed, &cutter->lock, deadline);
    return cutter->over;
}

static void
run(gpointer data)
{
    VimgCutter *cutter = data;

    while (vimg_transfer_check(cutter->transfer, NULL)) {
        if (wait_for_end(cutter, g_get_monotonic_time() + GLANCE))
            return;
    }
    if (wait_for_end(cutter, g_get_monotonic_time() + GRACE))
        return;
    vimg_warning("a clone was cancelled and the host's libvirt daemon does not answer, so the "
                 "connection to it is ended");
    shutdown(cutter->line, SHUT_RDWR);
}

VimgCutter *
vimg_cutter_new(int line, VimgTransfer *transfer, GError **error)
{
    VimgCutter *cutter = g_new0(VimgCutter, 1);

    cutter->line = line;
    cutter->transfer = transfer;
    vimg_mutex_init(&cutter->lock);
    vimg_cond_init(&cutter->changed);
    if (line < 0 || vimg_thread_start(&cutter->thread, "vimg-cut", run, cutter, error))
        return cutter;
    cutter->line = -1;
    vimg_cutter_free(cutter);
    return NULL;
}

void
vimg_cutter_free(VimgCutter *cutter)
{
    if (!cutter)
        return;
    vimg_mutex_lock(&cutter->lock);
    cutter->over = TRUE;
    vimg_cond_signal(&cutter->changed);
    vimg_mutex_unlock(&cutter->lock);
    if (cutter->line >= 0)
        vimg_thread_join(cutter->thread);
    vimg_mutex_clear(&cutter->lock);
    vimg_cond_clear(&cutter->changed);
    g_free(cutter);
}
