/*
 * test-content.c: content into images and out of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "content-helper.h"
#include "digest.h"
#include "throw.h"

#define SIZE (37 * MIB + 12345)

/* ---- the digest ------------------------------------------------------------------------- */

static char *
sum_up(const VimgBuffer *content, gsize packet, gboolean holes)
{
    g_autoptr(VimgCephDigest) digest = vimg_ceph_digest_new();
    gsize at;

    for (at = 0; at < content->size; at += packet) {
        gsize n = MIN(packet, content->size - at);
        const guint8 *data = content->data + at;

        vimg_ceph_digest_add(
            digest, holes && data[0] == 0 && !memcmp(data, data + 1, n - 1) ? NULL : data, n);
    }
    g_assert_cmpuint(vimg_ceph_digest_at(digest), ==, content->size);
    return vimg_ceph_digest_finish(digest);
}

static void
test_digest(void)
{
    static const gsize packets[] = {1000, 65536, 4 << 20, 5 << 20, 64 << 20};
    g_autoptr(VimgBuffer) content = content_new(SIZE, 1);
    g_autofree char *wanted = sum_up(content, 3 << 20, FALSE);
    g_autofree char *longer = NULL;
    g_autofree char *changed = NULL;
    gsize i;

    for (i = 0; i < 2 * G_N_ELEMENTS(packets); i++) {
        g_autofree char *sum = sum_up(content, packets[i / 2], i % 2);

        g_assert_cmpstr(sum, ==, wanted);
    }
    content->size--;
    longer = sum_up(content, 1 << 20, TRUE);
    g_assert_cmpstr(longer, !=, wanted);
    content->size++;
    content->data[SIZE - 1] ^= 1;
    changed = sum_up(content, 1 << 20, TRUE);
    g_assert_cmpstr(changed, !=, wanted);
}

/* ---- in and out ------------------------------------------------------------------------- */

static void
test_round_trip(Fixture *fixture, gconstpointer data)
{
    static const gsize sizes[] = {1, 511, 4 << 20, (4 << 20) + 1, SIZE};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *name = g_strdup_printf("i%zu", i);
        g_autoptr(VimgBuffer) content = content_new(sizes[i], i);
        g_autofree char *uuid = content_upload(fixture, name, content);

        assert_content(fixture, uuid, content, 0);
        assert_content(fixture, uuid, content, sizes[i] / 2);
        assert_content(fixture, uuid, content, sizes[i]);
        assert_exported(name, content);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    image_helper_init();
    g_test_add_func("/ceph/content/digest", test_digest);
    image_helper_add("/ceph/content/round-trip", test_round_trip);
    return g_test_run();
}
