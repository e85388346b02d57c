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
    return TRUE;
}

void
vimg_peer_clear(VimgPeer *peer)
{
    g_clear_pointer(&peer->groups, g_free);
    peer->n_groups = 0;
}
