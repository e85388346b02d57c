/*
 * upstream-private.h: one client's connection to the host's daemon, on the main loop's side
 *
 * upstream.c: its socket and what is under way on it; upstream-open.c: how it comes to be;
 * upstream-lost.c: what its end means; upstream-call.c: calls of our own workers.  All in the main
 * loop unless said otherwise.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_UPSTREAM_PRIVATE_H
#define VIMG_RPC_UPSTREAM_PRIVATE_H

#include "rpc/call.h"
#include "rpc/outbox.h"
#include "rpc/upstream.h"
#include "rpc/watch.h"
#include "wire/hello.h"
#include "wire/reader.h"

typedef struct {
    guint refs;
    VimgClient *client; /* borrowed; NULL: it has gone, or this connection has */
    gboolean open;
    GQueue waiting; /* of VimgServerCall, until it is open */
    gsize waiting_bytes;
    guint waiting_fds;
    gboolean waiting_stream; /* one of them begins one, and what follows is behind it */
    GQueue waiting_calls;    /* of VimgUpstreamCall, the same, or for their turn */

    /* once it is connected */
    VimgWatch watch; /* of its socket */
    VimgHello hello; /* until it is open */
    gint64 hello_until;
    GError *hello_error;
    VimgReader reader;
    VimgOutbox outbox;
    guint n_pending;
    GHashTable *pending; /* serial -> VimgUpstreamPending: forwarded, not answered */
    GHashTable *streams; /* serial -> VimgFrameHeader: of the client's, not ended */
    GHashTable *calls;   /* serial -> VimgUpstreamCall */
    guint32 serial;      /* of the next one */
    gint64 heard;        /* when one was answered */
    guint registered;    /* events that the client has asked for here */
    gboolean stopped;    /* the reader may hold packets that the socket does not show */
    gboolean full;       /* too much waits to be written: the client is not read */
    guint64 written;     /* when it was last looked at, and since when it has not changed */
    gint64 stuck_since;
} VimgUpstream;

typedef struct {
    VimgFrameHeader header; /* of its reply */
    guint n;                /* calls with this serial: nobody forbids a client to use one twice */
} VimgUpstreamPending;

/* What a procedure leaves behind at the host's daemon when it succeeds: upstream-procs.c. */
typedef enum {
    VIMG_UPSTREAM_NOTHING,
    VIMG_UPSTREAM_STREAM,
    VIMG_UPSTREAM_REGISTERS,
    VIMG_UPSTREAM_DEREGISTERS,
} VimgUpstreamEffect;

VimgUpstreamEffect vimg_upstream_effect(const VimgFrameHeader *header);

VimgUpstream *vimg_upstream_ref(VimgUpstream *upstream);
void vimg_upstream_unref(VimgUpstream *upstream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgUpstream, vimg_upstream_unref)

/* ---- for connection.c -------------------------------------------------------------------------
 */

/*
 * Takes a call that is the host's, to answer it sooner or later: with the host's answer, an error,
 * or, if there is no such daemon, by vimg_connection_resume().  Returns: FALSE, @call untouched, if
 * none is configured or the client goes.
 */
gboolean vimg_upstream_forward(VimgClient *client, VimgServerCall *call);
/* There is a connection that packets of streams which are not ours may belong to. */
gboolean vimg_upstream_is_open(VimgClient *client);
VimgReaderMode vimg_upstream_mode(const VimgFrameHeader *header);
/* One of them, as the client's reader has it; @payload: (transfer full), may be NULL. */
void vimg_upstream_stream(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload);
/* Writes what is queued. */
void vimg_upstream_flush(VimgClient *client);
/* So much waits to be written that the client must wait too. */
gboolean vimg_upstream_is_full(VimgClient *client);
/* The client was written to: what it did not read may have been why nothing was read here. */
void vimg_upstream_update(VimgClient *client);
void vimg_upstream_tick(VimgClient *client, gint64 now);
/* The client has gone. */
void vimg_upstream_close(VimgClient *client);

/* upstream-spin.c: the main loop of @context can do this: */
void vimg_upstream_spin_in(GMainContext *context);
/* For a moment it does not sleep, for the sake of the client of that number. */
void vimg_upstream_spin(guint64 client);

/* ---- between its files ------------------------------------------------------------------------
 */

/* The client's, made and begun to connect if there is none. */
VimgUpstream *vimg_upstream_get(VimgClient *client);
/* Begins to read.  @fd: (transfer full) */
void vimg_upstream_connected(VimgUpstream *upstream, int fd);
/* upstream-open.c: begins to connect.  Nobody is told anything before the loop's next turn. */
void vimg_upstream_open(VimgUpstream *upstream);
/* A packet that came before it is open.  @payload: (transfer full).  Returns: whether to read on */
gboolean vimg_upstream_take_hello(VimgUpstream *upstream, const VimgFrameHeader *header,
                                  VimgBuffer *payload);
/* What came was read: it is open now, or it is lost, or neither. */
void vimg_upstream_end_hello(VimgUpstream *upstream);
/* It will not be open, as @error says. */
void vimg_upstream_fail(VimgUpstream *upstream, const GError *error);
/* Sends a call on an open connection; (transfer full). */
void vimg_upstream_send(VimgUpstream *upstream, VimgServerCall *call);
/* The same of any packet; nothing is written before the next flush. */
void vimg_upstream_push(VimgUpstream *upstream, VimgPacket *packet);
/* Its calls that waited for it to be open have gone. */
void vimg_upstream_none_waits(VimgUpstream *upstream);
/* Ends it: the client has none any more.  Nobody is told. */
void vimg_upstream_detach(VimgUpstream *upstream);

/*
 * upstream-lost.c: it ended, or did not begin.  Everybody who waits is told @error, or if that is
 * NULL that there is no host's daemon.
 */
void vimg_upstream_lost(VimgUpstream *upstream, const GError *error);

/* upstream-call.c */
/* Ends those that have waited for so long. */
void vimg_upstream_calls_tick(VimgUpstream *upstream, gint64 now);
/* It is open: sends those that wait, as far as it is their turn. */
void vimg_upstream_calls_send(VimgUpstream *upstream);
/* @payload: (transfer full), may be NULL. */
void vimg_upstream_call_answered(VimgUpstreamCall *call, const VimgFrameHeader *header,
                                 VimgBuffer *payload);
/* @error: NULL if there is no host's daemon. */
void vimg_upstream_call_failed(VimgUpstreamCall *call, const GError *error);

#endif
