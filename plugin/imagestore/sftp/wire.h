/*
 * wire.h: packets of SFTP on their way through a stream
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SFTP_WIRE_H
#define VIMG_IMAGESTORE_SFTP_WIRE_H

#include "packet.h"
#include "stream.h"

typedef struct {
    VimgSftpStream *stream;
    guint8 *out;
    gsize out_start, out_end; /* what is still to be sent */
    gsize out_tried;          /* size of a write() that has to be repeated as it was; 0: none */
    guint8 *in;
    gsize in_start, in_end; /* what was received and not yet taken */
    guint64 moved;          /* bytes, both ways, since it began */
} VimgSftpWire;

/* Takes @stream over. */
void vimg_sftp_wire_init(VimgSftpWire *wire, VimgSftpStream *stream);
void vimg_sftp_wire_clear(VimgSftpWire *wire);

/* Where the next packet may be written; it has room for any if the wire is empty. */
guint8 *vimg_sftp_wire_room(VimgSftpWire *wire, gsize *size);
void vimg_sftp_wire_add(VimgSftpWire *wire, gsize size);
gboolean vimg_sftp_wire_is_empty(const VimgSftpWire *wire);
/* Sends what the stream takes.  FALSE with VIMG_ERROR_DISCONNECTED, as all of these. */
gboolean vimg_sftp_wire_send(VimgSftpWire *wire, GError **error);
/* Receives once.  @some: whether anything came. */
gboolean vimg_sftp_wire_receive(VimgSftpWire *wire, gboolean *some, GError **error);
/* Takes a whole packet, borrowed until the next receive.  @packet: NULL if there is none yet. */
gboolean vimg_sftp_wire_take(VimgSftpWire *wire, const guint8 **packet, gsize *size,
                             GError **error);
/* What to poll() the stream for once sending and receiving have stopped. */
short vimg_sftp_wire_events(VimgSftpWire *wire);

#endif
