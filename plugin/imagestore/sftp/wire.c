/*
 * wire.c: packets of SFTP on their way through a stream
 *
 * Packets gather in one large buffer a direction, so that the stream is asked for few and large
 * pieces.  What is sent is never moved: libssh2 wants a write repeated from the same address.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "throw.h"
#include "wire.h"

#define LENGTH_SIZE 4
#define PACKET_MIN 5 /* type, id */
#define BUFFER_SIZE ((gsize)2 * (VIMG_SFTP_PACKET_MAX + LENGTH_SIZE))
#define READ_MIN ((gsize)64 * 1024)

void
vimg_sftp_wire_init(VimgSftpWire *wire, VimgSftpStream *stream)
{
    memset(wire, 0, sizeof(*wire));
    wire->stream = stream;
    wire->out = g_malloc(BUFFER_SIZE);
    wire->in = g_malloc(BUFFER_SIZE);
}

void
vimg_sftp_wire_clear(VimgSftpWire *wire)
{
    g_free(wire->out);
    g_free(wire->in);
    wire->stream->ops->free(wire->stream);
}

guint8 *
vimg_sftp_wire_room(VimgSftpWire *wire, gsize *size)
{
    *size = BUFFER_SIZE - wire->out_end;
    return wire->out + wire->out_end;
}

void
vimg_sftp_wire_add(VimgSftpWire *wire, gsize size)
{
    wire->out_end += size;
}

gboolean
vimg_sftp_wire_is_empty(const VimgSftpWire *wire)
{
    return wire->out_start == wire->out_end;
}

static gboolean
throw_lost(GError **error, gssize result)
{
    return throw_error(error, VIMG_ERROR_DISCONNECTED, _("the SFTP connection broke: %s"),
                       g_strerror((int)-result));
}

gboolean
vimg_sftp_wire_send(VimgSftpWire *wire, GError **error)
{
    while (wire->out_start < wire->out_end) {
        gsize size = wire->out_tried > 0 ? wire->out_tried : wire->out_end - wire->out_start;
        gssize n = wire->stream->ops->write(wire->stream, wire->out + wire->out_start, size);

        wire->out_tried = n == -EAGAIN ? size : 0;
        if (n == -EAGAIN)
            return TRUE;
        if (n <= 0 || (gsize)n > size)
            return throw_lost(error, n < 0 ? n : -EPROTO);
        wire->out_start += (gsize)n;
        wire->moved += (guint64)n;
    }
    wire->out_start = 0;
    wire->out_end = 0;
    return TRUE;
}

/* Makes room behind what is there already: at least for the rest of any packet. */
static void
make_room(VimgSftpWire *wire)
{
    if (wire->in_start == 0)
        return;
    if (wire->in_start < wire->in_end && BUFFER_SIZE - wire->in_end >= READ_MIN)
        return;
    memmove(wire->in, wire->in + wire->in_start, wire->in_end - wire->in_start);
    wire->in_end -= wire->in_start;
    wire->in_start = 0;
}

gboolean
vimg_sftp_wire_receive(VimgSftpWire *wire, gboolean *some, GError **error)
{
    gssize n;

    make_room(wire);
    n = wire->stream->ops->read(wire->stream, wire->in + wire->in_end, BUFFER_SIZE - wire->in_end);
    *some = n > 0;
    if (n == -EAGAIN)
        return TRUE;
    if (n == 0)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the server ended the SFTP connection"));
    if (n < 0)
        return throw_lost(error, n);
    wire->in_end += (gsize)n;
    wire->moved += (guint64)n;
    return TRUE;
}

gboolean
vimg_sftp_wire_take(VimgSftpWire *wire, const guint8 **packet, gsize *size, GError **error)
{
    gsize there = wire->in_end - wire->in_start;
    guint32 length;

    *packet = NULL;
    if (there < LENGTH_SIZE)
        return TRUE;
    memcpy(&length, wire->in + wire->in_start, sizeof(length));
    length = GUINT32_FROM_BE(length);
    if (length < PACKET_MIN || length > VIMG_SFTP_PACKET_MAX)
        return throw_error(error, VIMG_ERROR_DISCONNECTED,
                           _("the server sent an SFTP packet of %u bytes, which cannot be"),
                           length);
    if (there < LENGTH_SIZE + length)
        return TRUE;
    *packet = wire->in + wire->in_start + LENGTH_SIZE;
    *size = length;
    wire->in_start += LENGTH_SIZE + length;
    return TRUE;
}

short
vimg_sftp_wire_events(VimgSftpWire *wire)
{
    short events = wire->stream->ops->events(wire->stream, FALSE);

    if (!vimg_sftp_wire_is_empty(wire))
        events |= wire->stream->ops->events(wire->stream, TRUE);
    return events;
}
