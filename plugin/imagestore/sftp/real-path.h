/*
 * real-path.h: where a path leads on a server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_REAL_PATH_H
#define VIMG_IMAGESTORE_SFTP_REAL_PATH_H

#include "session.h"

/*
 * Returns: (transfer full) @dir as vimg_location_resolve_by() has it, by the server's word; NULL
 * with VIMG_ERROR_DISCONNECTED.  Waits at most half a minute for each answer.
 */
char *vimg_real_path(VimgSftpSession *session, const char *dir, GError **error);

#endif
