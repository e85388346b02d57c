/*
 * pool-host.c: the addresses in <host name= port=>
 *
 * virsh has an option for the name but none for the port or for a second host, so one name may hold
 * several addresses, separated by commas, each HOST, HOST:PORT, an IPv6 address or [IPv6]:PORT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include "conf/pool-private.h"
#include "util/i18n.h"

/* Longest host name there is (RFC 1035), and more than any address with its zone. */
#define HOST_MAX 253

static gboolean
is_ipv6(const char *text)
{
    const char *zone = strchr(text, '%');
    g_autofree char *address = zone ? g_strndup(text, (gsize)(zone - text)) : g_strdup(text);
    struct in6_addr binary;

    if (zone && (!zone[1] || strspn(zone + 1, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") !=
                                 strlen(zone + 1)))
        return FALSE;
    return inet_pton(AF_INET6, address, &binary) == 1;
}

/* A name or IPv4 address.  No leading dash: it may end up on a command line. */
static gboolean
is_name(const char *text)
{
    gsize size = strlen(text);

    return size > 0 && size <= HOST_MAX && g_ascii_isalnum(*text) &&
           strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == size;
}

static gboolean
parse_port(const char *text, guint16 *port, GError **error)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &value, NULL))
        return vimg_throw(error, VIMG_ERROR_XML, _("Invalid port number: %s"), text);
    *port = (guint16)value;
    return TRUE;
}

/* Cuts @text, "HOST", "HOST:PORT", "IPv6", "[IPv6]" or "[IPv6]:PORT"; @port NULL: none given. */
static gboolean
cut_address(char *text, char **host, char **port)
{
    char *end;

    *port = NULL;
    *host = text;
    if (*text == '[') {
        if (!(end = strchr(text, ']')))
            return FALSE;
        *host = text + 1;
        *end++ = '\0';
        if (*end == ':')
            *port = end + 1;
        else if (*end)
            return FALSE;
        return is_ipv6(*host);
    }
    if (is_ipv6(text))
        return TRUE;
    if ((end = strchr(text, ':'))) {
        *end = '\0';
        *port = end + 1;
    }
    return is_name(text);
}

static gboolean
add_address(VimgPoolDef *def, const char *given, guint16 attribute_port, GError **error)
{
    g_autoptr(VimgHostDef) address = g_new0(VimgHostDef, 1);
    g_autofree char *text = g_strdup(given);
    char *host;
    char *port;

    if (def->hosts->len == VIMG_POOL_HOSTS_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("more than %d storage pool hosts"),
                          VIMG_POOL_HOSTS_MAX);
    if (!cut_address(g_strstrip(text), &host, &port))
        return vimg_throw(error, VIMG_ERROR_XML, _("invalid storage pool host name '%s'"), given);
    address->name = g_strdup(host);
    address->port = attribute_port;
    if (port) {
        if (attribute_port)
            return vimg_throw(error, VIMG_ERROR_XML, _("storage pool host '%s' has two ports"),
                              given);
        if (!parse_port(port, &address->port, error))
            return FALSE;
    }
    g_ptr_array_add(def->hosts, g_steal_pointer(&address));
    return TRUE;
}

gboolean
vimg_pool_parse_host(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    g_autofree char *name = NULL;
    g_autofree char *port_text = NULL;
    g_auto(GStrv) addresses = NULL;
    guint16 port = 0;
    guint i;

    if (!vimg_xml_line_attribute(node, "name", &name, error) ||
        !vimg_xml_line_attribute(node, "port", &port_text, error))
        return FALSE;
    if (!name)
        return vimg_throw(error, VIMG_ERROR_XML, _("missing storage pool host name"));
    if (port_text && !parse_port(port_text, &port, error))
        return FALSE;
    /* one more than allowed, so that the count is noticed without splitting megabytes */
    addresses = g_strsplit(name, ",", VIMG_POOL_HOSTS_MAX + 1);
    for (i = 0; addresses[i]; i++) {
        if (!add_address(def, addresses[i], port, error))
            return FALSE;
    }
    return TRUE;
}
