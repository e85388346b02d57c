/*
 * test-crc64.c: known sums, and sums of pieces against those of the whole
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <lzma.h>

#include "crc64.h"

static void
test_known(void)
{
    static const guint8 zeros[32];

    g_assert_cmpuint(vimg_crc64(0, "", 0), ==, 0);
    g_assert_cmpuint(vimg_crc64(0, "123456789", 9), ==, G_GUINT64_CONSTANT(11051210869376104954));
    g_assert_cmpuint(vimg_crc64(0, "hello world", 11), ==, G_GUINT64_CONSTANT(5981764153023615706));
    g_assert_cmpuint(vimg_crc64(0, zeros, 32), ==, G_GUINT64_CONSTANT(14509182247117337356));
}

/* By our own way for long ones, and by the library alone. */
static void
test_lengths(void)
{
    const gsize most = 2000;
    gsize size;

    for (size = 0; size <= most; size++) {
        gsize unaligned = size % 17;
        /* its end is that of what was allocated, so that a sanitizer sees who reads on */
        g_autofree guint8 *bytes = g_malloc(unaligned + size + 1);
        guint64 before = size * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
        gsize i;

        for (i = 0; i <= unaligned + size; i++)
            bytes[i] = (guint8)((i + size) * 2654435761u >> 11);
        g_assert_cmpuint(vimg_crc64(before, bytes + unaligned + 1, size), ==,
                         lzma_crc64(bytes + unaligned + 1, size, before));
    }
}

static void
test_combine(void)
{
    static const gsize cuts[] = {0, 1, 2, 7, 255, 256, 4095, 65535, 65536};
    g_autofree guint8 *bytes = g_malloc(65536);
    guint64 whole;
    gsize i;

    for (i = 0; i < 65536; i++)
        bytes[i] = (guint8)(i * 2654435761u >> 11);
    whole = vimg_crc64(0, bytes, 65536);
    for (i = 0; i < G_N_ELEMENTS(cuts); i++) {
        guint64 first = vimg_crc64(0, bytes, cuts[i]);
        guint64 second = vimg_crc64(0, bytes + cuts[i], 65536 - cuts[i]);

        g_assert_cmpuint(vimg_crc64(first, bytes + cuts[i], 65536 - cuts[i]), ==, whole);
        g_assert_cmpuint(vimg_crc64_combine(first, second, 65536 - cuts[i]), ==, whole);
    }
}

/* 2^40 zeros, of which nobody has the bytes: made by doubling, in another order than in one step */
static void
test_long(void)
{
    guint64 crc = vimg_crc64(0, "", 1);
    guint64 by_steps = 0;
    guint64 length = 1;
    guint i;

    for (i = 0; i < 40; i++, length *= 2)
        crc = vimg_crc64_combine(crc, crc, length);
    for (i = 0; i < 1024; i++) {
        guint64 piece = vimg_crc64(0, "", 1);
        guint64 n = 1;

        for (; n < length / 1024; n *= 2)
            piece = vimg_crc64_combine(piece, piece, n);
        by_steps = vimg_crc64_combine(by_steps, piece, n);
    }
    g_assert_cmpuint(crc, ==, by_steps);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crc64/known", test_known);
    g_test_add_func("/crc64/lengths", test_lengths);
    g_test_add_func("/crc64/combine", test_combine);
    g_test_add_func("/crc64/long", test_long);
    return g_test_run();
}
