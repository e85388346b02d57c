/*
 * known-hosts.h: files that say which server has which key
 *
 * Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_SSH_KNOWN_HOSTS_H
#define VIMG_SSH_KNOWN_HOSTS_H

#include "ssh.h"

typedef struct {
    const char *name; /* as in SSH */
    int offered;      /* LIBSSH2_HOSTKEY_TYPE_ */
    int known;        /* LIBSSH2_KNOWNHOST_KEY_ */
} VimgKeyType;

typedef struct {
    const VimgKeyType *type;
    const char *key; /* base64, borrowed from the known hosts */
} VimgKnownKey;

typedef enum {
    VIMG_KNOWN_NOTHING,
    VIMG_KNOWN_GOOD,
    VIMG_KNOWN_OTHER, /* other keys of this host are known, not this one */
    VIMG_KNOWN_REVOKED,
} VimgKnown;

typedef struct _VimgKnownHosts VimgKnownHosts;

#define VIMG_N_KEY_TYPES 5

/* The best first. */
extern const VimgKeyType vimg_key_types[VIMG_N_KEY_TYPES];

/* @number: LIBSSH2_HOSTKEY_TYPE_; never NULL. */
const VimgKeyType *vimg_key_type(int number);

/*
 * What is known of the host of @ssh: from the daemon's own file and from the system's.  NULL: one
 * is there and cannot be read, or memory ran out, as then what is known could pass for what is not.
 */
VimgKnownHosts *vimg_known_hosts_load(VimgSsh *ssh, const VimgSshTarget *target, GError **error);
void vimg_known_hosts_free(VimgKnownHosts *hosts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgKnownHosts, vimg_known_hosts_free)

/* Returns: (transfer full) types of keys for libssh2, those of which one is known first. */
char *vimg_known_hosts_order(VimgKnownHosts *hosts);
/* @known is set for VIMG_KNOWN_OTHER. */
VimgKnown vimg_known_hosts_look(VimgKnownHosts *hosts, const VimgKeyType *type, const char *base64,
                                VimgKnownKey *known);
/* Durably: the key becomes the only one of the host of @ssh in the daemon's own file. */
gboolean vimg_known_hosts_replace(VimgSsh *ssh, const VimgSshTarget *target,
                                  const VimgKeyType *type, const char *base64, GError **error);

#endif
