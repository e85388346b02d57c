/*
 * ssh.h: a connection to an SSH server, as far as a channel
 *
 * For backends whose storage is reached over SSH.  Everything blocks, ends by itself in half a
 * minute, and may be called from any thread; one connection belongs to one thread at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_SSH_SSH_H
#define VIMG_SSH_SSH_H

#include <libssh2.h>

#include "vimg-plugin.h"

#define VIMG_SSH_PORT 22
#define VIMG_SSH_USER "root"
#define VIMG_SSH_SECONDS 20 /* to be let in, whatever the number of hosts */

/* The steps of reaching a server, in their order. */
typedef enum {
    VIMG_SSH_RESOLVE,
    VIMG_SSH_CONNECT,
    VIMG_SSH_KEY_EXCHANGE,
    VIMG_SSH_HOST_KEY,
    VIMG_SSH_LOGIN,
    VIMG_SSH_SUBSYSTEM,
    VIMG_SSH_N_STEPS
} VimgSshStep;

typedef enum {
    VIMG_HOST_KEY_KNOWN,      /* only a key that is known */
    VIMG_HOST_KEY_ACCEPT_NEW, /* the first key of a host is remembered; a changed one is refused */
} VimgHostKeyPolicy;

/* Which of the machines that go by a target's hosts a connection reached. */
typedef struct _VimgSshPeer VimgSshPeer;

/* How one asks whether nobody waits for a connection any more; @ask NULL: somebody does. */
typedef struct {
    gboolean (*ask)(gpointer data); /* about twice a second, from the thread that connects */
    gpointer data;
} VimgSshGivenUp;

/* Where to and as whom; all borrowed. */
typedef struct {
    const VimgPluginAddress *hosts; /* tried in their order; port 0: 22 */
    gsize n_hosts;
    const char *network;  /* CIDR: only addresses in it, from an address of ours in it; NULL: any */
    const char *user;     /* NULL: root */
    const char *identity; /* path of a private key; NULL: the password alone */
    const VimgBuffer *password; /* of the user, or of the key if there is one; NULL: none */
    const char *host_key;       /* "SHA256:…", the only one that is good; NULL: by known hosts */
    VimgHostKeyPolicy policy;
    const char *known_hosts; /* path of the daemon's own */
    const char *accept_line; /* the command that accepts a key, up to the fingerprint */
    guint seconds;           /* instead of VIMG_SSH_SECONDS, if not 0 */
    const VimgSshPeer *only; /* no other machine; NULL: any */
    VimgSshGivenUp given_up; /* ends it, and what follows up to a subsystem: VIMG_ERROR_ABORTED */
} VimgSshTarget;

/* Called before each step of each address.  @what: the host or address, as "10.0.0.5 port 22". */
typedef void (*VimgSshSink)(VimgSshStep step, const char *what, gpointer data);

typedef struct _VimgSsh VimgSsh;

/*
 * Goes from VIMG_SSH_RESOLVE to VIMG_SSH_LOGIN with one host after the other until one is reached.
 * @sink may be NULL.  Returns: (transfer full); NULL with VIMG_ERROR_DISCONNECTED (the step, and
 * why for each host), VIMG_ERROR_AUTH (login and host keys) or VIMG_ERROR_CONFIG_UNSUPPORTED (no
 * address in the network, naming the side).
 */
VimgSsh *vimg_ssh_connect(const VimgSshTarget *target, VimgSshSink sink, gpointer data,
                          GError **error);
/* Accepts NULL. */
void vimg_ssh_free(VimgSsh *ssh);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSsh, vimg_ssh_free)

/* Returns: (transfer full) whom @ssh reached, for a target that is to reach no other. */
VimgSshPeer *vimg_ssh_peer_new(VimgSsh *ssh);
/* Accepts NULL. */
void vimg_ssh_peer_free(VimgSshPeer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSshPeer, vimg_ssh_peer_free)

/* The socket, not blocking, and the session of a connection; both stay its own. */
int vimg_ssh_fd(const VimgSsh *ssh);
LIBSSH2_SESSION *vimg_ssh_session(const VimgSsh *ssh);
/*
 * Bytes that came over the socket.  Any call of libssh2 may take in what another one waits for, and
 * poll() does not show that any more: what said EAGAIN before some of them is worth repeating.
 */
guint64 vimg_ssh_received(const VimgSsh *ssh);
/* Opens a channel with subsystem @name, as "sftp"; @ssh owns it.  The session blocks no more. */
LIBSSH2_CHANNEL *vimg_ssh_subsystem(VimgSsh *ssh, const char *name, GError **error);

/*
 * Runs @argv there, each word quoted for the user's shell, on a connection without a subsystem.
 * Returns: (transfer full) what it wrote, at most @max bytes, to be wiped if it is a secret; NULL
 * with VIMG_ERROR_DISCONNECTED, or VIMG_ERROR_FAILED and what the command complains of.
 */
VimgBuffer *vimg_ssh_run(VimgSsh *ssh, const char *const *argv, gsize max, guint seconds,
                         GError **error);

/* "ssh-ed25519 SHA256:…" of what the server at @target offers, without logging in. */
char *vimg_ssh_offered_key(const VimgSshTarget *target, GError **error);
/*
 * Makes the key with @fingerprint ("SHA256:…") the one of the host of @target in the daemon's
 * known hosts, durably, in the place of any other one, if the server offers just that now.
 */
gboolean vimg_ssh_accept(const VimgSshTarget *target, const char *fingerprint, GError **error);

#endif
