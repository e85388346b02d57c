/*
 * connection.h: the main loop's side of a client: its socket, its calls, its streams
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_CONNECTION_H
#define VIMG_RPC_CONNECTION_H

#include "rpc/call.h"
#include "rpc/keepalive.h"
#include "rpc/outbox.h"
#include "rpc/server.h"
#include "rpc/upstream-private.h"
#include "rpc/watch.h"
#include "wire/reader.h"

struct _VimgClient {
    gint refs;
    VimgServer *server; /* borrowed: outlives every thread that may hold a client */
    uid_t uid;
    VimgCaller caller;
    guint64 number;
    gpointer data; /* of the hooks; set before any other thread sees the client */
    void (*free_data)(gpointer data);
    gint gone; /* atomic: nobody reads its answers any more */

    VimgMutex lock; /* up to and including uri */
    gboolean read_only;
    gboolean authenticated;
    gboolean keepalive;
    gboolean hears_close; /* wants to be told if the host's daemon goes */
    char *uri;            /* set once */

    /* main loop from here on */
    VimgWatch watch; /* of its socket */
    VimgReader reader;
    VimgOutbox outbox;
    VimgKeepalive life;
    gint64 since;     /* when it connected */
    gboolean paused;  /* the socket is not read */
    gboolean stopped; /* the reader may hold packets that the socket does not show */
    gboolean ends;    /* its CLOSE is under way: nothing that came behind it is begun */
    gboolean closing; /* ends when what is queued is sent */
    gint64 closing_since;
    int last; /* -1, or once it is closed: by which answers of calls that run still are sent */
    VimgServerCall *waiting; /* until the calls before it are answered: only before CONNECT_OPEN */
    guint n_calls;           /* received, not answered */
    guint64 call_bytes;      /* of their payloads */
    GQueue submitted;        /* of VimgServerCall: those that were handed to the scheduler */
    guint64 stream_cost;     /* what the input queues of its streams hold */
    gboolean streams_full;   /* that was too much and is not yet half */
    GHashTable *streams; /* of VimgStream by serial: what the client may still send packets for */
    GHashTable *stubs;   /* serial -> procedure: downloads that ended, not finished by the client */
    GQueue stub_order;   /* serials, oldest first */
    VimgUpstream *upstream; /* to the host's daemon; NULL: nothing was asked of it */
    gint64 host_again;      /* when one is opened for its events' sake, and the pause before */
    gint64 host_pause;
    GError
        *host_error; /* why it could not be opened the last time, and until when it is said again */
    gint64 host_rest;

    gint64
        host_silent; /* atomic: time until which no list of it waits for the host; 0: it answers */
    guint n_questions; /* main loop: to the host for calls of the client, sent and not over */
    guint host_losses; /* atomic: how often a connection there was lost */
};

/* client.c.  @fd: (transfer full), not blocking. */
VimgClient *vimg_client_new(VimgServer *server, int fd, uid_t uid, gboolean read_only);
gboolean vimg_client_has_keepalive(VimgClient *client);
gboolean vimg_client_hears_close(VimgClient *client);

/* connection.c: begins to read; takes a reference that vimg_connection_close() drops. */
void vimg_connection_open(VimgClient *client);
/* Aborts its streams and forgets its calls.  May be called twice. */
void vimg_connection_close(VimgClient *client);
/*
 * The same when the daemon ends: calls that run are answered yet, if they succeed, for what was
 * done is there.  Returns: whether there are any; vimg_connection_runs() says until when
 */
gboolean vimg_connection_close_last(VimgClient *client);
gboolean vimg_connection_runs(VimgClient *client);
gboolean vimg_connection_is_closed(VimgClient *client);
/* @packet: (transfer full), dropped if the client has gone. */
void vimg_connection_send(VimgClient *client, VimgPacket *packet);
/* The same, but nobody comes back to write it: vimg_connection_flush() follows. */
void vimg_connection_push(VimgClient *client, VimgPacket *packet);
/* Writes what is queued; may close the client. */
void vimg_connection_flush(VimgClient *client);
/* Ends it when what is queued is sent. */
void vimg_connection_finish(VimgClient *client);
/*
 * The host's daemon will not answer @call, (transfer full).  @error: why; NULL: there is none, so
 * it is answered as if there had never been.
 */
void vimg_connection_resume(VimgClient *client, VimgServerCall *call, const GError *error);
/* Not closed: the loop comes back to it at once, to write what is queued. */
void vimg_connection_wake(VimgClient *client);
/* Something changed that may let it read on, or forbid it. */
void vimg_connection_update(VimgClient *client);
/* Keepalive and deadlines; every second or so. */
void vimg_connection_tick(VimgClient *client, gint64 now);
/* A call was run by a worker; @call: (transfer full). */
void vimg_connection_call_done(VimgServerCall *call);

/* stream-packets.c: the main loop's side of streams */
gboolean vimg_streams_refuse(VimgClient *client, const VimgServerCall *call, GError **error);
/* The serial belongs to the stream of @call from now on. */
void vimg_streams_register(VimgClient *client, VimgServerCall *call);
/* The handler made a transfer.  On success it is taken; the reply must be queued at once. */
gboolean vimg_streams_start(VimgClient *client, VimgServerCall *call, GError **error);
/* The reply was queued: what the client already sent is looked at. */
void vimg_streams_started(VimgStream *stream);
/* The call failed. */
void vimg_streams_forget(VimgClient *client, VimgServerCall *call);
/* Ours, going on or over; any other may be of the host's daemon. */
gboolean vimg_streams_has(VimgClient *client, const VimgFrameHeader *header);
VimgReaderMode vimg_streams_mode(VimgClient *client, const VimgFrameHeader *header);
/* Each may close the client. @piece, @payload: (transfer full) */
void vimg_streams_data(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *piece);
void vimg_streams_packet(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload);
void vimg_streams_abort_all(VimgClient *client);

#endif
