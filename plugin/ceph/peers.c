/*
 * peers.c: the way to each monitor and OSD
 *
 * librados goes to all of them by itself and takes the host's routes, so those are looked at.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <unistd.h>

#include "../ssh/network.h"
#include "peers.h"
#include "../throw.h"

#define ANY_PORT 6789 /* a datagram that is never sent needs one */

/* @text: "10.0.0.5:6789" or "[fe80::1]:6789". */
static gboolean
parse_address(const char *text, struct sockaddr_storage *out, socklen_t *length)
{
    const char *end = *text == '[' ? strchr(text, ']') : strrchr(text, ':');
    const char *begin = *text == '[' ? text + 1 : text;
    g_autofree char *host = end ? g_strndup(begin, (gsize)(end - begin)) : g_strdup(text);
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(ANY_PORT);
        *length = sizeof(*v4);
        return TRUE;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(ANY_PORT);
    *length = sizeof(*v6);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

/* The address of ours that the way to @to begins at: connecting a datagram socket sends nothing. */
static gboolean
find_local(const struct sockaddr_storage *to, socklen_t length, struct sockaddr_storage *out)
{
    int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(*out);
    gboolean found;

    if (fd < 0)
        return FALSE;
    found = connect(fd, (const struct sockaddr *)to, length) == 0 &&
            getsockname(fd, (struct sockaddr *)out, &size) == 0;
    close(fd);
    return found;
}

static gboolean
check_route(const VimgCephPeer *peer, const VimgNetwork *network, gboolean inside, GError **error)
{
    struct sockaddr_storage local;
    struct sockaddr_storage to;
    char text[NI_MAXHOST] = "?";
    socklen_t length;

    if (!parse_address(peer->address, &to, &length))
        return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                           _("%1$s has the address '%2$s', to which there is no way"), peer->name,
                           peer->address);
    if (inside && !vimg_network_contains(network, (const struct sockaddr *)&to))
        return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                           _("%1$s at %2$s is not in data network '%3$s'"), peer->name,
                           peer->address, network->text);
    if (!find_local(&to, length, &local))
        return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                           _("there is no route to %1$s at %2$s: %3$s"), peer->name, peer->address,
                           g_strerror(errno));
    if (vimg_network_contains(network, (const struct sockaddr *)&local))
        return TRUE;
    getnameinfo((const struct sockaddr *)&local, sizeof(local), text, sizeof(text), NULL, 0,
                NI_NUMERICHOST);
    return throw_error(
        error, VIMG_ERROR_CONFIG_UNSUPPORTED,
        _("the route to %1$s at %2$s leaves from %3$s, which is not in data network '%4$s'"),
        peer->name, peer->address, text, network->text);
}

gboolean
vimg_peers_check(const GPtrArray *peers, const char *network, gboolean inside, GError **error)
{
    VimgNetwork parsed;
    guint i;

    if (!vimg_network_parse(network, &parsed, error))
        return FALSE;
    for (i = 0; i < peers->len; i++) {
        if (!check_route(peers->pdata[i], &parsed, inside, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_peers_check_routes(rados_t rados, const char *network, GError **error)
{
    g_autoptr(GPtrArray) monitors = vimg_ceph_monitors(rados, error);
    g_autoptr(GPtrArray) osds = NULL;

    if (!monitors || !vimg_peers_check(monitors, network, TRUE, error))
        return FALSE;
    osds = vimg_ceph_osds(rados, error);
    return osds && vimg_peers_check(osds, network, FALSE, error);
}
