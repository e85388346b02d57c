/*
 * packet.c: one packet on its way to a client: bytes by reference, never copied
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "rpc/packet.h"
#include "util/wipe.h"

VimgPacket *
vimg_packet_new(VimgBuffer *frame)
{
    VimgPacket *packet = g_new0(VimgPacket, 1);

    packet->body = frame;
    packet->size = frame->size;
    return packet;
}

VimgPacket *
vimg_packet_new_payload(const VimgFrameHeader *header, VimgBuffer *body, gsize offset, gsize size)
{
    VimgPacket *packet = g_new0(VimgPacket, 1);

    vimg_frame_head_encode(header, size, packet->head);
    packet->head_size = sizeof(packet->head);
    if (size) {
        packet->body = vimg_buffer_ref(body);
        packet->offset = offset;
        packet->size = size;
    }
    return packet;
}

VimgPacket *
vimg_packet_new_pipe(VimgPipe *pipe)
{
    VimgPacket *packet = g_new0(VimgPacket, 1);

    packet->pipe = pipe;
    packet->size = vimg_pipe_bytes(pipe);
    return packet;
}

void
vimg_packet_add_fds(VimgPacket *packet, const int *fds, guint n)
{
    packet->fds = g_memdup2(fds, n * sizeof(*fds));
    packet->n_fds = n;
}

void
vimg_packet_free(VimgPacket *packet)
{
    if (!packet)
        return;
    for (guint i = 0; i < packet->n_fds; i++)
        close(packet->fds[i]);
    g_free(packet->fds);
    vimg_pipe_free(packet->pipe);
    if (packet->secret)
        vimg_buffer_wipe(packet->body);
    else
        vimg_buffer_unref(packet->body);
    g_free(packet);
}

static gsize
cost(const VimgPacket *packet)
{
    return sizeof(*packet) + packet->size + (packet->body ? sizeof(*packet->body) : 0);
}

void
vimg_packet_queue_push(VimgPacketQueue *queue, VimgPacket *packet)
{
    packet->next = NULL;
    if (queue->tail)
        queue->tail->next = packet;
    else
        queue->head = packet;
    queue->tail = packet;
    queue->length++;
    queue->bytes += cost(packet);
}

VimgPacket *
vimg_packet_queue_pop(VimgPacketQueue *queue)
{
    VimgPacket *packet = queue->head;

    if (!packet)
        return NULL;
    queue->head = packet->next;
    if (!queue->head)
        queue->tail = NULL;
    queue->length--;
    queue->bytes -= cost(packet);
    packet->next = NULL;
    return packet;
}

void
vimg_packet_queue_clear(VimgPacketQueue *queue)
{
    VimgPacket *packet;

    while ((packet = vimg_packet_queue_pop(queue)))
        vimg_packet_free(packet);
}
