/*
 * address.c: where a connection may go
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <netinet/in.h>
#include <gio/gio.h>

#include "fetch/fetch-private.h"
#include "util/i18n.h"

/* Nobody means one of these by a URL of an image, unless he says so. */
static const char *const special[] = {
    "0.0.0.0/8",              /* this host */
    "127.0.0.0/8",            /* loopback */
    "169.254.0.0/16",         /* link-local; what asks a cloud for a machine's secrets */
    "100.100.100.200/32",     /* the same */
    "168.63.129.16/32",       /* the same */
    "192.0.0.0/24",           /* the same, and protocols of their own */
    "224.0.0.0/4",            /* multicast */
    "240.0.0.0/4",            /* reserved; broadcast */
    "::/128",                 /* this host */
    "::1/128",                /* loopback */
    "fe80::/10",              /* link-local */
    "fec0::/10",              /* the same, of old */
    "fd00:ec2::/32",          /* what asks a cloud for a machine's secrets */
    "fd20:ce::254/128",       /* the same */
    "fd00:c1::a9fe:a9fe/128", /* the same */
    "fd00:42::42/128",        /* the same */
    "::ffff:0:0:0/96",        /* IPv4 behind a translator */
    "64:ff9b::/96",           /* the same */
    "64:ff9b:1::/48",         /* the same */
    "2001::/32",              /* IPv4 in a tunnel */
    "2002::/16",              /* the same */
    "100::/64",               /* a hole */
    "ff00::/8",               /* multicast */
};

/* Returns: (transfer full); NULL: neither IPv4 nor IPv6. */
static GInetAddress *
find_address(const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    if (address->sa_family == AF_INET)
        return g_inet_address_new_from_bytes((const guint8 *)&v4->sin_addr, G_SOCKET_FAMILY_IPV4);
    if (address->sa_family != AF_INET6)
        return NULL;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) || IN6_IS_ADDR_V4COMPAT(&v6->sin6_addr)) {
        const struct in6_addr *bytes = &v6->sin6_addr;

        return g_inet_address_new_from_bytes(bytes->s6_addr + 12, G_SOCKET_FAMILY_IPV4);
    }
    return g_inet_address_new_from_bytes((const guint8 *)&v6->sin6_addr, G_SOCKET_FAMILY_IPV6);
}

/* The bits of the smallest network of @list that @address lies in; -1: none. */
static int
find_network(const char *const *list, gsize n, GInetAddress *address)
{
    int bits = -1;

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GInetAddressMask) mask = g_inet_address_mask_new_from_string(list[i], NULL);

        if (mask && g_inet_address_mask_matches(mask, address))
            bits = MAX(bits, (int)g_inet_address_mask_get_length(mask));
    }
    return bits;
}

gboolean
vimg_address_check(const char *const *networks, const struct sockaddr *address, GError **error)
{
    g_autoptr(GInetAddress) inet = find_address(address);
    gsize n = g_strv_length((char **)networks);
    g_autofree char *text = NULL;
    int reserved, allowed;

    if (!inet)
        return vimg_throw(error, VIMG_ERROR_ACCESS_DENIED, "%s",
                          _("images are imported by IPv4 and IPv6 only"));
    reserved = find_network(special, G_N_ELEMENTS(special), inet);
    allowed = find_network(networks, n, inet);
    if (reserved < 0 ? allowed >= 0 || n == 0 : allowed >= reserved)
        return TRUE;
    text = g_inet_address_to_string(inet);
    return vimg_throw(error, VIMG_ERROR_ACCESS_DENIED,
                      _("address %s is not among import_addresses of virtimaged.conf"), text);
}
