/*
 * network.h: the addresses of a server, those of a given network alone, and a way to one of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_SSH_NETWORK_H
#define VIMG_SSH_NETWORK_H

#include <sys/socket.h>

#include "ssh.h"

#define VIMG_ADDRESSES_MAX 16 /* of one host; more are not tried */

typedef struct {
    int family;
    guint8 bytes[16];
    guint bits;
    const char *text; /* borrowed */
} VimgNetwork;

typedef struct {
    struct sockaddr_storage address;
    socklen_t length;
    char *what; /* "10.0.0.5 port 22" */
} VimgEndpoint;

/* @cidr: "10.1.0.0/16".  VIMG_ERROR_CONFIG_UNSUPPORTED. */
gboolean vimg_network_parse(const char *cidr, VimgNetwork *out, GError **error);
gboolean vimg_network_contains(const VimgNetwork *network, const struct sockaddr *address);
/* An address of this host in @network, port 0.  FALSE: there is none. */
gboolean vimg_network_local(const VimgNetwork *network, VimgEndpoint *out);

/*
 * Returns: (transfer full) of VimgEndpoint, at least one, in the order of the resolver; NULL with
 * VIMG_ERROR_DISCONNECTED, or VIMG_ERROR_CONFIG_UNSUPPORTED if none is in @network, which may be
 * NULL, or VIMG_ERROR_ABORTED by @given_up, which may be NULL too.  @deadline: of the monotonic
 * clock.
 */
GPtrArray *vimg_network_resolve(const VimgPluginAddress *host, const VimgNetwork *network,
                                gint64 deadline, const VimgSshGivenUp *given_up, GError **error);
/* From @local, which may be NULL.  Returns: a socket that does not block, or -errno. */
int vimg_network_connect(const VimgEndpoint *to, const VimgEndpoint *local, gint64 deadline,
                         const VimgSshGivenUp *given_up);

#endif
