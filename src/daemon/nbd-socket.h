/*
 * nbd-socket.h: sockets over which images are served, each private to who asked for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_NBD_SOCKET_H
#define VIMG_DAEMON_NBD_SOCKET_H

#include <sys/types.h>
#include <glib.h>

/* Makes @dir, where they lie, or takes away what an earlier daemon has left in it. */
gboolean vimg_nbd_sockets_prepare(const char *dir, GError **error);
/*
 * One that listens, in a directory @id below @dir that is only @uid's.  @path: (transfer full).
 * Returns: -1 with @error
 */
int vimg_nbd_socket_listen(const char *dir, const char *id, uid_t uid, char **path, GError **error);
/* Takes it away. */
void vimg_nbd_socket_remove(const char *dir, const char *id);

#endif
