/*
 * sshd-helper.h: servers on 127.0.0.1 for tests of SSH: a private OpenSSH one, and whatever else
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_SSH_SSHD_HELPER_H
#define VIMG_TESTS_SSH_SSHD_HELPER_H

#include "ssh/ssh.h"

#define SSHD_PASSWORD "correct horse"

/* Serves each connection in a thread of its own by serve(), which closes it. */
typedef struct _Listener Listener;

Listener *listener_new(void (*serve)(int fd, gpointer data), gpointer data);
guint16 listener_port(Listener *listener);
/* Waits for all who serve. */
void listener_free(Listener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Listener, listener_free)

/* Each connection is an sshd of its own, with accounts that libnss-wrapper makes it believe in. */
typedef struct {
    char *dir;
    char *user;
    gboolean pam; /* it asks libpam-wrapper */
    Listener *listener;
    VimgPluginAddress address; /* "localhost" */
    VimgBuffer *password;
    char *known_hosts;
} Sshd;

/* @host_keys: types with commas between; @options: further lines of its configuration. */
Sshd *sshd_new(const char *host_keys, const char *options);
void sshd_free(Sshd *sshd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sshd, sshd_free)

/* Accepts any host key, and logs in by password. */
VimgSshTarget sshd_target(Sshd *sshd);
/* Serves @fd, which it closes, until the client goes. */
void sshd_serve(int fd, gpointer sshd);
/* Returns: (transfer full) "SHA256:…" */
char *sshd_fingerprint(Sshd *sshd, const char *type);
/* Returns: (transfer full) the line of known hosts, without the host. */
char *sshd_host_key(Sshd *sshd, const char *type);
/* Makes a key that may log in.  Returns: (transfer full) its path. */
char *sshd_user_key(Sshd *sshd, const char *type, const char *passphrase);
/* New host keys of the same types. */
void sshd_change_keys(Sshd *sshd);

#endif
