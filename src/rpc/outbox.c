/*
 * outbox.c: what waits to be written to one client, and in what order
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "rpc/outbox.h"

#define FLIGHT_MAX 16         /* packets written by one call */
#define STREAM_PACKETS_MAX 16 /* before other clients have their turn */

void
vimg_outbox_init(VimgOutbox *outbox)
{
    *outbox = (VimgOutbox){.streams = G_QUEUE_INIT};
}

void
vimg_outbox_clear(VimgOutbox *outbox)
{
    vimg_packet_queue_clear(&outbox->flight);
    vimg_packet_queue_clear(&outbox->urgent);
    outbox->n_fds = 0;
    vimg_outbox_drop_streams(outbox);
}

void
vimg_outbox_push(VimgOutbox *outbox, VimgPacket *packet)
{
    outbox->n_fds += packet->n_fds;
    vimg_packet_queue_push(&outbox->urgent, packet);
}

void
vimg_outbox_add_stream(VimgOutbox *outbox, VimgStream *stream)
{
    if (stream->in_outbox)
        return;
    stream->in_outbox = TRUE;
    g_queue_push_tail(&outbox->streams, vimg_stream_ref(stream));
}

void
vimg_outbox_drop_streams(VimgOutbox *outbox)
{
    VimgStream *stream;

    while ((stream = g_queue_pop_head(&outbox->streams))) {
        stream->in_outbox = FALSE;
        vimg_stream_drop_packets(stream);
        vimg_stream_unref(stream);
    }
}

gsize
vimg_outbox_bytes(const VimgOutbox *outbox)
{
    return outbox->urgent.bytes;
}

/* The next packet of the next stream; the stream goes to the end, or out of the ring if it has no
 * more. */
static VimgPacket *
next_of_streams(VimgOutbox *outbox)
{
    VimgStream *stream;

    while ((stream = g_queue_pop_head(&outbox->streams))) {
        gboolean more = FALSE;
        VimgPacket *packet = vimg_stream_take_packet(stream, &more);

        if (more) {
            g_queue_push_tail(&outbox->streams, stream);
        } else {
            stream->in_outbox = FALSE;
            vimg_stream_drained(stream);
            vimg_stream_unref(stream);
        }
        if (packet)
            return packet;
    }
    return NULL;
}

/* Returns: FALSE if there is nothing to write, or @budget of stream packets is used up. */
static gboolean
fill_flight(VimgOutbox *outbox, guint *budget)
{
    VimgPacket *packet;

    if (outbox->flight.head)
        return TRUE;
    while (outbox->flight.length < FLIGHT_MAX && (packet = vimg_packet_queue_pop(&outbox->urgent)))
        vimg_packet_queue_push(&outbox->flight, packet);
    if (outbox->flight.head)
        return TRUE;
    if (*budget == 0 || !(packet = next_of_streams(outbox)))
        return FALSE;
    (*budget)--;
    vimg_packet_queue_push(&outbox->flight, packet);
    return TRUE;
}

/* What is left of @size bytes at @data when *@sent of them and what comes behind are out. */
static int
add_iov(struct iovec *iov, guint8 *data, gsize size, gsize *sent)
{
    gsize skip = MIN(*sent, size);

    *sent -= skip;
    if (skip == size)
        return 0;
    *iov = (struct iovec){data + skip, size - skip};
    return 1;
}

/* One that goes out in the same message as what is before it. */
static VimgPacket *
next_beside(const VimgPacket *packet)
{
    return packet->n_fds || !packet->next || packet->next->pipe ? NULL : packet->next;
}

/* Beginning with one that is in memory. */
static gssize
write_flight(VimgOutbox *outbox, int fd)
{
    struct iovec iov[FLIGHT_MAX * 2];
    struct msghdr message = {.msg_iov = iov};
    gsize sent = outbox->sent;
    VimgPacket *packet;
    gssize done;

    for (packet = outbox->flight.head; packet; packet = next_beside(packet)) {
        message.msg_iovlen +=
            add_iov(&iov[message.msg_iovlen], packet->head, packet->head_size, &sent);
        if (packet->body)
            message.msg_iovlen += add_iov(&iov[message.msg_iovlen],
                                          packet->body->data + packet->offset, packet->size, &sent);
    }
    do {
        done = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    return done;
}

/* One descriptor a message, each with a byte that no length counts: libvirt 9.0 as observed. */
static gssize
write_fd(int fd, int passed)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    char byte = 0;
    struct iovec iov = {&byte, sizeof(byte)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    gssize done;

    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(passed));
    memcpy(CMSG_DATA(part), &passed, sizeof(passed));
    do {
        done = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (done < 0 && errno == EINTR);
    return done;
}

static gsize
bytes_of(const VimgPacket *packet)
{
    return packet->head_size + packet->size;
}

/* Bytes of the packets in flight, or what follows the first one. */
static gssize
write_next(VimgOutbox *outbox, int fd)
{
    const VimgPacket *first = outbox->flight.head;
    gssize done;

    if (outbox->sent < bytes_of(first))
        return first->pipe ? vimg_pipe_drain(first->pipe, fd) : write_flight(outbox, fd);
    done = write_fd(fd, first->fds[outbox->sent_fds]);
    if (done > 0)
        outbox->sent_fds++;
    return done > 0 ? 0 : done;
}

static void
advance(VimgOutbox *outbox, gsize done)
{
    outbox->sent += done;
    outbox->written += done;
    while (outbox->flight.head) {
        const VimgPacket *first = outbox->flight.head;

        if (outbox->sent < bytes_of(first) || outbox->sent_fds < first->n_fds)
            return;
        outbox->sent -= bytes_of(first);
        outbox->sent_fds = 0;
        outbox->n_fds -= first->n_fds;
        vimg_packet_free(vimg_packet_queue_pop(&outbox->flight));
    }
}

VimgOutboxResult
vimg_outbox_flush(VimgOutbox *outbox, int fd)
{
    guint budget = STREAM_PACKETS_MAX;

    while (fill_flight(outbox, &budget)) {
        gssize done = write_next(outbox, fd);

        if (done < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? VIMG_OUTBOX_MORE : VIMG_OUTBOX_FAILED;
        advance(outbox, done);
    }
    return budget == 0 && !g_queue_is_empty(&outbox->streams) ? VIMG_OUTBOX_MORE
                                                              : VIMG_OUTBOX_EMPTY;
}
