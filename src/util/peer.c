/*
 * peer.c: who is at the other end of a local socket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>

#include "util/i18n.h"
#include "util/peer.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define GROUPS_FIRST 32
#define LABEL_MAX 4096
#define START_FIELD 20 /* of /proc/PID/stat, counted from the parenthesis */

/* The kernel says how much room it needs. */
static gboolean
read_groups(int fd, VimgPeer *peer)
{
    socklen_t size = GROUPS_FIRST * sizeof(gid_t);

    for (;;) {
        socklen_t room = size;

        g_free(peer->groups);
        peer->groups = g_malloc(room);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) == 0) {
            peer->n_groups = size / sizeof(gid_t);
            return TRUE;
        }
        if (errno != ERANGE || size <= room)
            return FALSE;
    }
}

/*
 * What follows the name, which is in parentheses and may hold any of them: state, 18 numbers, and
 * the start.  That of another process, if this one has ended: it can do no harm, as user and groups
 * are the socket's.
 */
static guint64
read_start(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;
    guint64 start;
    const char *end;

    if (pid <= 0 || !g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    end = strrchr(text, ')');
    fields = end ? g_strsplit(end, " ", START_FIELD + 2) : NULL;
    if (!fields || g_strv_length(fields) <= START_FIELD ||
        !g_ascii_string_to_unsigned(fields[START_FIELD], 10, 1, G_MAXUINT64, &start, NULL))
        return 0;
    return start;
}

static char *
read_label(int fd)
{
    char text[LABEL_MAX];
    socklen_t size = sizeof(text);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, text, &size) < 0 || size == 0)
        return NULL;
    return g_strndup(text, size);
}

gboolean
vimg_peer_read(int fd, VimgPeer *peer, GError **error)
{
    struct ucred ucred;
    socklen_t size = sizeof(ucred);

    *peer = (VimgPeer){0};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0 || !read_groups(fd, peer)) {
        vimg_throw_errno(error, "%s", _("cannot learn who a client is"));
        vimg_peer_clear(peer);
        return FALSE;
    }
    peer->uid = ucred.uid;
    peer->gid = ucred.gid;
    peer->pid = ucred.pid;
    peer->began = read_start(ucred.pid);
    peer->label = read_label(fd);
    return TRUE;
}

void
vimg_peer_copy(const VimgPeer *peer, VimgPeer *out)
{
    *out = *peer;
    out->groups = g_memdup2(peer->groups, peer->n_groups * sizeof(*peer->groups));
    out->label = g_strdup(peer->label);
}

void
vimg_peer_clear(VimgPeer *peer)
{
    g_clear_pointer(&peer->label, g_free);
    g_clear_pointer(&peer->groups, g_free);
    peer->n_groups = 0;
}
