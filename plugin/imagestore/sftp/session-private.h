/*
 * session-private.h: what tests need to see of a session
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_SESSION_PRIVATE_H
#define VIMG_IMAGESTORE_SFTP_SESSION_PRIVATE_H

#include "session.h"

/*
 * A server that does nothing for @patience milliseconds is lost, for @slow of them while it is at
 * what waits for a disk; vimg_sftp_session_new(): 30 s and 120 s.
 */
VimgSftpSession *vimg_sftp_session_new_patient(VimgSftpStream *stream, guint patience, guint slow,
                                               GError **error);

#endif
