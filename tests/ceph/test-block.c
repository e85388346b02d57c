/*
 * test-block.c: pieces of any size are written as the bytes they are, but for runs of zeros
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/uio.h>

#include "block.h"
#include "content-helper.h"
#include "zero.h"

/* In pieces of @packet bytes, of which those that are zeros are holes. */
static VimgCephBlock *
make_block(VimgBuffer *content, gsize packet)
{
    VimgCephBlock *block = vimg_ceph_block_new(12345);
    gsize at;

    for (at = 0; at < content->size; at += packet) {
        gsize n = MIN(packet, content->size - at);

        vimg_ceph_block_add(block, is_zero(content->data + at, n) ? NULL : content, at, n);
    }
    return block;
}

/* Returns: bytes of it. */
static gsize
check_run(const VimgCephBlock *block, const VimgCephRun *run, const VimgBuffer *content)
{
    g_autoptr(GArray) iov = vimg_ceph_block_iov(block, run);
    gsize at = run->start;
    guint i;

    g_assert_cmpuint(iov->len, <=, 2 * ((run->end - run->start) / VIMG_CEPH_CHUNK + 1));
    for (i = 0; i < iov->len; i++) {
        const struct iovec *piece = &g_array_index(iov, struct iovec, i);

        g_assert_cmpuint(piece->iov_len, <=, run->end - at);
        g_assert_true(memcmp(piece->iov_base, content->data + at, piece->iov_len) == 0);
        at += piece->iov_len;
    }
    g_assert_cmpuint(at, ==, run->end);
    return run->end - run->start;
}

static void
check_block(VimgBuffer *content, gsize packet)
{
    g_autoptr(VimgCephBlock) block = make_block(content, packet);
    g_autoptr(GArray) runs = vimg_ceph_block_runs(block);
    gsize end = 0;
    guint i;

    g_assert_cmpuint(vimg_ceph_block_offset(block), ==, 12345);
    for (i = 0; i < runs->len; i++) {
        const VimgCephRun *run = &g_array_index(runs, VimgCephRun, i);

        g_assert_cmpuint(run->start, >=, end);
        g_assert_true(is_zero(content->data + end, run->start - end));
        g_assert_cmpuint(check_run(block, run, content), <=, 2 * MIB);
        end = run->end;
    }
    g_assert_true(is_zero(content->data + end, content->size - end));
}

static void
test_pieces(void)
{
    static const gsize packets[] = {1, 4095, 65535, 65536, 65537, 262120, 4 * MIB};
    guint32 seed;
    gsize i;

    for (seed = 0; seed < 8; seed++) {
        g_autoptr(VimgBuffer) content = content_new(4 * MIB - seed, seed);

        for (i = 0; i < G_N_ELEMENTS(packets); i++)
            check_block(content, packets[i]);
        memset(content->data, (gint)seed % 2, content->size);
        check_block(content, 262120);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ceph/block/pieces", test_pieces);
    return g_test_run();
}
