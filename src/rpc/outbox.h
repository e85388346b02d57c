/*
 * outbox.h: what waits to be written to one client, and in what order
 *
 * Replies, events and keepalive in order of arrival, ahead of stream data; streams take turns
 * packet by packet.  A packet once begun is finished first.  Main loop only.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_OUTBOX_H
#define VIMG_RPC_OUTBOX_H

#include "rpc/packet.h"
#include "rpc/stream.h"

typedef struct {
    VimgPacketQueue flight; /* being written, in this order */
    gsize sent;             /* bytes of the first one that are out */
    guint sent_fds;         /* behind them, of its descriptors */
    guint64 written;        /* bytes, ever */
    guint n_fds;            /* descriptors that packets in it hold open */
    VimgPacketQueue urgent;
    GQueue streams; /* of VimgStream: those with packets, the next one first */
} VimgOutbox;

typedef enum {
    VIMG_OUTBOX_EMPTY,
    VIMG_OUTBOX_MORE,   /* call again when the socket takes more */
    VIMG_OUTBOX_FAILED, /* the client is gone */
} VimgOutboxResult;

void vimg_outbox_init(VimgOutbox *outbox);
void vimg_outbox_clear(VimgOutbox *outbox);
/* @packet: (transfer full) */
void vimg_outbox_push(VimgOutbox *outbox, VimgPacket *packet);
/* @stream has packets now; it may be in the outbox already. */
void vimg_outbox_add_stream(VimgOutbox *outbox, VimgStream *stream);
/* Forgets all stream data that was not begun. */
void vimg_outbox_drop_streams(VimgOutbox *outbox);
/* Bytes of everything but streams. */
gsize vimg_outbox_bytes(const VimgOutbox *outbox);
VimgOutboxResult vimg_outbox_flush(VimgOutbox *outbox, int fd);

#endif
