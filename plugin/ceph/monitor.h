/*
 * monitor.h: where monitors may be, and why one does not answer
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_MONITOR_H
#define VIMG_CEPH_MONITOR_H

#include <sys/socket.h>

#include "vimg-plugin.h"

/* One address. */
typedef struct {
    char *what;                 /* for people: "ceph-1", or "ceph-1 (10.0.0.5:6789)" */
    char *address;              /* "10.0.0.5:6789", without a port "10.0.0.5" */
    struct sockaddr_storage at; /* with port 0 in that case */
    socklen_t length;
    char *exact; /* as librados takes it: "v2:10.0.0.5:3300"; NULL before vimg_monitor_try() */
} VimgCephMonitor;

/* Appends "WHAT: WHY" to @reasons, which go into one message. */
void vimg_monitor_blame(GString *reasons, const char *what, const char *why);

/*
 * Returns: (transfer full) of VimgCephMonitor: all addresses of @hosts, those of @network alone if
 * that is not NULL.  Who has none is appended to @reasons.
 */
GPtrArray *vimg_monitor_resolve(const VimgPluginAddress *hosts, gsize n_hosts, const char *network,
                                gint64 deadline, GString *reasons, GError **error);
/*
 * Finds out which version of the protocol is spoken there: librados would go on trying the other
 * one when a key is refused.  Returns: (transfer full) why it is none; NULL: .exact is set.
 */
char *vimg_monitor_try(VimgCephMonitor *monitor, gint64 deadline);
/* Whether @address, "10.0.0.5:6789", is that of @monitor. */
gboolean vimg_monitor_is(const VimgCephMonitor *monitor, const char *address);
/* The time that is left, shared by @n. */
gint64 vimg_monitor_share(gint64 deadline, gsize n);

#endif
