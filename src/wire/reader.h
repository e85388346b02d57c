/*
 * reader.h: packets out of a socket, as they come, without waiting and without copying
 *
 * Payloads are not allocated before their bytes arrive: a length word alone costs nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_WIRE_READER_H
#define VIMG_WIRE_READER_H

#include "wire/frame.h"

/* Largest piece a payload is cut into, in bytes. */
#define VIMG_READER_PIECE (1024 * 1024)

typedef enum {
    VIMG_READER_COLLECT, /* the whole payload, with packet() */
    VIMG_READER_PIECES,  /* to piece() as it arrives */
    VIMG_READER_DISCARD,
} VimgReaderMode;

/* FALSE from piece() or packet(): stop reading for now. */
typedef struct {
    VimgReaderMode (*mode)(gpointer data, const VimgFrameHeader *header);
    /* @piece: (transfer full) */
    gboolean (*piece)(gpointer data, const VimgFrameHeader *header, VimgBuffer *piece);
    /* The end of every packet.  @payload: (transfer full), NULL if empty or not collected */
    gboolean (*packet)(gpointer data, const VimgFrameHeader *header, VimgBuffer *payload);
} VimgReaderFuncs;

typedef struct {
    const VimgReaderFuncs *funcs;
    gpointer data;
    guint8 head[VIMG_FRAME_MIN]; /* of the next packet */
    gsize head_got;
    gboolean in_packet;
    VimgFrameHeader header; /* the rest is of the packet being read */
    VimgReaderMode mode;
    gsize left;       /* payload bytes still to come */
    VimgBuffer *body; /* what they go to; its size is what it has room for */
    gsize body_got;
    gsize skip; /* bytes to drop before the next packet */
} VimgReader;

typedef enum {
    VIMG_READER_AGAIN,   /* nothing more to read now */
    VIMG_READER_STOPPED, /* a callback said so */
    VIMG_READER_YIELD,   /* there may be more; others should have their turn */
    VIMG_READER_EOF,     /* also a reset connection */
    VIMG_READER_BROKEN,  /* a length that must end the connection */
} VimgReaderResult;

void vimg_reader_init(VimgReader *reader, const VimgReaderFuncs *funcs, gpointer data);
void vimg_reader_clear(VimgReader *reader);
/* From packet() of a *_WITH_FDS packet: @size bytes behind it belong to its descriptors. */
void vimg_reader_skip(VimgReader *reader, gsize size);
VimgReaderResult vimg_reader_read(VimgReader *reader, int fd);

#endif
