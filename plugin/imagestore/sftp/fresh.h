/*
 * fresh.h: the storage behind one connection that is nobody's yet
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_FRESH_H
#define VIMG_IMAGESTORE_SFTP_FRESH_H

#include "../transport.h"
#include "session.h"

/*
 * For one thread: each operation waits for its end, and is done with ENOTCONN once the connection
 * is lost.  Borrows @session and @root.  Returns: (transfer full)
 */
VimgTransport *vimg_sftp_fresh_new(VimgSftpSession *session, const char *root);

#endif
