/*
 * nbd-server.h: the processes that serve images over NBD, one an image
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_NBD_SERVER_H
#define VIMG_DAEMON_NBD_SERVER_H

#include "conf/daemon-config.h"
#include "daemon/paths.h"
#include "pool/model.h"

typedef struct _VimgNbdServers VimgNbdServers;

/* Tells @model of itself.  Of the main loop.  All of it is borrowed. */
VimgNbdServers *vimg_nbd_servers_new(const VimgPaths *paths, const VimgDaemonConfig *config,
                                     VimgModel *model, GError **error);
/* Once nobody calls the model any more.  Accepts NULL. */
void vimg_nbd_servers_free(VimgNbdServers *servers);

#endif
