/*
 * stream.h: one upload or download of a client: the queues between its socket and its thread
 *
 * The main loop puts what the client sent into the input queue and takes packets for it from the
 * output queue; the thread does the opposite and is the only one that waits for a storage.  What
 * the packets of a stream mean is in stream-packets.c, on the main loop's side.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_STREAM_H
#define VIMG_RPC_STREAM_H

#include "pool/model.h"
#include "rpc/client.h"
#include "rpc/inbox.h"
#include "rpc/packet.h"
#include "util/thread.h"

typedef struct _VimgStream VimgStream;

/* All in the main loop. */
typedef struct {
    void (*consumed)(VimgStream *stream, gsize cost); /* so much of the input is gone */
    void (*ready)(VimgStream *stream);                /* packets to send, first of a run */
    void (*drained)(VimgStream *stream);              /* the last packet was taken */
    void (*ended)(VimgStream *stream);                /* the thread is done; to be joined */
} VimgStreamEvents;

typedef enum {
    VIMG_STREAM_PENDING, /* the call that makes it has not been answered */
    VIMG_STREAM_RUNNING,
    VIMG_STREAM_ABORTING, /* cancelled by the client or for it; its end is awaited */
    VIMG_STREAM_SENT,     /* a download that is over, its last packets not sent yet */
} VimgStreamState;

typedef struct _VimgStreamItem VimgStreamItem;

struct _VimgStream {
    gint refs;
    VimgInbox *inbox;
    const VimgStreamEvents *events;
    VimgClient *client;     /* a reference */
    VimgFrameHeader header; /* of its packets: type STREAM, status CONTINUE */
    int domain;             /* virErrorDomain of its errors */

    /* main loop */
    VimgStreamState state;
    gboolean finishing; /* the client said that all was sent */
    gboolean aborted;   /* while pending: the client wants no more of it */
    gboolean in_outbox;
    GError *refused; /* aborting: what the client did wrong */
    VimgThread thread;
    gboolean started;

    /* set before the thread starts */
    gboolean upload;
    gboolean sparse;

    /* set by the thread before it reports its end */
    VimgBuffer *failure; /* the error packet; NULL: all went well */

    VimgMutex lock; /* all below */
    VimgCond changed;
    VimgStreamItem *in_head, *in_tail;
    gsize consumed; /* not reported yet */
    gboolean consumed_posted;
    VimgPacketQueue out;
    gboolean announced; /* ready() is under way, or the outbox holds the stream */
    gboolean cancelled;
    VimgTransfer *transfer; /* until the thread takes it back to free it */
};

VimgStream *vimg_stream_new(VimgInbox *inbox, const VimgStreamEvents *events, VimgClient *client,
                            const VimgFrameHeader *call, int domain);
VimgStream *vimg_stream_ref(VimgStream *stream);
void vimg_stream_unref(VimgStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgStream, vimg_stream_unref)

/* ---- main loop -------------------------------------------------------------------------- */

/* Takes @transfer on success only.  Input that came before is worked off. */
gboolean vimg_stream_start(VimgStream *stream, VimgTransfer *transfer, gboolean upload,
                           gboolean sparse, GError **error);
/*
 * Input, in order.  Each returns its cost in bytes, which is what the queue holds on to;
 * consumed() gives it back.
 */
gsize vimg_stream_put_data(VimgStream *stream, VimgBuffer *data); /* (transfer full) */
gsize vimg_stream_put_hole(VimgStream *stream, guint64 length);
gsize vimg_stream_put_finish(VimgStream *stream);
gboolean vimg_stream_has_hole(VimgStream *stream);
gboolean vimg_stream_has_input(VimgStream *stream);
/* Drops the input.  Returns: its cost, with what was consumed and not reported. */
gsize vimg_stream_clear_input(VimgStream *stream);

/* The thread ends soon, whatever it is at. */
void vimg_stream_cancel(VimgStream *stream);
/* After ended(): the thread is gone at return. */
void vimg_stream_join(VimgStream *stream);

/* Behind what is queued; @packet: (transfer full).  The caller adds the stream to the outbox. */
void vimg_stream_append_packet(VimgStream *stream, VimgPacket *packet);
/* Returns: (transfer full) or NULL; @more: there is another one behind it. */
VimgPacket *vimg_stream_take_packet(VimgStream *stream, gboolean *more);
void vimg_stream_drop_packets(VimgStream *stream);
void vimg_stream_drained(VimgStream *stream);

#endif
