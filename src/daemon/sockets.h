/*
 * sockets.h: the sockets a daemon answers on, its own or systemd's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_SOCKETS_H
#define VIMG_DAEMON_SOCKETS_H

#include "daemon/paths.h"
#include "rpc/server.h"

/*
 * Takes over what systemd passed; if it passed nothing, binds both sockets in the run directory.
 * Root's may be used by the members of the configured group, a user's by that user.
 */
gboolean vimg_sockets_listen(VimgServer *server, const VimgPaths *paths,
                             const VimgDaemonConfig *config, GError **error);

/* Tells systemd, if it started us; @state as in sd_notify(3). */
void vimg_sockets_notify(const char *state);

#endif
