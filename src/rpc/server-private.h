/*
 * server-private.h: the server as its connections see it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_SERVER_PRIVATE_H
#define VIMG_RPC_SERVER_PRIVATE_H

#include "rpc/inbox.h"
#include "rpc/keepalive.h"
#include "rpc/scheduler.h"
#include "rpc/server.h"
#include "rpc/stream.h"
#include "rpc/upstream.h"
#include "util/thread.h"
#include "wire/hello.h"
#include "wire/pipe.h"

struct _VimgServer {
    GMainContext *context;
    const VimgDaemonConfig *config;
    VimgModel *model;
    const VimgProgram *const *programs;
    VimgServerHooks hooks;
    VimgKeepaliveLimits limits;
    gboolean privileged;
    const VimgHostFuncs *host; /* NULL: none; set before there are clients */
    VimgInbox *inbox;

    /* main loop */
    VimgScheduler *scheduler;    /* NULL while the server ends */
    guint n_attempts;            /* to connect to the host's daemon, not ended */
    VimgHelloAuth hello_auth[2]; /* of its sockets to write and to read by */
    VimgPipes *pipes;            /* for what passes to and from the host; NULL: none */
    GPtrArray *listeners;        /* of VimgListener */
    GHashTable *streams;         /* of VimgStream: every one that is pending or has a thread */
    GSource *timer;              /* ticks while there is a client or an idle timeout */
    gint64 accept_again;         /* when to listen again after running out of descriptors; 0: now */
    gint64 idle_since;
    gint64 idle_timeout; /* microseconds; 0: none */
    guint (*busy)(gpointer data);
    void (*idle_func)(gpointer data);
    gpointer idle_data;

    VimgScheduler *host_scheduler; /* main loop; NULL until somebody waits for the host's daemon */
    gboolean host_missed;          /* atomic: somebody got no answer since it last gave one */
    gboolean host_failed;          /* atomic: the log said that it does not answer */

    VimgMutex lock;
    GHashTable *clients; /* a set of references; changed by the main loop only, under lock */
};

/* Main loop.  The set holds a reference. */
void vimg_server_add_client(VimgServer *server, VimgClient *client);
void vimg_server_remove_client(VimgServer *server, VimgClient *client);
/* upstream-open.c: awaits the end of all attempts to connect to the host's daemon. */
void vimg_upstream_end_attempts(VimgServer *server);
/*
 * So many bytes may wait in the kernel for the other end of @fd to read them: with room for more
 * than one packet of a stream, neither side waits for the other.  Where it may not be, there is
 * less.
 */
void vimg_server_widen(int fd, int bytes);
/* Frees a transfer that no stream took, off the main loop.  Accepts NULL. */
void vimg_server_dispose(VimgServer *server, VimgTransfer *transfer);

#endif
