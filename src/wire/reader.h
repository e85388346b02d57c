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
#include "wire/pipe.h"

/* Largest piece a payload is cut into, in bytes. */
#define VIMG_READER_PIECE (1024 * 1024)
#define VIMG_READER_AHEAD 4096 /* bytes read before it is known what they belong to */
#define VIMG_FRAME_FDS_MAX 32  /* descriptors that a packet may bring */

typedef enum {
    VIMG_READER_COLLECT, /* the whole payload, with packet() */
    VIMG_READER_PIECES,  /* to piece() as it arrives */
    VIMG_READER_DISCARD,
    VIMG_READER_PASS, /* the whole packet to vimg_reader_take_pipe(), if it suits a pipe, or as
                         COLLECT */
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
    VimgPipes *pipes;                /* borrowed; NULL: none */
    guint8 ahead[VIMG_READER_AHEAD]; /* whole small packets: one read then takes head and payload */
    gsize ahead_at, ahead_end;       /* what of it is not used yet */
    gboolean in_packet;
    VimgFrameHeader header; /* the rest is of the packet being read */
    VimgReaderMode mode;
    gsize left;       /* payload bytes still to come */
    VimgBuffer *body; /* what they go to; its size is what it has room for */
    gsize body_got;
    VimgPipe *pipe;   /* or this, head and all */
    gboolean has_fds; /* the payload is complete; its descriptors are awaited */
    guint wanted;     /* as many as it says */
    gsize skip;       /* bytes to come that carry them, one each */
    int fds[VIMG_FRAME_FDS_MAX];
    guint n_fds;
} VimgReader;

typedef enum {
    VIMG_READER_AGAIN,   /* nothing more to read now */
    VIMG_READER_STOPPED, /* a callback said so */
    VIMG_READER_YIELD,   /* there may be more; others should have their turn */
    VIMG_READER_EOF,     /* also a reset connection */
    VIMG_READER_BROKEN,  /* a length, or number of descriptors, that must end the connection */
} VimgReaderResult;

void vimg_reader_init(VimgReader *reader, const VimgReaderFuncs *funcs, gpointer data);
/* Packets that are to PASS may go into one of @pipes, which outlive the reader. */
void vimg_reader_set_pipes(VimgReader *reader, VimgPipes *pipes);
void vimg_reader_clear(VimgReader *reader);
/*
 * From packet() of a *_WITH_FDS packet that is collected, whose payload begins with their number:
 * the descriptors that came behind it.  Those not taken are closed.  @fds: room for
 * VIMG_FRAME_FDS_MAX.  Returns: how many, (transfer full).
 */
guint vimg_reader_take_fds(VimgReader *reader, int *fds);
/*
 * From packet() of one that was to PASS.  Returns: (transfer full) the packet; NULL: its payload
 * was collected.
 */
VimgPipe *vimg_reader_take_pipe(VimgReader *reader);
/* After AGAIN the socket is to be polled; after STOPPED packets may be there that it does not show.
 */
VimgReaderResult vimg_reader_read(VimgReader *reader, int fd);

#endif
