/*
 * frame.h: packets of libvirt's RPC: length word, header, XDR payload
 *
 * length (u32, counts itself) | prog vers proc type serial status (u32 each, big-endian) | payload.
 * Limits and behaviour towards bad packets: libvirt 9.0 as observed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_WIRE_FRAME_H
#define VIMG_WIRE_FRAME_H

#include <rpc/rpc.h>
#include "util/error.h"

#define VIMG_FRAME_LENGTH_SIZE 4
#define VIMG_FRAME_HEADER_SIZE 24
#define VIMG_FRAME_MIN (VIMG_FRAME_LENGTH_SIZE + VIMG_FRAME_HEADER_SIZE)
#define VIMG_FRAME_MAX (32 * 1024 * 1024 + VIMG_FRAME_LENGTH_SIZE) /* largest length word */
#define VIMG_STREAM_PAYLOAD 262120 /* bytes of data a stream packet to a client carries at most */

#define VIMG_PROGRAM_REMOTE 0x20008086u
#define VIMG_PROGRAM_QEMU 0x20008087u
#define VIMG_PROGRAM_CONTROL 0x56494d47u /* our own */
#define VIMG_PROGRAM_KEEPALIVE 0x6b656570u
#define VIMG_KEEPALIVE_PING 1
#define VIMG_KEEPALIVE_PONG 2

typedef enum {
    VIMG_FRAME_CALL = 0,
    VIMG_FRAME_REPLY = 1,
    VIMG_FRAME_MESSAGE = 2,
    VIMG_FRAME_STREAM = 3,
    VIMG_FRAME_CALL_WITH_FDS = 4,
    VIMG_FRAME_REPLY_WITH_FDS = 5,
    VIMG_FRAME_HOLE = 6,
} VimgFrameType;

typedef enum {
    VIMG_FRAME_OK = 0,
    VIMG_FRAME_ERROR = 1,
    VIMG_FRAME_CONTINUE = 2,
} VimgFrameStatus;

typedef struct {
    guint32 program;
    guint32 version;
    gint32 procedure;
    guint32 type;
    guint32 serial;
    guint32 status;
} VimgFrameHeader;

/*
 * The length word of a packet.  Returns: FALSE if it is outside VIMG_FRAME_MIN..VIMG_FRAME_MAX,
 * which ends the connection without a reply.
 */
gboolean vimg_frame_length(const guint8 word[4], guint32 *length);
/* @data: VIMG_FRAME_HEADER_SIZE bytes. */
void vimg_frame_header_decode(const guint8 *data, VimgFrameHeader *header);
void vimg_frame_header_encode(const VimgFrameHeader *header, guint8 *data);

/* Length word and header of a packet whose payload of @size bytes, within the limit, goes apart. */
void vimg_frame_head_encode(const VimgFrameHeader *header, gsize size, guint8 head[VIMG_FRAME_MIN]);

/*
 * Each returns: (transfer full) a whole packet, length word and all; NULL with VIMG_ERROR_RPC if it
 * cannot be encoded or is too large.
 */
VimgBuffer *vimg_frame_new(const VimgFrameHeader *header, const void *payload, gsize size);
VimgBuffer *vimg_frame_new_xdr(const VimgFrameHeader *header, xdrproc_t proc, const void *data,
                               GError **error);
/* The payload of an error: libvirt's virNetMessageError; @domain if the error implies none. */
VimgBuffer *vimg_frame_new_error(const VimgFrameHeader *header, const GError *cause, int domain);
/*
 * Sets @error from such a payload of a libvirt daemon, in its words: a VIMG_VIR_ERROR, or if nobody
 * can read it VIMG_ERROR_RPC.  Returns: FALSE
 */
gboolean vimg_frame_throw(const VimgBuffer *payload, GError **error);
VimgBuffer *vimg_frame_new_hole(const VimgFrameHeader *header, guint64 length);

/*
 * @data must be zeroed; xdr_free() it whatever is returned.  Trailing bytes are accepted, as in
 * libvirt; strings with a NUL inside are not (VIMG_ERROR_RPC "Unable to decode message payload").
 */
gboolean vimg_xdr_decode(xdrproc_t proc, void *data, const guint8 *payload, gsize size,
                         GError **error);
/* Payload of a HOLE packet. */
gboolean vimg_frame_hole_decode(const guint8 *payload, gsize size, guint64 *length, guint32 *flags,
                                GError **error);

#endif
