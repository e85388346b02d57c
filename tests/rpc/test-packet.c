/*
 * test-packet.c: what packets on their way cost, which is what bounds them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/packet.h"

#define N 1000

static const VimgFrameHeader header = {.program = 1, .version = 1};

/* Nobody gets more memory out of many small packets than out of one large packet. */
static void
test_cost(void)
{
    VimgPacketQueue queue = {0};
    VimgBuffer *shared = vimg_buffer_new(1000);

    for (guint i = 0; i < N; i++)
        vimg_packet_queue_push(&queue, vimg_packet_new_payload(&header, NULL, 0, 0));
    g_assert_cmpuint(queue.bytes, >=, N * sizeof(VimgPacket));
    vimg_packet_queue_push(&queue, vimg_packet_new_payload(&header, shared, 100, 700));
    g_assert_cmpuint(queue.bytes, >=, (N + 1) * sizeof(VimgPacket) + 700);
    vimg_packet_queue_push(&queue, vimg_packet_new(vimg_buffer_ref(shared)));
    g_assert_cmpuint(queue.bytes, >=, (N + 2) * sizeof(VimgPacket) + 1700);
    g_assert_cmpuint(queue.length, ==, N + 2);
    vimg_packet_free(vimg_packet_queue_pop(&queue));
    vimg_packet_queue_clear(&queue);
    g_assert_cmpuint(queue.bytes, ==, 0);
    g_assert_cmpuint(queue.length, ==, 0);
    vimg_buffer_unref(shared);
}

static void
test_secret(void)
{
    for (int secret = FALSE; secret <= TRUE; secret++) {
        g_autoptr(VimgBuffer) body = vimg_buffer_new(6);
        VimgPacket *packet;

        memcpy(body->data, "secret", 6);
        packet = vimg_packet_new(vimg_buffer_ref(body));
        packet->secret = secret;
        vimg_packet_free(packet);
        g_assert_cmpmem(body->data, 6, secret ? "\0\0\0\0\0\0" : "secret", 6);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/packet/cost", test_cost);
    g_test_add_func("/packet/secret", test_secret);
    return g_test_run();
}
