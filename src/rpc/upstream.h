/*
 * upstream.h: the host's own libvirt daemon behind this one
 *
 * Each client has one connection to it, opened when the first call needs it and with the client's
 * own rights, so that whoever may not do something there may not do it here.  What is not ours is
 * forwarded by the main loop as it is, with the client's serials; calls of our own workers go over
 * the same connection with serials from VIMG_UPSTREAM_SERIAL on, and never reach the client.
 *
 * How a host's daemon is found and connected is not known here: the main program registers that by
 * vimg_server_set_host().
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_UPSTREAM_H
#define VIMG_RPC_UPSTREAM_H

#include <rpc/rpc.h>

#include "rpc/dispatch.h"
#include "util/peer.h"

#define VIMG_UPSTREAM_SERIAL 0x80000000u

/* ---- what the main program registers ----------------------------------------------------------
 */

typedef enum {
    VIMG_HOST_REACHED,
    VIMG_HOST_ABSENT, /* there is none: what is asked of it is answered as if it did not exist */
    VIMG_HOST_FAILED, /* with an error that names the way out */
    VIMG_HOST_LATER,  /* by a thread that may wait */
} VimgHostReach;

typedef struct {
    /*
     * Connects as @peer.  *@fd: (transfer full) on success, not blocking.  @wait FALSE: in the main
     * loop, at once, or LATER.  TRUE: by a thread of its own that ends afterwards, no lock held, so
     * it may wait some seconds and change its own identity.
     */
    VimgHostReach (*reach)(gpointer data, const VimgPeer *peer, gboolean read_only, gboolean wait,
                           int *fd, GError **error);
    /* optional: whether there is any point in it; main loop, at once */
    gboolean (*is_present)(gpointer data);
    /* optional: what was reached has been opened; main loop, at once */
    void (*opened)(gpointer data);
    gint64 (*patience)(void); /* microseconds until it must have been opened */
    const char *name;         /* what is opened there: a URI; borrowed */
    gpointer data;
} VimgHostFuncs;

/* Before it listens; NULL: there is no host's daemon.  @host is borrowed for the server's life. */
void vimg_server_set_host(VimgServer *server, const VimgHostFuncs *host);

/* ---- for handlers, in workers -----------------------------------------------------------------
 */

typedef enum {
    VIMG_UPSTREAM_ANSWERED, /* @ret is filled */
    VIMG_UPSTREAM_REFUSED,  /* the host's daemon said no: @error is its own, a VIMG_VIR_ERROR */
    VIMG_UPSTREAM_ABSENT,   /* this host has no such daemon */
    VIMG_UPSTREAM_FAILED,   /* it did not answer, or not in time; @error says what to do */
} VimgUpstreamResult;

/* A host's daemon may be there one day, if it is not now.  Any thread. */
gboolean vimg_upstream_may_come(VimgClient *client);
/* FALSE: no call would be answered now but by ABSENT.  Any thread, at once. */
gboolean vimg_upstream_is_configured(VimgClient *client);

/*
 * Asks the host's daemon, over the connection of @client and with its rights, and waits.  Not from
 * the main loop, and with no lock held.  @procedure: of libvirt's own program; @ret must be zeroed,
 * and is the caller's to xdr_free() whatever is returned.  @timeout: microseconds, with the time it
 * takes to connect.  @error is set unless ANSWERED.
 */
VimgUpstreamResult vimg_upstream_call(VimgClient *client, gint32 procedure, xdrproc_t args_proc,
                                      gconstpointer args, xdrproc_t ret_proc, gpointer ret,
                                      gint64 timeout, GError **error);

/*
 * The same in two steps, so that no worker waits.  Main loop: asks, and runs @done(@data) there
 * when there is an answer, or will be none; never before it returns.  A few of a client are on
 * their way at a time, the others wait for their turn as long as the host answers; @timeout begins
 * with it, and who is called back says vimg_upstream_next().  Returns: (transfer full)
 */
VimgUpstreamCall *vimg_upstream_ask(VimgClient *client, gint32 procedure, xdrproc_t args_proc,
                                    gconstpointer args, gint64 timeout, void (*done)(gpointer data),
                                    gpointer data);
/* Any thread, once, after @done.  *@took: microseconds until then. */
VimgUpstreamResult vimg_upstream_take(VimgUpstreamCall *call, xdrproc_t ret_proc, gpointer ret,
                                      gint64 *took, GError **error);
/* Bytes of the answer, that or 0. */
gsize vimg_upstream_size(VimgUpstreamCall *call);
/* Main loop: it has been answered, or will not be, and another one has its turn.  Accepts NULL. */
void vimg_upstream_next(VimgUpstreamCall *call);
void vimg_upstream_call_unref(VimgUpstreamCall *call); /* accepts NULL */

/*
 * A list that waited for the host in vain says so; for a while the client's others do without, but
 * one that asks anew.  It is the client's alone: its own long calls may be why.  Any thread.
 */
void vimg_upstream_note_late(VimgClient *client);
void vimg_upstream_note_answer(VimgClient *client);
gboolean vimg_upstream_may_wait(VimgClient *client);
/* Of an answer that came before this changed, what it made at the host has gone.  Any thread. */
guint vimg_upstream_losses(VimgClient *client);

#endif
