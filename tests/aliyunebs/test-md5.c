/*
 * test-md5.c: sums of several pieces against those that the library makes of each
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crypt.h"
#include "md5.h"

#define MOST 70000

static void
test_lanes(void)
{
    static const gsize sizes[] = {0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 4096, 65535, MOST};
    g_autofree guint8 *bytes = g_malloc(MOST + VIMG_MD5_LANES);
    const guint8 *pieces[VIMG_MD5_LANES];
    guint i, n, lane;

    for (i = 0; i < MOST + VIMG_MD5_LANES; i++)
        bytes[i] = (guint8)(i * 2654435761u >> 11);
    for (i = 0; i < VIMG_MD5_LANES; i++)
        pieces[i] = bytes + i;
    for (i = 0; i < G_N_ELEMENTS(sizes); i++)
        for (n = 1; n <= VIMG_MD5_LANES; n++) {
            guint8 sums[VIMG_MD5_LANES + 1][VIMG_MD5_SIZE] = {0};

            vimg_md5_lanes(pieces, n, sizes[i], sums);
            for (lane = 0; lane < n; lane++) {
                guint8 expected[VIMG_MD5_SIZE];

                vimg_md5(pieces[lane], sizes[i], expected);
                g_assert_cmpmem(sums[lane], VIMG_MD5_SIZE, expected, VIMG_MD5_SIZE);
            }
            g_assert_cmpint(sums[n][0], ==, 0);
        }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/md5/lanes", test_lanes);
    return g_test_run();
}
