/*
 * login.h: being let in by an SSH server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_SSH_LOGIN_H
#define VIMG_SSH_LOGIN_H

#include "ssh.h"

/* VIMG_ERROR_AUTH: refused, or there is nothing to log in with; VIMG_ERROR_DISCONNECTED: lost. */
gboolean vimg_ssh_login(VimgSsh *ssh, const VimgSshTarget *target, GError **error);

#endif
