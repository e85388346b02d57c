/*
 * handshake.h: what a client says to a libvirt daemon before its first call
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_HANDSHAKE_H
#define VIMG_HOST_HANDSHAKE_H

#include "util/peer.h"

/*
 * Authenticates and opens @name on @fd, which does not block, and reads the answers.  @deadline as
 * g_get_monotonic_time(); @cancel: ends it when readable.  @peer: the client, as whom it connected.
 */
gboolean vimg_handshake(int fd, const char *name, gboolean read_only, int cancel, gint64 deadline,
                        const VimgPeer *peer, GError **error);

#endif
