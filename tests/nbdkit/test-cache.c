/*
 * test-cache.c: blocks of an image that is served, asked of a daemon that is none
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cache.h"
#include "util/thread.h"

#define BLOCK VIMG_EXPORTER_PIECE
#define SIZE (100 * BLOCK + 513)
#define HOLE (3 * BLOCK) /* from here on, two blocks of zeros */
#define THREADS 16

static struct {
    VimgMutex lock;
    guint reads;       /* that began */
    guint64 at;        /* where the last one began */
    guint jumps;       /* reads that did not begin where another had ended */
    guint8 ended[101]; /* blocks behind which somebody has stopped */
    guint failing;     /* so many reads fail */
} daemon_;

static guint8
byte_at(guint64 offset)
{
    if (offset >= HOLE && offset < HOLE + 2 * BLOCK)
        return 0;
    return (guint8)(offset % 251 + offset / BLOCK % 5);
}

/* At most half a block at a time, so that a block takes several. */
VimgExporterStatus
vimg_exporter_link_read(VimgExporterLink *link, const guint8 *hash, guint64 offset, guint64 length,
                        gpointer out, gsize most, guint64 *got, gboolean *zeros)
{
    VIMG_LOCK_GUARD(&daemon_.lock);

    g_assert_cmpuint(length, >, 0);
    g_assert_cmpuint(most, ==, length);
    g_assert_cmpuint(offset + length, <=, SIZE);
    daemon_.reads++;
    if (daemon_.failing > 0) {
        daemon_.failing--;
        return VIMG_EXPORTER_BUSY;
    }
    if (offset % BLOCK == 0 && offset > 0 && !daemon_.ended[offset / BLOCK])
        daemon_.jumps++;
    *zeros = offset >= HOLE && offset < HOLE + 2 * BLOCK;
    *got = *zeros ? length : MIN(length, BLOCK / 2);
    for (guint64 i = 0; !*zeros && i < *got; i++)
        ((guint8 *)out)[i] = byte_at(offset + i);
    if ((offset + *got) % BLOCK == 0)
        daemon_.ended[(offset + *got) / BLOCK] = TRUE;
    return VIMG_EXPORTER_OK;
}

static VimgNbdCache *
set_up(void)
{
    static GPtrArray *all; /* none is ever freed */

    if (!all)
        all = g_ptr_array_new();
    memset(&daemon_, 0, sizeof(daemon_));
    vimg_mutex_init(&daemon_.lock);
    g_ptr_array_add(all, vimg_nbd_cache_new(NULL, SIZE));
    return all->pdata[all->len - 1];
}

static void
assert_read(VimgNbdCache *cache, guint64 offset, gsize count)
{
    g_autofree guint8 *out = g_malloc0(count);

    g_assert_cmpint(vimg_nbd_cache_read(cache, out, count, offset), ==, VIMG_EXPORTER_OK);
    for (gsize i = 0; i < count; i++) {
        if (out[i] != byte_at(offset + i))
            g_error("byte %" G_GSIZE_FORMAT " at %" G_GUINT64_FORMAT " differs", i, offset);
    }
}

static void
test_ranges(void)
{
    static const struct {
        guint64 offset;
        gsize count;
    } cases[] = {
        {0, 1},
        {BLOCK - 1, 1},
        {BLOCK - 1, 2},
        {BLOCK, BLOCK},
        {7, 2 * BLOCK},
        {HOLE - 3, 6},
        {HOLE, 2 * BLOCK},
        {HOLE + 2 * BLOCK - 1, 2},
        {SIZE - 1, 1},
        {SIZE - 514, 514},
        {2 * BLOCK + 5, 3 * BLOCK + 1},
        {0, 5 * BLOCK},
    };
    VimgNbdCache *cache = set_up();

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_read(cache, cases[i].offset, cases[i].count);
    g_assert_cmpint(vimg_nbd_cache_read(cache, NULL, 0, 0), ==, VIMG_EXPORTER_OK);
}

/* What was read is read once, until too much else was. */
static void
test_kept(void)
{
    VimgNbdCache *cache = set_up();

    for (guint i = 0; i < 1000; i++)
        assert_read(cache, i * 1000, 1000);
    g_assert_cmpuint(daemon_.reads, ==, 2);
    for (guint i = 0; i < 100; i++)
        assert_read(cache, i * BLOCK, 1);
    daemon_.reads = 0;
    assert_read(cache, 99 * BLOCK, 10);
    g_assert_cmpuint(daemon_.reads, ==, 0);
    assert_read(cache, 0, 10);
    g_assert_cmpuint(daemon_.reads, ==, 2);
}

static void
test_failure(void)
{
    VimgNbdCache *cache = set_up();
    guint8 out[10];

    daemon_.failing = 1;
    g_assert_cmpint(vimg_nbd_cache_read(cache, out, sizeof(out), 5), ==, VIMG_EXPORTER_BUSY);
    assert_read(cache, 5, 10);
    daemon_.failing = 1;
    g_assert_cmpint(vimg_nbd_cache_read(cache, out, sizeof(out), BLOCK - 5 + BLOCK), ==,
                    VIMG_EXPORTER_BUSY);
    assert_read(cache, 0, 3 * BLOCK);
}

/* ---- threads ------------------------------------------------------------------------------ */

static struct {
    VimgNbdCache *cache;
    gsize piece;
    guint64 next; /* atomic */
} shared;

static void
read_pieces(gpointer unused)
{
    guint64 at;

    while ((at = __atomic_fetch_add(&shared.next, shared.piece, __ATOMIC_RELAXED)) < SIZE)
        assert_read(shared.cache, at, MIN(shared.piece, SIZE - at));
}

/* Each block is asked for once, behind the one before, however small or large the pieces. */
static void
test_threads(void)
{
    static const gsize pieces[] = {BLOCK / 4, BLOCK, 2 * BLOCK, 5 * BLOCK / 2};

    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        VimgThread threads[THREADS];

        shared.cache = set_up();
        shared.piece = pieces[i];
        shared.next = 0;
        for (guint n = 0; n < THREADS; n++)
            g_assert_true(vimg_thread_start(&threads[n], "reader", read_pieces, NULL, NULL));
        for (guint n = 0; n < THREADS; n++)
            vimg_thread_join(threads[n]);
        g_assert_cmpuint(daemon_.reads, ==, 2 * 98 + 2 + 1);
        g_assert_cmpuint(daemon_.jumps, <=, THREADS);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nbdkit/cache/ranges", test_ranges);
    g_test_add_func("/nbdkit/cache/kept", test_kept);
    g_test_add_func("/nbdkit/cache/failure", test_failure);
    g_test_add_func("/nbdkit/cache/threads", test_threads);
    return g_test_run();
}
