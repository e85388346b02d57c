/*
 * test-index.c: slice indexes, good and hostile
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "index.h"
#include "slice.h"
#include "slicer.h"

#define KIB ((guint64)1024)

static VimgIndex *
sample(gsize n)
{
    VimgIndexSizes sizes = vimg_slicer_sizes(VIMG_CUT_FIXED, 64 * KIB);
    VimgIndex *index = vimg_index_new(&sizes);
    gsize i;

    for (i = 0; i < n; i++) {
        VimgSliceId id = {{(guint8)i}};

        g_assert_true(vimg_index_append(index, i + 1 == n ? 100 : 64 * KIB, &id, NULL));
    }
    return index;
}

static void
test_round_trip(void)
{
    gsize n;

    for (n = 0; n < 5; n++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgIndex) index = sample(n);
        g_autoptr(VimgBuffer) bytes = vimg_index_encode(index);
        g_autoptr(VimgIndex) back = vimg_index_decode(bytes->data, bytes->size, &error);
        g_autoptr(VimgBuffer) again = NULL;

        g_assert_no_error(error);
        g_assert_cmpuint(bytes->size, ==, 104 + 40 * n);
        g_assert_cmpuint(vimg_index_count(back), ==, n);
        g_assert_cmpuint(vimg_index_length(back), ==, n ? (n - 1) * 64 * KIB + 100 : 0);
        again = vimg_index_encode(back);
        g_assert_cmpmem(bytes->data, bytes->size, again->data, again->size);
    }
}

static void
test_find(void)
{
    g_autoptr(VimgIndex) index = sample(4);

    g_assert_cmpuint(vimg_index_find(index, 0), ==, 0);
    g_assert_cmpuint(vimg_index_find(index, 64 * KIB - 1), ==, 0);
    g_assert_cmpuint(vimg_index_find(index, 64 * KIB), ==, 1);
    g_assert_cmpuint(vimg_index_find(index, 3 * 64 * KIB + 99), ==, 3);
    g_assert_cmpuint(vimg_index_find(index, 3 * 64 * KIB + 100), ==, 4);
    g_assert_cmpuint(vimg_index_find(index, G_MAXUINT64), ==, 4);
}

/* One 64-bit word of an index of three slices changed; it must not be taken. */
static const struct {
    const char *name;
    gsize at;
    guint64 value;
    gboolean good;
} words[] = {
    {"index-size", 0, 49, FALSE},
    {"index-type", 8, 1, FALSE},
    {"flags-none", 16, 0, TRUE},
    {"flags-sha512-256", 16, G_GUINT64_CONSTANT(0xb000000000000000), FALSE},
    {"min-zero", 24, 0, FALSE},
    {"min-above-avg", 24, 65537, FALSE},
    {"avg-above-max", 32, G_GUINT64_CONSTANT(1) << 30, FALSE},
    {"max-too-large", 40, 128 * 1024 * 1024, FALSE},
    {"max-below-slice", 40, 65535, FALSE},
    {"table-size", 48, 16, FALSE},
    {"table-type", 56, 0, FALSE},
    {"end-zero", 64, 0, FALSE},
    {"end-beyond-max", 64, 65 * 1024 * 1024, FALSE},
    {"end-falls", 104, 65536, FALSE},
    {"end-huge", 144, G_MAXUINT64, FALSE},
    {"tail-fill", 184, 1, FALSE},
    {"tail-fill-2", 192, 1, FALSE},
    {"tail-offset", 200, 0, FALSE},
    {"tail-size", 208, 16 + 40 * 2 + 40, FALSE},
    {"tail-marker", 216, 0, FALSE},
};

static void
test_word(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgIndex) index = sample(3);
    g_autoptr(VimgBuffer) bytes = vimg_index_encode(index);
    g_autoptr(VimgIndex) back = NULL;
    guint64 value = GUINT64_TO_LE(words[i].value);

    memcpy(bytes->data + words[i].at, &value, sizeof(value));
    back = vimg_index_decode(bytes->data, bytes->size, &error);
    g_assert_true((back != NULL) == words[i].good);
    if (!words[i].good)
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
}

/* Every shorter file, and one with bytes behind. */
static void
test_lengths(void)
{
    g_autoptr(VimgIndex) index = sample(3);
    g_autoptr(VimgBuffer) bytes = vimg_index_encode(index);
    g_autofree guint8 *longer = g_malloc0(bytes->size + 40);
    gsize n;

    memcpy(longer, bytes->data, bytes->size);
    for (n = 0; n <= bytes->size + 40; n++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgIndex) back = NULL;

        if (n == bytes->size)
            continue;
        back = vimg_index_decode(longer, n, &error);
        g_assert_null(back);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    }
}

static void
test_zero_ids(void)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autofree guint8 *zeros = g_malloc0(VIMG_ZERO_MAX);
    guint64 length;

    for (length = VIMG_ZERO_MIN; length <= VIMG_ZERO_MAX; length *= 2) {
        VimgSliceId id;

        vimg_slice_hash(tools, zeros, length, &id);
        g_assert_nonnull(vimg_zero_id(length));
        g_assert_true(vimg_id_equal(&id, vimg_zero_id(length)));
    }
    g_assert_null(vimg_zero_id(VIMG_ZERO_MIN / 2));
    g_assert_null(vimg_zero_id(VIMG_ZERO_MAX * 2));
    g_assert_null(vimg_zero_id(VIMG_ZERO_MIN * 3));
    g_assert_null(vimg_zero_id(0));
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imagestore/index/round-trip", test_round_trip);
    g_test_add_func("/imagestore/index/find", test_find);
    g_test_add_func("/imagestore/index/lengths", test_lengths);
    g_test_add_func("/imagestore/index/zero-ids", test_zero_ids);
    for (i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *path = g_strconcat("/imagestore/index/word/", words[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_word);
    }
    return g_test_run();
}
