/*
 * listener.h: one listening unix socket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_LISTENER_H
#define VIMG_RPC_LISTENER_H

#include <sys/types.h>

#include "util/error.h"

typedef struct _VimgListener VimgListener;

/* @fd: (transfer full), a connected socket that does not block.  Main loop. */
typedef void (*VimgAcceptFunc)(int fd, gboolean read_only, gpointer data);
/* Out of descriptors or memory: the caller pauses the listener for a while. */
typedef void (*VimgAcceptFailed)(gpointer data);

typedef struct {
    VimgAcceptFunc accepted;
    VimgAcceptFailed failed;
    gpointer data;
} VimgListenerEvents;

/* Binds @path; one that nobody listens on any more is replaced. */
VimgListener *vimg_listener_new(const char *path, mode_t mode, gid_t group, gboolean read_only,
                                const VimgListenerEvents *events, GMainContext *context,
                                GError **error);
/* A socket that is listening already; taken over on success only. */
VimgListener *vimg_listener_new_fd(int fd, gboolean read_only, const VimgListenerEvents *events,
                                   GMainContext *context, GError **error);
/* Removes the socket from the file system if it is still the one that was bound. */
void vimg_listener_free(VimgListener *listener);

/* While it is off, clients wait in the kernel's queue. */
void vimg_listener_set_active(VimgListener *listener, gboolean active);

#endif
