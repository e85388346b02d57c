/*
 * test-slicer.c: where images are cut
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "slicer.h"
#include "store-helper.h"

/* ---- at fixed offsets ------------------------------------------------------------------- */

static gboolean
note_slice(const VimgSlice *slice, gpointer data, GError **error)
{
    g_string_append_printf(data, "%s%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT " ",
                           slice->data ? "" : "z", slice->offset / 1024, slice->length / 1024);
    return TRUE;
}

/* d: a block of data, z: of zeros, h: a hole of a block, H: of 64 MiB; cut in units of KiB. */
static const struct {
    const char *blocks;
    const char *slices;
} cuts[] = {
    {"", ""},
    {"d", "0+64 "},
    {"z", "z0+64 "},
    {"zz", "z0+128 "},
    {"dzz", "0+64 z64+64 z128+64 "},
    {"dzzz", "0+64 z64+64 z128+128 "},
    {"zzz", "z0+128 z128+64 "},
    {"zhzhzd", "z0+256 z256+64 320+64 "},
    {"dhhhd", "0+64 z64+64 z128+128 256+64 "},
    {"H", "z0+65536 "},
    {"HH", "z0+65536 z65536+65536 "},
    {"dH", "0+64 z64+64 z128+128 z256+256 z512+512 z1024+1024 z2048+2048 z4096+4096 z8192+8192 "
           "z16384+16384 z32768+32768 z65536+64 "},
};

static void
test_cuts(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) found = g_string_new(NULL);
    g_autoptr(VimgSlicer) slicer = vimg_slicer_new(VIMG_CUT_FIXED, 64 * KIB, 0, note_slice, found);
    const char *b;

    for (b = cuts[i].blocks; *b; b++) {
        g_autoptr(VimgBuffer) block = vimg_buffer_new(64 * KIB);

        memset(block->data, 0, block->size);
        if (*b == 'd')
            block->data[65535] = 1;
        if (*b == 'h' || *b == 'H')
            vimg_slicer_hole(slicer, *b == 'h' ? 64 * KIB : VIMG_ZERO_MAX, &error);
        else
            vimg_slicer_write(slicer, block, 0, block->size, &error);
    }
    vimg_slicer_finish(slicer, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found->str, ==, cuts[i].slices);
}

static void
test_is_zero(void)
{
    static const guint8 zeros[70] = {0};
    guint8 bytes[70];
    gsize i;

    g_assert_true(vimg_is_zero(zeros, 0));
    g_assert_true(vimg_is_zero(zeros, 1));
    g_assert_true(vimg_is_zero(zeros, sizeof(zeros)));
    for (i = 0; i < sizeof(bytes); i++) {
        memset(bytes, 0, sizeof(bytes));
        bytes[i] = 1;
        g_assert_false(vimg_is_zero(bytes, sizeof(bytes)));
        g_assert_true(vimg_is_zero(bytes, i));
    }
}

/* ---- by content ------------------------------------------------------------------------- */

#define SLICE (64 * KIB)

typedef struct {
    guint64 offset;
    guint64 length;
    guint64 zero; /* 0 or 1; as wide as the others, so that memory compares */
} Found;

static gboolean
keep_slice(const VimgSlice *slice, gpointer data, GError **error)
{
    Found found = {slice->offset, slice->length, !slice->data};

    g_array_append_val((GArray *)data, found);
    return TRUE;
}

/* Zeros from @at on. */
static gsize
zeros_at(const VimgBuffer *content, gsize at)
{
    gsize n = 0;

    while (at + n < content->size && content->data[at + n] == 0)
        n++;
    return n;
}

/* Where content without long runs of zeros is cut: the format's description, to the letter. */
static void
expect_data(const VimgBuffer *content, gsize from, gsize to, GArray *out)
{
    static guint64 gear[256];
    guint64 state = G_GUINT64_CONSTANT(0x76697274696d6167);
    guint64 hash = 0;
    gsize begin = from;
    gsize i;

    for (i = 0; i < 256; i++) {
        guint64 z = state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
        gear[i] = z ^ (z >> 31);
    }
    for (i = from; i < to; i++) {
        gsize length = i + 1 - begin;

        hash = (hash << 1) + gear[content->data[i]];
        /* the upper 15 bits are 0: once in 32 KiB */
        if ((length >= SLICE / 4 && hash >> 49 == 0) || length == 4 * SLICE || i + 1 == to) {
            Found found = {begin, length, FALSE};

            g_array_append_val(out, found);
            begin = i + 1;
            hash = 0;
        }
    }
}

static GArray *
expect(const VimgBuffer *content)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(Found));
    gsize begin = 0;
    gsize at = 0;

    while (at < content->size) {
        gsize run = zeros_at(content, at);
        guint64 piece;

        if (run < SLICE) {
            at += MAX(run, 1);
            continue;
        }
        expect_data(content, begin, at, out);
        for (piece = VIMG_ZERO_MAX; piece >= SLICE; piece /= 2) {
            for (; run >= piece; run -= piece, at += piece) {
                Found found = {at, piece, TRUE};

                g_array_append_val(out, found);
            }
        }
        begin = at;
        at += run;
    }
    expect_data(content, begin, content->size, out);
    return out;
}

/* Feeds @content in random pieces, zeros now and then as holes. */
static GArray *
cut(const VimgBuffer *content, GRand *rnd, gsize most)
{
    g_autoptr(GError) error = NULL;
    GArray *out = g_array_new(FALSE, FALSE, sizeof(Found));
    g_autoptr(VimgSlicer) slicer = vimg_slicer_new(VIMG_CUT_CONTENT, SLICE, 0, keep_slice, out);
    g_autoptr(VimgBuffer) copy = vimg_buffer_new(content->size);
    gsize at = 0;

    memcpy(copy->data, content->data, content->size);
    while (at < content->size) {
        gsize n = (gsize)g_rand_int_range(rnd, 1, (gint32)most + 1);
        gsize zeros = zeros_at(content, at);

        n = MIN(n, content->size - at);
        if (zeros > 0 && g_rand_boolean(rnd)) {
            n = MIN(n, zeros);
            vimg_slicer_hole(slicer, n, &error);
        } else {
            vimg_slicer_write(slicer, copy, at, n, &error);
        }
        g_assert_no_error(error);
        at += n;
    }
    vimg_slicer_finish(slicer, &error);
    g_assert_no_error(error);
    return out;
}

/* Data, and between it runs of zeros of every length about what matters. */
static VimgBuffer *
mixed_content(GRand *rnd)
{
    static const gsize lengths[] = {1,         63,        64,        4095,          4096,
                                    8191,      SLICE / 4, SLICE - 1, SLICE,         SLICE + 1,
                                    2 * SLICE, 3 * SLICE, 5 * SLICE, 5 * SLICE + 77};
    VimgBuffer *content = helper_content(g_rand_int(rnd), 2 * MIB, 0);
    gsize at = 0;

    while (at < content->size) {
        gsize n = lengths[g_rand_int_range(rnd, 0, G_N_ELEMENTS(lengths))];

        at += g_rand_boolean(rnd) ? (gsize)g_rand_int_range(rnd, 1, 6 * SLICE)
                                  : lengths[g_rand_int_range(rnd, 0, G_N_ELEMENTS(lengths))];
        if (at >= content->size)
            break;
        n = MIN(n, content->size - at);
        memset(content->data + at, 0, n);
        at += n;
    }
    return content;
}

static void
test_content(void)
{
    static const gsize pieces[] = {4 * MIB, 300000, 4097, 1000};
    g_autoptr(GRand) rnd = g_rand_new_with_seed(7);
    gsize round;
    gsize i;

    for (round = 0; round < 6; round++) {
        g_autoptr(VimgBuffer) content = mixed_content(rnd);
        g_autoptr(GArray) wanted = expect(content);

        for (i = 0; i < G_N_ELEMENTS(pieces); i++) {
            g_autoptr(GArray) found = cut(content, rnd, pieces[i]);

            g_assert_cmpmem(found->data, found->len * sizeof(Found), wanted->data,
                            wanted->len * sizeof(Found));
        }
    }
}

/* What the hash is for: bytes put in at the beginning move the cuts, and change only a few. */
static void
test_shift(void)
{
    g_autoptr(VimgBuffer) content = helper_content(3, 4 * MIB, 0);
    g_autoptr(VimgBuffer) shifted = vimg_buffer_new(content->size + 777);
    g_autoptr(GRand) rnd = g_rand_new_with_seed(8);
    g_autoptr(GArray) a = cut(content, rnd, 100000);
    g_autoptr(GArray) b = NULL;
    guint same = 0;
    guint i;
    guint j;

    memset(shifted->data, 'x', 777);
    memcpy(shifted->data + 777, content->data, content->size);
    b = cut(shifted, rnd, 100000);
    for (i = 0, j = 0; i < a->len; i++) {
        const Found *one = &g_array_index(a, Found, i);

        while (j < b->len && g_array_index(b, Found, j).offset < one->offset + 777)
            j++;
        same += j < b->len && g_array_index(b, Found, j).offset == one->offset + 777 &&
                g_array_index(b, Found, j).length == one->length;
    }
    g_assert_cmpuint(a->len, >, 40);
    g_assert_cmpuint(same, >=, a->len - 3);
}

/* A hole of terabytes costs its slices and nothing else. */
static void
test_huge_hole(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(Found));
    g_autoptr(VimgSlicer) slicer = vimg_slicer_new(VIMG_CUT_CONTENT, SLICE, 0, keep_slice, out);
    g_autoptr(VimgBuffer) one = vimg_buffer_new(1);
    const guint64 hole = ((guint64)1 << 40) + SLICE + 5;

    one->data[0] = 1;
    vimg_slicer_write(slicer, one, 0, 1, &error);
    vimg_slicer_hole(slicer, hole, &error);
    vimg_slicer_write(slicer, one, 0, 1, &error);
    vimg_slicer_finish(slicer, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(out->len, ==, 1 + (1 << 14) + 1 + 1);
    g_assert_cmpuint(g_array_index(out, Found, out->len - 2).length, ==, SLICE);
    g_assert_cmpuint(g_array_index(out, Found, out->len - 1).offset, ==, 1 + hole - 5);
    g_assert_cmpuint(g_array_index(out, Found, out->len - 1).length, ==, 6);
}

static void
test_formats(void)
{
    g_assert_cmpint(vimg_slicer_cut("raw"), ==, VIMG_CUT_FIXED);
    g_assert_cmpint(vimg_slicer_cut("iso"), ==, VIMG_CUT_FIXED);
    g_assert_cmpint(vimg_slicer_cut("qcow2"), ==, VIMG_CUT_CONTENT);
    g_assert_cmpint(vimg_slicer_cut("vhdx"), ==, VIMG_CUT_CONTENT);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cuts); i++) {
        g_autofree char *path = g_strdup_printf("/imagestore/slicer/cuts/%zu", i);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_cuts);
    }
    g_test_add_func("/imagestore/slicer/is-zero", test_is_zero);
    g_test_add_func("/imagestore/slicer/formats", test_formats);
    g_test_add_func("/imagestore/slicer/content", test_content);
    g_test_add_func("/imagestore/slicer/shift", test_shift);
    g_test_add_func("/imagestore/slicer/huge-hole", test_huge_hole);
    return g_test_run();
}
