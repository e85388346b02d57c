/*
 * export-address.c: at which address exports are served
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include "daemon/export-address.h"
#include "util/log.h"

/* Of an address of an interface.  Returns: (transfer full) NULL: it is of neither family */
static GInetAddress *
address_of(const struct ifaddrs *interface)
{
    const struct sockaddr *native = interface->ifa_addr;
    g_autoptr(GSocketAddress) any = NULL;

    if (!native || (native->sa_family != AF_INET && native->sa_family != AF_INET6))
        return NULL;
    any = g_socket_address_new_from_native((gpointer)native, native->sa_family == AF_INET
                                                                 ? sizeof(struct sockaddr_in)
                                                                 : sizeof(struct sockaddr_in6));
    return any ? g_object_ref(g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(any))) : NULL;
}

/* Returns: (transfer full) NULL: this host has none there */
static GInetAddress *
find_in(const struct ifaddrs *interfaces, const char *network)
{
    g_autoptr(GInetAddressMask) mask = g_inet_address_mask_new_from_string(network, NULL);

    for (; mask && interfaces; interfaces = interfaces->ifa_next) {
        g_autoptr(GInetAddress) address = address_of(interfaces);

        if (address && g_inet_address_mask_matches(mask, address))
            return g_steal_pointer(&address);
    }
    return NULL;
}

static GInetAddress *
choose(char *const *networks)
{
    struct ifaddrs *interfaces = NULL;
    GInetAddress *address = NULL;
    guint i;

    if (getifaddrs(&interfaces) < 0)
        interfaces = NULL;
    for (i = 0; networks[i] && !address; i++)
        address = find_in(interfaces, networks[i]);
    freeifaddrs(interfaces);
    if (address)
        vimg_info("exports are served in the data network %s", networks[i - 1]);
    else
        vimg_warning("no pool has a data network in which this host has an address: exports are "
                     "served to this host alone");
    return address ? address : g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
}

GInetSocketAddress *
vimg_export_address(const char *listen, char *const *networks)
{
    g_autofree char *text = g_strconcat(*listen == ':' ? "0.0.0.0" : "", listen, NULL);
    g_autoptr(GSocketConnectable) parsed = g_network_address_parse(text, 0, NULL);
    GNetworkAddress *name = (GNetworkAddress *)parsed;
    g_autoptr(GInetAddress) address =
        *listen == ':' ? choose(networks)
                       : g_inet_address_new_from_string(g_network_address_get_hostname(name));

    return (GInetSocketAddress *)g_inet_socket_address_new(address,
                                                           g_network_address_get_port(name));
}
