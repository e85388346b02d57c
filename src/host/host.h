/*
 * host.h: the host's own libvirt daemon: where it is, and connecting to it for a client
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_HOST_H
#define VIMG_HOST_HOST_H

#include "util/peer.h"

typedef struct _VimgHost VimgHost;

/*
 * @uri: as in virtimaged.conf, not "none"; NULL or "auto": whichever daemon has its socket in
 * @run_dir, where our own are.  @privileged: the daemon is the system's.
 */
VimgHost *vimg_host_new(const char *uri, const char *run_dir, gboolean privileged, GError **error);
void vimg_host_free(VimgHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHost, vimg_host_free)

/*
 * Whether there may be such a daemon: FALSE if "auto" never opened one and would find no socket
 * now.  Looks at two names, so it may be asked for each call.
 */
gboolean vimg_host_is_present(const VimgHost *host);
/* Returns: (transfer full) the URI by which libvirt itself reaches it now, if it is present */
char *vimg_host_uri(const VimgHost *host);

/*
 * Connects with the rights of @peer.  Unless vimg_identity_is_own() the calling thread must end
 * afterwards: it has become @peer.  @wait: for a place in the queue of a daemon that is busy, some
 * seconds; else that is VIMG_ERROR_TIMEOUT at once.  *@fd: (transfer full), not blocking; -1 with
 * TRUE: there is no such daemon, which only "auto" allows, and only until it has opened one: that
 * may be restarting.
 */
gboolean vimg_host_reach(VimgHost *host, const VimgPeer *peer, gboolean read_only, gboolean wait,
                         int *fd, GError **error);
/* What was reached has been opened: there is such a daemon.  Any thread. */
void vimg_host_note_opened(VimgHost *host);
/* What is opened there: a URI. */
const char *vimg_host_name(const VimgHost *host);
/* Microseconds in which it must have been. */
gint64 vimg_host_open_patience(void);
/*
 * Reaches it, waiting, and opens it, for a minute at most.  Errors of the daemon itself are
 * VIMG_VIR_ERROR.
 */
gboolean vimg_host_open(VimgHost *host, const VimgPeer *peer, int *fd, GError **error);

#endif
