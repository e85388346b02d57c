/*
 * remote.h: what the definition of a pool on another machine says
 *
 * Nobody is asked.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_REMOTE_H
#define VIMG_IMAGESTORE_REMOTE_H

#include "vimg-plugin.h"

#define VIMG_REMOTE_AUTH "ssh"

/* Whether the store of @pool is on another machine. */
gboolean vimg_remote_is(const VimgPluginPool *pool);
/* Whether elements for another machine have one, and are enough to log in there. */
gboolean vimg_remote_check(const VimgPluginPool *pool, GError **error);
/* Returns: (transfer full) as "ssh:host:22/dir"; other names of one host cannot be seen here. */
char *vimg_remote_identity(const VimgPluginPool *pool);
/* Returns: (transfer full) the place of any pool for people: its directory, or "host:directory". */
char *vimg_remote_where(const VimgPluginPool *pool);
guint16 vimg_remote_port(const VimgPluginAddress *host);
gboolean vimg_remote_is_fingerprint(const char *text);

#endif
