/*
 * identity.h: doing something as somebody else
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_IDENTITY_H
#define VIMG_HOST_IDENTITY_H

#include "util/peer.h"

/*
 * The calling thread, and it alone, acts as @peer from now on, for good: files are opened and
 * sockets connected with @peer's rights, and SO_PEERCRED at the other end is @peer.  A daemon that
 * is not root stays what it is.
 */
gboolean vimg_identity_take(const VimgPeer *peer, GError **error);
/* That is no change, so that the thread may go on afterwards. */
gboolean vimg_identity_is_own(const VimgPeer *peer);

#endif
