/*
 * test-cache.c: blocks of an image that is served, asked of a daemon that is none
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "util/file.h"
#include "util/thread.h"

#define BLOCK VIMG_EXPORTER_PIECE
#define SIZE (100 * BLOCK + 513)
#define HOLE (3 * BLOCK) /* from here on, two blocks of zeros */
#define SLOTS 64
#define THREADS 16

/* Microseconds; only here time goes on. */
static gint64 now;

gint64
g_get_monotonic_time(void)
{
    return __atomic_load_n(&now, __ATOMIC_ACQUIRE);
}

/* The daemon of one cache, which somebody may still read ahead from when the test has ended. */
typedef struct {
    VimgMutex lock;
    VimgCond changed;
    int fd;            /* of the blocks */
    guint reads;       /* that began */
    guint64 until;     /* of the last one */
    guint jumps;       /* reads that did not begin where another had ended */
    guint8 ended[101]; /* blocks behind which somebody has stopped */
    guint failing;     /* so many reads fail */
    guint places;      /* so many more are put into the file, if they should be */
    gboolean maps;     /* it knows of the hole */
} Daemon;

static Daemon *daemon_;

#define PERIOD 251
#define KINDS 5 /* of blocks */

static guint8 rows[KINDS][2 * PERIOD];

static void
make_rows(void)
{
    for (guint kind = 0; kind < KINDS; kind++) {
        for (guint i = 0; i < 2 * PERIOD; i++)
            rows[kind][i] = (guint8)(i % PERIOD + kind);
    }
}

/* With what the image has there. */
static void
fill(guint8 *out, guint64 offset, gsize count)
{
    while (count > 0) {
        gsize n = MIN(MIN(count, PERIOD), BLOCK - (gsize)(offset % BLOCK));

        if (offset >= HOLE && offset < HOLE + 2 * BLOCK)
            memset(out, 0, n);
        else
            memcpy(out, rows[offset / BLOCK % KINDS] + offset % PERIOD, n);
        out += n;
        offset += n;
        count -= n;
    }
}

static gboolean
place(Daemon *daemon, guint64 place, gconstpointer data, gsize size)
{
    if (place == VIMG_EXPORTER_NOWHERE || daemon->places == 0)
        return FALSE;
    daemon->places--;
    return vimg_pwrite_all(daemon->fd, data, size, place) == 0;
}

/* At most half a block at a time, so that a block takes several. */
VimgExporterStatus
vimg_exporter_link_read(VimgExporterLink *link, const guint8 *hash, const VimgExporterRead *read,
                        guint64 *got, VimgExporterWay *way)
{
    Daemon *daemon = (Daemon *)link;
    guint64 offset = read->offset;

    VIMG_LOCK_GUARD(&daemon->lock);

    g_assert_cmpuint(read->length, >, 0);
    g_assert_cmpuint(read->most, ==, read->length);
    g_assert_cmpuint(offset + read->length, <=, SIZE);
    g_assert_cmpuint(read->until, <=, SIZE);
    daemon->reads++;
    daemon->until = read->until;
    vimg_cond_broadcast(&daemon->changed);
    if (daemon->failing > 0) {
        daemon->failing--;
        return VIMG_EXPORTER_BUSY;
    }
    if (offset % BLOCK == 0 && offset > 0 && !daemon->ended[offset / BLOCK])
        daemon->jumps++;
    if (offset >= HOLE && offset < HOLE + 2 * BLOCK) {
        *way = VIMG_EXPORTER_ZEROS;
        *got = read->length;
    } else {
        *got = MIN(read->length, BLOCK / 2);
        fill(read->out, offset, (gsize)*got);
        *way = VIMG_EXPORTER_SENT;
        if (place(daemon, read->place, read->out, (gsize)*got)) {
            memset(read->out, 0xee, (gsize)*got);
            *way = VIMG_EXPORTER_PLACED;
        }
    }
    if ((offset + *got) % BLOCK == 0)
        daemon->ended[(offset + *got) / BLOCK] = TRUE;
    return VIMG_EXPORTER_OK;
}

/* Two extents at a time; the last one says more than there is. */
VimgExporterStatus
vimg_exporter_link_map(VimgExporterLink *link, const guint8 *hash, guint64 offset,
                       VimgExporterExtent *out, guint *n)
{
    static const VimgExporterExtent all[] = {{HOLE, 0, 0}, {2 * BLOCK, 1, 0}, {SIZE, 0, 0}};
    static const VimgExporterExtent data = {SIZE, 0, 0};

    const Daemon *daemon = (const Daemon *)link;

    if (daemon->failing > 0)
        return VIMG_EXPORTER_ENDED;
    *n = daemon->maps && offset == 0 ? 2 : 1;
    memcpy(out, daemon->maps ? all + (offset == 0 ? 0 : 2) : &data, *n * sizeof(*out));
    return VIMG_EXPORTER_OK;
}

static struct {
    GPtrArray *all; /* none is ever freed */
    VimgNbdMap *map;
    int fd;
} here;

static VimgNbdCache *
set_up_with(gboolean maps, int fd, guint64 room)
{
    g_autoptr(GError) error = NULL;
    VimgNbdCache *cache;

    if (!here.all)
        here.all = g_ptr_array_new();
    daemon_ = g_new0(Daemon, 1);
    g_ptr_array_add(here.all, daemon_);
    vimg_mutex_init(&daemon_->lock);
    vimg_cond_init(&daemon_->changed);
    daemon_->fd = fd;
    daemon_->maps = maps;
    daemon_->places = G_MAXUINT;
    here.fd = fd;
    g_assert_cmpint(vimg_nbd_map_load((gpointer)daemon_, SIZE, &here.map), ==, VIMG_EXPORTER_OK);
    g_ptr_array_add(here.all, here.map);
    cache = vimg_nbd_cache_new((gpointer)daemon_, here.map, SIZE, fd, room, &error);
    g_assert_no_error(error);
    g_ptr_array_add(here.all, cache);
    return cache;
}

static int
make_file(void)
{
    char path[] = "test-cache-XXXXXX";
    int fd = mkstemp(path);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(unlink(path), ==, 0);
    return fd;
}

static VimgNbdCache *
set_up(void)
{
    return set_up_with(FALSE, make_file(), SLOTS * BLOCK);
}

static void
assert_read(VimgNbdCache *cache, guint64 offset, gsize count)
{
    g_autofree guint8 *out = g_malloc0(count);
    g_autofree guint8 *expected = g_malloc(count);

    g_assert_cmpint(vimg_nbd_cache_read(cache, out, count, offset), ==, VIMG_EXPORTER_OK);
    fill(expected, offset, count);
    g_assert_cmpmem(out, count, expected, count);
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
    const guint64 rooms[] = {0, BLOCK, 2 * BLOCK, 1000 * BLOCK};

    for (gsize n = 0; n < 2 * G_N_ELEMENTS(rooms); n++) {
        VimgNbdCache *cache = set_up_with(n % 2 == 0, make_file(), rooms[n / 2]);

        for (gsize i = 0; i < 2 * G_N_ELEMENTS(cases); i++)
            assert_read(cache, cases[i / 2].offset, cases[i / 2].count);
        g_assert_cmpint(vimg_nbd_cache_read(cache, NULL, 0, 0), ==, VIMG_EXPORTER_OK);
    }
}

/* What was read is read once, until too much else was. */
static void
test_kept(void)
{
    VimgNbdCache *cache = set_up();

    for (guint i = 0; i < 1000; i++)
        assert_read(cache, i * 1000, 1000);
    g_assert_cmpuint(daemon_->reads, ==, 2);
    for (guint i = 0; i < 100; i++)
        assert_read(cache, i * BLOCK, 1);
    daemon_->reads = 0;
    assert_read(cache, 99 * BLOCK, 10);
    g_assert_cmpuint(daemon_->reads, ==, 0);
    assert_read(cache, 0, 10);
    g_assert_cmpuint(daemon_->reads, ==, 2);
}

/* The file is never larger than it may be, whatever was read. */
static void
test_bound(void)
{
    VimgNbdCache *cache = set_up_with(FALSE, make_file(), 8 * BLOCK + 5);
    struct stat info;

    for (guint i = 0; i < 3; i++)
        assert_read(cache, 0, SIZE);
    g_assert_cmpint(fstat(here.fd, &info), ==, 0);
    g_assert_cmpint(info.st_size, ==, 8 * BLOCK);
    daemon_->reads = 0;
    assert_read(cache, SIZE - 5, 5);
    g_assert_cmpuint(daemon_->reads, ==, 0);
}

/* Of a full disk nothing is kept, and all can be read. */
static void
test_full(void)
{
    VimgNbdCache *cache = set_up_with(FALSE, open("/dev/full", O_RDWR | O_CLOEXEC), 8 * BLOCK);

    for (guint i = 0; i < 2; i++)
        assert_read(cache, 0, SIZE);
    g_assert_cmpuint(daemon_->reads, >=, 4 * 98);
}

/* Returns: how many of all blocks must be asked for again */
static guint
read_again(VimgNbdCache *cache)
{
    daemon_->reads = 0;
    assert_read(cache, 0, SIZE);
    return daemon_->reads;
}

/* Where nothing could be placed for a while, all of the room is used when that is over. */
static void
test_room_again(void)
{
    VimgNbdCache *cache = set_up_with(FALSE, make_file(), 101 * BLOCK);
    guint whole = 2 * 98 + 2 + 1;

    assert_read(cache, 0, BLOCK);
    daemon_->places = 0;
    assert_read(cache, 2 * BLOCK, BLOCK);
    daemon_->places = G_MAXUINT;
    for (guint i = 0; i < 3; i++)
        g_assert_cmpuint(read_again(cache), >, whole / 2); /* two slots for all */
    __atomic_store_n(&now, now + 10 * G_USEC_PER_SEC, __ATOMIC_RELEASE);
    g_assert_cmpuint(read_again(cache), >, whole / 2);
    g_assert_cmpuint(read_again(cache), ==, 0);
}

/* What is lost of the file is an error, not zeros. */
static void
test_lost(void)
{
    VimgNbdCache *cache = set_up();
    guint8 out[10];

    assert_read(cache, 0, BLOCK);
    g_assert_cmpint(ftruncate(here.fd, 100), ==, 0);
    assert_read(cache, 0, 100);
    g_assert_cmpint(vimg_nbd_cache_read(cache, out, sizeof(out), 95), ==, VIMG_EXPORTER_FAILED);
}

/* Known zeros are not asked for. */
static void
test_zeros(void)
{
    VimgNbdCache *cache = set_up_with(TRUE, make_file(), SLOTS * BLOCK);
    gboolean zeros;

    assert_read(cache, HOLE, 2 * BLOCK);
    assert_read(cache, HOLE + 2 * BLOCK - 1, 1);
    g_assert_cmpuint(daemon_->reads, ==, 0);
    assert_read(cache, HOLE - 1, 2);
    g_assert_cmpuint(daemon_->reads, ==, 2);
    g_assert_cmpuint(vimg_nbd_map_look(here.map, 0, SIZE, &zeros), ==, HOLE);
    g_assert_false(zeros);
    g_assert_cmpuint(vimg_nbd_map_look(here.map, HOLE + 1, SIZE, &zeros), ==, 2 * BLOCK - 1);
    g_assert_true(zeros);
    g_assert_cmpuint(vimg_nbd_map_look(here.map, SIZE - 1, 1, &zeros), ==, 1);
    g_assert_false(zeros);
    daemon_->failing = 1;
    g_assert_cmpint(vimg_nbd_map_load((gpointer)daemon_, SIZE, &here.map), ==, VIMG_EXPORTER_ENDED);
    g_ptr_array_add(here.all, here.map);
}

/* What the daemon does not put into the file comes whole, wherever it begins not to. */
static void
test_not_placed(void)
{
    for (guint placed = 0; placed < 6; placed++) {
        VimgNbdCache *cache = set_up();

        daemon_->places = placed;
        for (guint i = 0; i < 2; i++)
            assert_read(cache, 0, 6 * BLOCK);
        daemon_->reads = 0;
        daemon_->places = G_MAXUINT;
        assert_read(cache, 0, 6 * BLOCK);
        assert_read(cache, 0, 6 * BLOCK);
        g_assert_cmpuint(daemon_->reads, >, 0);
    }
}

static void
test_failure(void)
{
    VimgNbdCache *cache = set_up();
    guint8 out[10];

    daemon_->failing = 1;
    g_assert_cmpint(vimg_nbd_cache_read(cache, out, sizeof(out), 5), ==, VIMG_EXPORTER_BUSY);
    assert_read(cache, 5, 10);
    daemon_->failing = 1;
    g_assert_cmpint(vimg_nbd_cache_read(cache, out, sizeof(out), BLOCK - 5 + BLOCK), ==,
                    VIMG_EXPORTER_BUSY);
    assert_read(cache, 0, 3 * BLOCK);
}

/* ---- reading ahead ------------------------------------------------------------------------ */

static void
wait_for_reads(guint reads)
{
    VIMG_LOCK_GUARD(&daemon_->lock);
    while (daemon_->reads < reads)
        vimg_cond_wait(&daemon_->changed, &daemon_->lock);
}

/* What the last question told the daemon. */
static guint64
last_until(void)
{
    VIMG_LOCK_GUARD(&daemon_->lock);

    return daemon_->until;
}

/* Of blocks in order more are read, and the daemon knows it; all of them once. */
static void
test_ahead(void)
{
    VimgNbdCache *cache = set_up_with(TRUE, make_file(), 200 * BLOCK);

    assert_read(cache, 0, BLOCK);
    g_assert_cmpuint(last_until(), ==, 0);
    assert_read(cache, BLOCK, BLOCK);
    g_assert_cmpuint(last_until(), ==, SIZE);
    assert_read(cache, 2 * BLOCK, BLOCK);
    assert_read(cache, HOLE + 2 * BLOCK, 10 * BLOCK); /* behind zeros */
    wait_for_reads(2 * (3 + 10 + 15));
    for (guint64 at = HOLE + 12 * BLOCK; at < SIZE; at += 1000 * 1000)
        assert_read(cache, at, MIN(1000 * 1000, SIZE - at));
    wait_for_reads(2 * 98 + 1);
    assert_read(cache, 0, SIZE);
    g_assert_cmpuint(daemon_->reads, ==, 2 * 98 + 1);
    g_assert_cmpuint(daemon_->jumps, <=, 1);
}

/* Of blocks here and there no others are, be it on the way back. */
static void
test_no_ahead(void)
{
    VimgNbdCache *cache = set_up_with(FALSE, make_file(), 200 * BLOCK);

    for (guint i = 0; i < 100; i++) {
        assert_read(cache, (i * 37 % 100) * BLOCK + i, 100);
        g_assert_cmpuint(last_until(), ==, 0);
    }
    cache = set_up_with(FALSE, make_file(), 200 * BLOCK);
    for (guint i = 99; i > 50; i--)
        assert_read(cache, i * BLOCK, BLOCK);
    g_assert_cmpuint(daemon_->reads, ==, 2 * 49);
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

/* Each block is asked for once, however small or large the pieces. */
static void
test_threads(void)
{
    static const gsize pieces[] = {BLOCK / 4, BLOCK, 2 * BLOCK, 5 * BLOCK / 2};

    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        VimgThread threads[THREADS];

        shared.cache = set_up_with(FALSE, make_file(), SIZE + BLOCK);
        shared.piece = pieces[i];
        shared.next = 0;
        for (guint n = 0; n < THREADS; n++)
            g_assert_true(vimg_thread_start(&threads[n], "reader", read_pieces, NULL, NULL));
        for (guint n = 0; n < THREADS; n++)
            vimg_thread_join(threads[n]);
        g_assert_cmpuint(daemon_->reads, ==, 2 * 98 + 2 + 1);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_rows();
    g_test_add_func("/nbdkit/cache/ranges", test_ranges);
    g_test_add_func("/nbdkit/cache/kept", test_kept);
    g_test_add_func("/nbdkit/cache/bound", test_bound);
    g_test_add_func("/nbdkit/cache/full", test_full);
    g_test_add_func("/nbdkit/cache/room-again", test_room_again);
    g_test_add_func("/nbdkit/cache/lost", test_lost);
    g_test_add_func("/nbdkit/cache/zeros", test_zeros);
    g_test_add_func("/nbdkit/cache/failure", test_failure);
    g_test_add_func("/nbdkit/cache/not-placed", test_not_placed);
    g_test_add_func("/nbdkit/cache/ahead", test_ahead);
    g_test_add_func("/nbdkit/cache/no-ahead", test_no_ahead);
    g_test_add_func("/nbdkit/cache/threads", test_threads);
    return g_test_run();
}
