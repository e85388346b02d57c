/*
 * connect.h: connections to the host's own libvirt daemon, and what its errors mean here
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_CONNECT_H
#define VIMG_HOST_CONNECT_H

#include <libvirt/libvirt.h>

#include "pool/model.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStoragePool, virStoragePoolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageVol, virStorageVolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStream, virStreamFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSecret, virSecretFree)
typedef virConnect VimgHostConnect;
void vimg_host_disconnect(VimgHostConnect *connect); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHostConnect, vimg_host_disconnect)

/* Once, before anybody connects. */
void vimg_host_init(void);
/* Seconds between questions whether the host's daemon lives, 0: the default; and how many may stay
 * unanswered.  Before anybody connects. */
void vimg_host_set_patience(guint interval, guint count);
/* Microseconds for which a daemon may be silent while a connection is opened, at most @most. */
gint64 vimg_host_patience(gint64 most);

/*
 * Connects to @uri as @caller: the daemon there sees its user and groups, and allows it what they
 * may.  NULL: as ourselves.  One that does not answer is given up after a minute, or when a silent
 * one is. Returns: (transfer full), to be used from any thread; NULL with VIMG_ERROR_DISCONNECTED,
 * or what the daemon says.  *@line: (transfer full) a descriptor of its socket, which
 * vimg_cutter_new() takes; -1: it is not known.  @line may be NULL
 */
VimgHostConnect *vimg_host_connect(const char *uri, const VimgCaller *caller, int *line,
                                   GError **error);

/* Sets @error from what libvirt said last in this thread.  Returns: FALSE */
gboolean vimg_host_throw(GError **error);
/* Whether the last thing that libvirt said in this thread is @code, a virErrorNumber. */
gboolean vimg_host_said(int code);
/* Whether the connection is gone, so that nothing more can be done on it. */
gboolean vimg_host_is_lost(VimgHostConnect *connect);

#endif
