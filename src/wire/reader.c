/*
 * reader.c: packets out of a socket, as they come, without waiting and without copying
 *
 * The last bytes of a payload and the head of the next packet are read by one call, so a stream of
 * packets costs one read each.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/uio.h>

#include "wire/reader.h"
#include "util/wipe.h"

#define READS_MAX 16         /* before others have their turn */
#define COLLECT_FIRST 262144 /* bytes a collected payload gets before they have come */

void
vimg_reader_init(VimgReader *reader, const VimgReaderFuncs *funcs, gpointer data)
{
    *reader = (VimgReader){.funcs = funcs, .data = data};
}

/* Nobody has looked yet whether it is of a secret. */
void
vimg_reader_clear(VimgReader *reader)
{
    g_clear_pointer(&reader->body, vimg_buffer_wipe);
}

void
vimg_reader_skip(VimgReader *reader, gsize size)
{
    reader->skip = size;
}

/* The head is complete. */
static gboolean
begin_packet(VimgReader *reader)
{
    guint32 length;

    if (!vimg_frame_length(reader->head, &length))
        return FALSE;
    vimg_frame_header_decode(reader->head + VIMG_FRAME_LENGTH_SIZE, &reader->header);
    reader->head_got = 0;
    reader->in_packet = TRUE;
    reader->left = length - VIMG_FRAME_MIN;
    reader->mode = reader->funcs->mode(reader->data, &reader->header);
    return TRUE;
}

static gboolean
end_packet(VimgReader *reader)
{
    VimgFrameHeader header = reader->header;

    reader->in_packet = FALSE;
    reader->body_got = 0;
    return reader->funcs->packet(reader->data, &header, g_steal_pointer(&reader->body));
}

/* Room for what comes next: twice what came, or the next piece. */
static void
make_room(VimgReader *reader)
{
    gsize whole = reader->body_got + reader->left;
    VimgBuffer *old;
    gsize room;

    if (reader->body && reader->body_got < reader->body->size)
        return;
    if (reader->mode == VIMG_READER_PIECES)
        room = MIN(whole, VIMG_READER_PIECE);
    else
        room = MIN(whole, MAX(reader->body_got * 2, COLLECT_FIRST));
    old = g_steal_pointer(&reader->body);
    reader->body = vimg_buffer_new(room);
    if (old)
        memcpy(reader->body->data, old->data, reader->body_got);
    vimg_buffer_wipe(old);
}

static gssize
read_some(VimgReader *reader, int fd, struct iovec *iov, int n)
{
    gssize got;

    do {
        got = readv(fd, iov, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

static gssize
read_head(VimgReader *reader, int fd)
{
    struct iovec iov = {reader->head + reader->head_got, VIMG_FRAME_MIN - reader->head_got};
    gssize got = read_some(reader, fd, &iov, 1);

    if (got > 0)
        reader->head_got += got;
    return got;
}

static gssize
read_skipped(VimgReader *reader, int fd)
{
    guint8 scratch[256];
    struct iovec iov = {scratch, MIN(sizeof(scratch), reader->skip)};
    gssize got = read_some(reader, fd, &iov, 1);

    if (got > 0)
        reader->skip -= got;
    return got;
}

/* Part of the payload and, behind its end, of the next head. */
static gssize
read_payload(VimgReader *reader, int fd)
{
    guint8 scratch[16384];
    struct iovec iov[2];
    gsize room;
    gssize got;
    int n = 1;

    if (reader->mode == VIMG_READER_DISCARD) {
        room = MIN(sizeof(scratch), reader->left);
        iov[0] = (struct iovec){scratch, room};
    } else {
        make_room(reader);
        room = MIN(reader->body->size - reader->body_got, reader->left);
        iov[0] = (struct iovec){reader->body->data + reader->body_got, room};
    }
    /* behind a packet with descriptors come bytes that are no head */
    if (room == reader->left && reader->header.type != VIMG_FRAME_CALL_WITH_FDS)
        iov[n++] = (struct iovec){reader->head, VIMG_FRAME_MIN};
    got = read_some(reader, fd, iov, n);
    if (got <= 0)
        return got;
    reader->head_got = (gsize)got > room ? got - room : 0;
    reader->left -= got - reader->head_got;
    if (reader->mode != VIMG_READER_DISCARD)
        reader->body_got += got - reader->head_got;
    return got;
}

/* Hands over a piece that is full or the last one. */
static gboolean
deliver(VimgReader *reader)
{
    if (reader->mode != VIMG_READER_PIECES || !reader->body ||
        reader->body_got < reader->body->size)
        return TRUE;
    reader->body_got = 0;
    return reader->funcs->piece(reader->data, &reader->header, g_steal_pointer(&reader->body));
}

VimgReaderResult
vimg_reader_read(VimgReader *reader, int fd)
{
    guint reads = 0;

    for (;;) {
        gssize got;

        if (!reader->in_packet && !reader->skip && reader->head_got == VIMG_FRAME_MIN &&
            !begin_packet(reader))
            return VIMG_READER_BROKEN;
        if (reader->in_packet && reader->left == 0) {
            if (!end_packet(reader))
                return VIMG_READER_STOPPED;
            continue;
        }
        if (reads++ == READS_MAX)
            return VIMG_READER_YIELD;
        if (reader->skip && !reader->in_packet)
            got = read_skipped(reader, fd);
        else if (reader->in_packet)
            got = read_payload(reader, fd);
        else
            got = read_head(reader, fd);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return VIMG_READER_AGAIN;
        if (got <= 0)
            return VIMG_READER_EOF;
        if (!deliver(reader))
            return VIMG_READER_STOPPED;
    }
}
