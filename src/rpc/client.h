/*
 * client.h: one connection, as handlers see it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_CLIENT_H
#define VIMG_RPC_CLIENT_H

#include <sys/types.h>
#include <rpc/rpc.h>

#include "pool/model.h"
#include "util/error.h"

typedef struct _VimgClient VimgClient;
typedef struct _VimgServer VimgServer;

/* All from any thread.  A client that went away keeps answering; what is sent to it is dropped. */
VimgClient *vimg_client_ref(VimgClient *client);
void vimg_client_unref(VimgClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgClient, vimg_client_unref)
VimgServer *vimg_client_server(VimgClient *client);

/* From the read-only socket, or opened with the read-only flag. */
gboolean vimg_client_is_read_only(VimgClient *client);
void vimg_client_set_read_only(VimgClient *client);
gboolean vimg_client_is_authenticated(VimgClient *client);
void vimg_client_set_authenticated(VimgClient *client);
/* The URI it opened; NULL before.  set: FALSE if it is open already. */
const char *vimg_client_get_uri(VimgClient *client);
gboolean vimg_client_set_uri(VimgClient *client, const char *uri);
/* It wants to be told if the connection to the host's daemon ends: event 362. */
void vimg_client_set_hears_close(VimgClient *client, gboolean hears);
/* It answers PINGs: the server may send them from now on. */
void vimg_client_enable_keepalive(VimgClient *client);
uid_t vimg_client_uid(VimgClient *client);
/* Who is at the other end. */
const VimgCaller *vimg_client_caller(VimgClient *client);
/* No other has it or will have it; never 0. */
guint64 vimg_client_number(VimgClient *client);

/* Queues an event: type MESSAGE, serial 0, ahead of stream data. */
void vimg_client_send_event(VimgClient *client, guint32 program, gint32 procedure, xdrproc_t proc,
                            const void *data);
/* The same, but lost if the client is behind with reading: more of its kind will come. */
void vimg_client_send_progress(VimgClient *client, guint32 program, gint32 procedure,
                               xdrproc_t proc, const void *data);

/* Data of the handlers, made by vimg_server's hooks when it connects, freed when it has gone. */
gpointer vimg_client_get_data(VimgClient *client);

#endif
