/*
 * monitor.c: where monitors may be, and why one does not answer
 *
 * librados would resolve names without a limit of time, take addresses of any network, and say of
 * any failure that it timed out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "../ssh/network.h"
#include "monitor.h"
#include "../throw.h"

#define PORT_MSGR2 3300
#define PORT_LEGACY 6789
#define BANNER "ceph v" /* of both versions of the protocol */

void
vimg_monitor_blame(GString *reasons, const char *what, const char *why)
{
    g_string_append_printf(reasons, "%s%s: %s", reasons->len > 0 ? "; " : "", what, why);
}

gint64
vimg_monitor_share(gint64 deadline, gsize n)
{
    gint64 now = g_get_monotonic_time();

    return now + MAX(deadline - now, 0) / (gint64)MAX(n, 1);
}

/* ---- addresses -------------------------------------------------------------------------- */

static void
free_monitor(gpointer data)
{
    VimgCephMonitor *monitor = data;

    g_free(monitor->what);
    g_free(monitor->address);
    g_free(monitor->exact);
    g_free(monitor);
}

static void
set_port(struct sockaddr_storage *at, guint16 port)
{
    if (at->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)at)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)at)->sin_port = htons(port);
}

static VimgCephMonitor *
monitor_new(const VimgPluginAddress *host, const VimgEndpoint *endpoint)
{
    VimgCephMonitor *monitor = g_new0(VimgCephMonitor, 1);
    gboolean v6 = endpoint->address.ss_family == AF_INET6;
    char text[NI_MAXHOST] = "?";
    g_autofree char *port = host->port ? g_strdup_printf(":%u", host->port) : g_strdup("");

    memcpy(&monitor->at, &endpoint->address, endpoint->length);
    monitor->length = endpoint->length;
    set_port(&monitor->at, host->port);
    getnameinfo((const struct sockaddr *)&monitor->at, monitor->length, text, sizeof(text), NULL, 0,
                NI_NUMERICHOST);
    monitor->address = g_strdup_printf(v6 ? "[%s]%s" : "%s%s", text, port);
    monitor->what = strcmp(text, host->name) == 0
                        ? g_strdup(monitor->address)
                        : g_strdup_printf("%s (%s)", host->name, monitor->address);
    return monitor;
}

gboolean
vimg_monitor_is(const VimgCephMonitor *monitor, const char *address)
{
    const char *rest = NULL;

    if (!g_str_has_prefix(address, monitor->address))
        return FALSE;
    rest = address + strlen(monitor->address);
    return *rest == '\0' || *rest == '/' || (*rest == ':' && !strchr(rest, ']'));
}

/* @reasons hears of a host that cannot be used.  FALSE: it is the network's fault. */
static gboolean
add_addresses(GPtrArray *monitors, const VimgPluginAddress *host, const VimgNetwork *network,
              gint64 deadline, GString *reasons)
{
    g_autoptr(GPtrArray) endpoints = NULL;
    g_autoptr(GError) error = NULL;
    guint i;

    endpoints = vimg_network_resolve(host, network, deadline, NULL, &error);
    if (!endpoints) {
        g_string_append_printf(reasons, "%s%s", reasons->len > 0 ? "; " : "", error->message);
        return !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED);
    }
    for (i = 0; i < endpoints->len; i++)
        g_ptr_array_add(monitors, monitor_new(host, endpoints->pdata[i]));
    return TRUE;
}

GPtrArray *
vimg_monitor_resolve(const VimgPluginAddress *hosts, gsize n_hosts, const char *network,
                     gint64 deadline, GString *reasons, GError **error)
{
    g_autoptr(GPtrArray) monitors = g_ptr_array_new_with_free_func(free_monitor);
    gboolean outside = FALSE;
    VimgNetwork parsed;
    gsize i;

    if (network && !vimg_network_parse(network, &parsed, error))
        return NULL;
    for (i = 0; i < n_hosts; i++)
        outside |= !add_addresses(monitors, &hosts[i], network ? &parsed : NULL,
                                  vimg_monitor_share(deadline, n_hosts - i), reasons);
    if (monitors->len > 0)
        return g_steal_pointer(&monitors);
    throw_error(error, outside ? VIMG_ERROR_CONFIG_UNSUPPORTED : VIMG_ERROR_DISCONNECTED,
                _("there is no monitor to connect to: %s"), reasons->str);
    return NULL;
}

/* ---- looking at one --------------------------------------------------------------------- */

/* @version: '1' or '2' behind the banner. */
static char *
read_banner(int fd, gint64 deadline, char *version)
{
    char banner[sizeof(BANNER)];
    gsize got = 0;

    while (got < sizeof(banner)) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        gssize n;

        if (left <= 0 || poll(&poll_fd, 1, (int)MIN(left, G_MAXINT)) == 0)
            return g_strdup(_("no answer in time"));
        n = read(fd, banner + got, sizeof(banner) - got);
        if (n == 0)
            return g_strdup(_("it closes the connection"));
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return g_strdup(g_strerror(errno));
        got += (gsize)MAX(n, 0);
    }
    if (memcmp(banner, BANNER, sizeof(BANNER) - 1) != 0)
        return g_strdup(_("it does not speak Ceph"));
    /* "ceph v2" and "ceph v027" */
    *version = banner[sizeof(banner) - 1] == '2' ? '2' : '1';
    return NULL;
}

static char *
try_port(VimgCephMonitor *monitor, guint16 port, gint64 deadline)
{
    VimgEndpoint endpoint = {.address = monitor->at, .length = monitor->length};
    char version = '2';
    char *why;
    int fd;

    if (port)
        set_port(&endpoint.address, port);
    fd = vimg_network_connect(&endpoint, NULL, deadline, NULL);
    if (fd < 0)
        return g_strdup(g_strerror(-fd));
    why = read_banner(fd, deadline, &version);
    close(fd);
    if (why)
        return why;
    g_free(monitor->exact);
    monitor->exact = port ? g_strdup_printf("v%c:%s:%u", version, monitor->address, port)
                          : g_strdup_printf("v%c:%s", version, monitor->address);
    return NULL;
}

char *
vimg_monitor_try(VimgCephMonitor *monitor, gint64 deadline)
{
    const struct sockaddr_in *at = (const struct sockaddr_in *)&monitor->at;
    g_autofree char *why = NULL;

    /* the port is at the same place in addresses of both families */
    if (at->sin_port != 0)
        return try_port(monitor, 0, deadline);
    why = try_port(monitor, PORT_MSGR2, vimg_monitor_share(deadline, 2));
    return why ? try_port(monitor, PORT_LEGACY, deadline) : NULL;
}
