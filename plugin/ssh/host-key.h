/*
 * host-key.h: whether a server is the one that is known
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_SSH_HOST_KEY_H
#define VIMG_SSH_HOST_KEY_H

#include "ssh.h"

/* Returns: the types of keys, the best first; NULL behind the last. */
const char *vimg_host_key_type(gsize i);
/* Before the key exchange: of several keys of the server, one that is known is asked for. */
void vimg_host_key_prefer(VimgSsh *ssh, const VimgSshTarget *target);
/* Returns: (transfer full) "SHA256:…" of the key that the server showed, as OpenSSH prints it. */
char *vimg_host_key_fingerprint(VimgSsh *ssh);
/* Returns: (transfer full) "ssh-ed25519 SHA256:…" */
char *vimg_host_key_describe(VimgSsh *ssh);
/* VIMG_ERROR_AUTH: it is not known, or not the one that is. */
gboolean vimg_host_key_check(VimgSsh *ssh, const VimgSshTarget *target, GError **error);
/* The key becomes the one of its host in the daemon's known hosts, in the place of any other. */
gboolean vimg_host_key_remember(VimgSsh *ssh, const VimgSshTarget *target, GError **error);

#endif
