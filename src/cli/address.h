/*
 * address.h: URIs of daemons, as virsh takes them, and the ways to them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_ADDRESS_H
#define VIMG_CLI_ADDRESS_H

#include <glib.h>

typedef struct {
    char *name;   /* what the daemon is told that was asked for */
    char *socket; /* the one that the URI named; NULL: the usual one */
    gboolean session;
    char *host; /* to be reached by ssh; NULL: this one.  The rest is for it; NULL: not given */
    char *user;
    char *port;
    char *key_file;
    char *known_hosts;
    char *command;
    char *netcat;
    gboolean no_verify, no_tty;
} VimgAddress;

/*
 * @uri: NULL: $VIRTIMAGE_DEFAULT_URI, else image:///system for root and image:///session for
 * others.  One without a colon is looked up among the uri_aliases of libvirt.conf.  What ssh could
 * take for something else than it is, is refused.
 */
VimgAddress *vimg_address_new(const char *uri, GError **error);
void vimg_address_free(VimgAddress *address);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgAddress, vimg_address_free)

/* Returns: (transfer full) how ssh is run. */
char **vimg_address_ssh(const VimgAddress *address, gboolean read_only);

/* Returns: a descriptor, -1 with an error; *@child: the ssh that carries it, or 0. */
int vimg_address_connect(const VimgAddress *address, gboolean read_only, GPid *child,
                         GError **error);

/* Returns: (transfer full) what @alias stands for in the text of a libvirt.conf, or NULL. */
char *vimg_address_alias(const char *config, const char *alias);

#endif
