/*
 * peer.h: who is at the other end of a local socket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_PEER_H
#define VIMG_UTIL_PEER_H

#include <sys/types.h>

#include "util/error.h"

typedef struct {
    uid_t uid; /* effective, when it connected; so are the others */
    gid_t gid;
    gid_t *groups; /* supplementary ones */
    gsize n_groups;
    pid_t pid;     /* 0: of another namespace */
    guint64 began; /* when that process did, in ticks after boot; 0: cannot be known */
    char *label;   /* of the security module; NULL: it has none */
} VimgPeer;

/* @fd: a connected local socket. */
gboolean vimg_peer_read(int fd, VimgPeer *peer, GError **error);
/* Returns: (transfer full) @out */
void vimg_peer_copy(const VimgPeer *peer, VimgPeer *out);
void vimg_peer_clear(VimgPeer *peer);

#endif
