/*
 * ssh-stream.h: SFTP over a channel of SSH
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_SSH_STREAM_H
#define VIMG_IMAGESTORE_SFTP_SSH_STREAM_H

#include "../../ssh/ssh.h"
#include "stream.h"

/*
 * Takes @ssh over, also on failure.  Returns: (transfer full); NULL with VIMG_ERROR_DISCONNECTED:
 * the server has no such subsystem, or was lost.
 */
VimgSftpStream *vimg_sftp_stream_new_ssh(VimgSsh *ssh, GError **error);

#endif
