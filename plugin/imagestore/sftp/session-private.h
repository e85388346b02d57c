/*
 * session-private.h: what tests need to see of a session
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_SESSION_PRIVATE_H
#define VIMG_IMAGESTORE_SFTP_SESSION_PRIVATE_H

#include "session.h"

/* A server that does nothing for @patience milliseconds is lost; vimg_sftp_session_new(): 30 s. */
VimgSftpSession *vimg_sftp_session_new_patient(VimgSftpStream *stream, guint patience,
                                               GError **error);

#endif
