/*
 * introduce.h: what the host's daemon is told of the client that it is asked for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_INTRODUCE_H
#define VIMG_HOST_INTRODUCE_H

#include <libvirt/libvirt.h>

#include "util/peer.h"

/*
 * Over a connection of libvirt's, which must be open, and made as @peer already, so what fails here
 * takes nothing away: the daemon then knows of the client what the kernel says.
 */
void vimg_introduce_by(virConnectPtr connect, const VimgPeer *peer);

#endif
