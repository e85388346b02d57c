/*
 * test-marks.c: the set of slice ids against one that is slow and simple
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "marks.h"

#define MEMORY_A_SLICE 48

static void
random_id(GRand *chance, VimgSliceId *out)
{
    gsize i;

    for (i = 0; i < VIMG_ID_SIZE; i++)
        out->bytes[i] = (guint8)g_rand_int(chance);
}

static void
test_random(void)
{
    g_autoptr(VimgMarks) marks = vimg_marks_new();
    g_autoptr(GHashTable) reference =
        g_hash_table_new_full(vimg_id_hash, vimg_id_equal_func, g_free, NULL);
    GRand *chance = g_rand_new_with_seed(1);
    GHashTableIter iter;
    gpointer id;
    guint i;

    for (i = 0; i < 200000; i++) {
        VimgSliceId other;

        random_id(chance, &other);
        g_assert_false(vimg_marks_has(marks, &other));
        if (i % 2 == 0)
            continue;
        vimg_marks_add(marks, &other);
        g_hash_table_add(reference, g_memdup2(&other, sizeof(other)));
        /* again */
        if (i % 16 == 1)
            vimg_marks_add(marks, &other);
    }
    g_assert_cmpuint(vimg_slots_count(marks), ==, g_hash_table_size(reference));
    g_hash_table_iter_init(&iter, reference);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        g_assert_true(vimg_marks_has(marks, id));
    g_rand_free(chance);
}

/* Ids that differ in one bit only: those that begin their search at one slot, and twins. */
static void
test_alike(void)
{
    g_autoptr(VimgMarks) marks = vimg_marks_new();
    VimgSliceId id = {{0}};
    gsize twins = 0;
    gsize bit;

    for (bit = 0; bit < 8 * VIMG_ID_SIZE; bit++) {
        gsize before = vimg_slots_count(marks);
        gboolean known;

        id.bytes[bit / 8] = (guint8)(1 << bit % 8);
        known = vimg_marks_has(marks, &id);
        vimg_marks_add(marks, &id);
        g_assert_true(vimg_marks_has(marks, &id));
        /* one it has is no new one: at worst a slice stays */
        g_assert_cmpuint(vimg_slots_count(marks), ==, before + !known);
        twins += known;
        id.bytes[bit / 8] = 0;
    }
    /* 64 bits and the first byte tell ids apart */
    g_assert_cmpuint(vimg_slots_count(marks), >=, 64 + 8);
    g_assert_cmpuint(vimg_slots_count(marks) + twins, ==, 8 * VIMG_ID_SIZE);
    /* a free slot is no id, also not that of zeros */
    vimg_marks_free(g_steal_pointer(&marks));
    marks = vimg_marks_new();
    g_assert_false(vimg_marks_has(marks, &id));
    vimg_marks_add(marks, &id);
    g_assert_true(vimg_marks_has(marks, &id));
}

/* Also right after it grew. */
static void
test_memory(void)
{
    g_autoptr(VimgMarks) marks = vimg_marks_new();
    GRand *chance = g_rand_new_with_seed(2);
    gsize n;

    for (n = 1; n <= 1000000; n++) {
        VimgSliceId id;

        random_id(chance, &id);
        vimg_marks_add(marks, &id);
        if (n >= 1000 && (n % 1000 == 0 || n < 20000))
            g_assert_cmpuint(vimg_slots_memory(marks), <=, n * MEMORY_A_SLICE);
    }
    g_assert_cmpuint(vimg_slots_count(marks), ==, 1000000);
    g_rand_free(chance);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imagestore/marks/random", test_random);
    g_test_add_func("/imagestore/marks/alike", test_alike);
    g_test_add_func("/imagestore/marks/memory", test_memory);
    return g_test_run();
}
