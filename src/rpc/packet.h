/*
 * packet.h: one packet on its way to a client: bytes by reference, never copied
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_PACKET_H
#define VIMG_RPC_PACKET_H

#include "wire/frame.h"
#include "wire/pipe.h"

typedef struct _VimgPacket VimgPacket;
struct _VimgPacket {
    VimgPacket *next;
    guint8 head[VIMG_FRAME_MIN]; /* if the body has none of its own */
    gsize head_size;             /* 0 or all of it */
    VimgBuffer *body;            /* NULL: none */
    gsize offset, size;          /* of what is sent of @body, or of @pipe */
    gboolean secret;             /* @body is wiped by vimg_packet_free() */
    int *fds;                    /* sent behind it, each with a byte; owned */
    guint n_fds;
    VimgPipe *pipe; /* instead of all this: the whole packet; owned */
};

/* A whole frame; @frame: (transfer full). */
VimgPacket *vimg_packet_new(VimgBuffer *frame);
/* @header before @size bytes of @body, of which it takes a reference; NULL and 0: no payload. */
VimgPacket *vimg_packet_new_payload(const VimgFrameHeader *header, VimgBuffer *body, gsize offset,
                                    gsize size);
/* A whole one; @pipe: (transfer full) */
VimgPacket *vimg_packet_new_pipe(VimgPipe *pipe);
/* @fds: (transfer full) @n descriptors that go with it. */
void vimg_packet_add_fds(VimgPacket *packet, const int *fds, guint n);
void vimg_packet_free(VimgPacket *packet);

/* Not locked: whoever owns it sees to that.  Zeroed is empty. */
typedef struct {
    VimgPacket *head, *tail;
    guint length;
    gsize bytes; /* of memory: a small packet costs more than it brings */
} VimgPacketQueue;

void vimg_packet_queue_push(VimgPacketQueue *queue, VimgPacket *packet);
/* Returns: (transfer full); NULL if it is empty. */
VimgPacket *vimg_packet_queue_pop(VimgPacketQueue *queue);
void vimg_packet_queue_clear(VimgPacketQueue *queue);

#endif
