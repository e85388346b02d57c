/*
 * introduce.h: what the host's daemon is told of the client that it is asked for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_INTRODUCE_H
#define VIMG_HOST_INTRODUCE_H

#include <libvirt/libvirt.h>

#include "host/talk.h"
#include "util/peer.h"

/*
 * Both: the connection must be open, and made as @peer already, so what fails here takes nothing
 * away: the daemon then knows of the client what the kernel says.  So it does of a process whose
 * start is not known: it may be another one by now, and an identity without one would take the
 * socket's away, of which polkit needs it.
 */

/* Over a connection of ours.  Returns: FALSE with @error if that broke. */
gboolean vimg_introduce(VimgTalk *talk, const VimgPeer *peer, GError **error);
/* Over one of libvirt's. */
void vimg_introduce_by(virConnectPtr connect, const VimgPeer *peer);

#endif
