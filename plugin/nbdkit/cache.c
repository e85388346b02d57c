/*
 * cache.c: blocks of an image that were read, each asked for once while there is room for it
 *
 * They lie in a file of slots, into which the daemon puts them: reading one again asks nobody, and
 * is as quick as reading a file is.  Clients have many requests under way at a time.  The daemon
 * reads on where it has read to, so of blocks that follow each other the second is asked for when
 * the first has come.  For whoever reads in order threads read ahead.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ahead.h"
#include "cache.h"
#include "util/file.h"
#include "util/thread.h"

#define BLOCK VIMG_EXPORTER_PIECE
#define NO_SLOT G_MAXUINT64
#define WINDOW 16                 /* blocks that are read ahead */
#define WINDOW_SLOTS (8 * WINDOW) /* without so many, none are: they would drive out each other */
#define THREADS 4                 /* that read ahead */
#define STRETCH 128               /* blocks of which the daemon is told that they will be read */
#define GROW_AGAIN (10 * G_USEC_PER_SEC) /* after the file could not */

typedef struct {
    guint64 number;
    guint users; /* threads */
    gboolean ready;
    VimgExporterStatus status; /* once it is ready */
    guint8 *data;              /* once it is ready, if it is not in the file */
    guint64 slot;              /* where; NO_SLOT: nowhere, or not yet */
    GList link;                /* in the order of their use */
} Block;

/* What a thread reads, on its stack: blocks from @next, which it has not read yet, to @last. */
typedef struct {
    guint64 next;
    guint64 last;
} Request;

struct _VimgNbdCache {
    VimgExporterLink *link;
    const VimgNbdMap *map;
    guint64 size;
    int fd;

    VimgMutex lock;
    VimgCond changed;
    VimgCond work; /* for those who read ahead */
    VimgNbdAhead *ahead;
    GHashTable *blocks; /* number → Block, owned; under lock, as what is in them */
    guint idle;         /* of these */
    GQueue order;       /* of Block, the one used last at the end */
    GQueue requests;    /* of Request, borrowed; under lock, as what is in them */
    GArray *spare;      /* slots that were taken for nothing */
    guint64 slots;      /* of the file */
    guint64 used;       /* of these, ever */
    gint64 grows;       /* when the file may do so again, in monotonic microseconds */
};

static void
block_free(gpointer data)
{
    Block *block = data;

    g_free(block->data);
    g_free(block);
}

/* ---- blocks, under lock ------------------------------------------------------------------- */

static Block *
find(VimgNbdCache *cache, guint64 number)
{
    return g_hash_table_lookup(cache->blocks, &number);
}

static Block *
add(VimgNbdCache *cache, guint64 number)
{
    Block *block = g_new0(Block, 1);

    block->number = number;
    block->slot = NO_SLOT;
    block->link.data = block;
    g_queue_push_tail_link(&cache->order, &block->link);
    g_hash_table_insert(cache->blocks, &block->number, block);
    return block;
}

static void
forget(VimgNbdCache *cache, Block *block)
{
    g_queue_unlink(&cache->order, &block->link);
    g_hash_table_remove(cache->blocks, &block->number);
}

/* Slots that there may be now. */
static guint64
count_slots(const VimgNbdCache *cache)
{
    return cache->used < cache->slots && g_get_monotonic_time() < cache->grows ? cache->used
                                                                               : cache->slots;
}

/* A new one, else that of the block which nobody has used for the longest time. */
static guint64
take_slot(VimgNbdCache *cache)
{
    if (cache->spare->len > 0) {
        guint last = cache->spare->len - 1;
        guint64 slot = g_array_index(cache->spare, guint64, last);

        g_array_set_size(cache->spare, last);
        return slot;
    }
    if (cache->used < count_slots(cache))
        return cache->used++;
    for (const GList *at = cache->order.head; at; at = at->next) {
        Block *block = at->data;
        guint64 slot = block->slot;

        if (block->users == 0 && slot != NO_SLOT) {
            forget(cache, block);
            return slot;
        }
    }
    return NO_SLOT;
}

static gboolean
is_coming(VimgNbdCache *cache, guint64 number)
{
    for (const GList *at = cache->requests.head; at; at = at->next) {
        const Request *request = at->data;

        if (request->next <= number && number <= request->last)
            return TRUE;
    }
    return FALSE;
}

static gboolean
is_ready(VimgNbdCache *cache, guint64 number)
{
    const Block *block = find(cache, number);

    return block && block->ready;
}

/* For threads that read what is before it, which wait for nobody who waits for this. */
static void
wait_for_before(VimgNbdCache *cache, guint64 number)
{
    while (number > 0 && is_coming(cache, number - 1) && !is_ready(cache, number - 1))
        vimg_cond_wait(&cache->changed, &cache->lock);
}

/* One that lies nowhere is asked for again by the next who wants it. */
static void
leave(VimgNbdCache *cache, Block *block)
{
    if (--block->users == 0) {
        g_clear_pointer(&block->data, g_free);
        if (block->slot == NO_SLOT) {
            forget(cache, block);
            return;
        }
    }
    g_queue_unlink(&cache->order, &block->link);
    g_queue_push_tail_link(&cache->order, &block->link);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* What a thread brings, on its stack. */
typedef struct {
    guint64 start;
    gsize length;
    guint64 until; /* where whoever wants it stops, as far as anybody knows */
    guint64 slot;  /* into which it goes; NO_SLOT: into @data */
    guint8 *data;  /* room for all of it */
} Load;

/* Where whoever goes on behind block @number comes to what is there.  Under lock. */
static guint64
find_until(VimgNbdCache *cache, guint64 number)
{
    guint64 last = (number / STRETCH + 1) * STRETCH;

    do
        number++;
    while (number < last && !find(cache, number));
    return MIN(number * BLOCK, cache->size);
}

static VimgExporterStatus
read_slot(const VimgNbdCache *cache, guint8 *out, gsize count, guint64 offset)
{
    while (count > 0) {
        ssize_t n = pread(cache->fd, out, count, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return VIMG_EXPORTER_FAILED;
        out += n;
        offset += (guint64)n;
        count -= (gsize)n;
    }
    return VIMG_EXPORTER_OK;
}

/* Where the file can grow no more, the slots that it has must do for a while: a disk may have room
 * again. */
static void
give_up_slot(VimgNbdCache *cache, Load *load)
{
    VIMG_LOCK_GUARD(&cache->lock);
    g_array_append_val(cache->spare, load->slot);
    cache->grows = g_get_monotonic_time() + GROW_AGAIN;
    load->slot = NO_SLOT;
}

/* The first @count bytes were placed, and what follows was not. */
static VimgExporterStatus
leave_slot(VimgNbdCache *cache, Load *load, gsize count)
{
    VimgExporterStatus status = read_slot(cache, load->data, count, load->slot * BLOCK);

    give_up_slot(cache, load);
    return status;
}

static VimgExporterStatus
put_zeros(VimgNbdCache *cache, Load *load, gsize at, gsize count)
{
    memset(load->data + at, 0, count);
    if (load->slot == NO_SLOT ||
        vimg_pwrite_all(cache->fd, load->data + at, count, load->slot * BLOCK + at) == 0)
        return VIMG_EXPORTER_OK;
    return leave_slot(cache, load, at);
}

static VimgExporterStatus
fetch(VimgNbdCache *cache, Load *load)
{
    static const guint8 hash[VIMG_EXPORTER_HASH_SIZE]; /* the link knows which */
    VimgExporterStatus status = VIMG_EXPORTER_OK;
    guint64 got;

    for (gsize at = 0; at < load->length && status == VIMG_EXPORTER_OK; at += got) {
        gsize left = load->length - at;
        gboolean slot = load->slot != NO_SLOT;
        const VimgExporterRead read = {.offset = load->start + at,
                                       .length = left,
                                       .until = load->until,
                                       .place =
                                           slot ? load->slot * BLOCK + at : VIMG_EXPORTER_NOWHERE,
                                       .out = load->data + at,
                                       .most = left};
        VimgExporterWay way;

        status = vimg_exporter_link_read(cache->link, hash, &read, &got, &way);
        if (status == VIMG_EXPORTER_OK && way == VIMG_EXPORTER_ZEROS)
            status = put_zeros(cache, load, at, (gsize)got);
        else if (status == VIMG_EXPORTER_OK && way == VIMG_EXPORTER_SENT && slot)
            status = leave_slot(cache, load, at);
    }
    return status;
}

/* Under lock.  What nobody has is asked for again by the next who wants it. */
static void
settle(VimgNbdCache *cache, Block *block, Load *load, VimgExporterStatus status)
{
    block->status = status;
    block->ready = TRUE;
    if (status == VIMG_EXPORTER_OK) {
        block->slot = load->slot;
        if (block->slot == NO_SLOT)
            block->data = g_steal_pointer(&load->data);
    } else if (load->slot != NO_SLOT) {
        g_array_append_val(cache->spare, load->slot);
    }
    vimg_cond_broadcast(&cache->changed);
}

static void
bring(VimgNbdCache *cache, Block *block, gboolean follows)
{
    Load load = {.start = block->number * BLOCK};
    VimgExporterStatus status;

    load.length = (gsize)MIN(BLOCK, cache->size - load.start);
    load.data = g_malloc(load.length);
    vimg_mutex_lock(&cache->lock);
    load.slot = take_slot(cache);
    load.until = follows ? find_until(cache, block->number) : 0;
    vimg_mutex_unlock(&cache->lock);
    status = fetch(cache, &load);
    vimg_mutex_lock(&cache->lock);
    settle(cache, block, &load, status);
    vimg_mutex_unlock(&cache->lock);
    g_free(load.data);
}

/* Waits until it is ready.  Returns: NULL: nobody loads it yet. */
static Block *
use_loaded(VimgNbdCache *cache, guint64 number)
{
    Block *block = find(cache, number);

    if (!block)
        return NULL;
    block->users++;
    while (!block->ready)
        vimg_cond_wait(&cache->changed, &cache->lock);
    return block;
}

/* Returns: one that is ready, used until leave(); @follows what somebody has read. */
static Block *
use(VimgNbdCache *cache, guint64 number, gboolean follows)
{
    Block *block = use_loaded(cache, number);

    if (block)
        return block;
    block = add(cache, number);
    block->users++;
    wait_for_before(cache, number);
    vimg_mutex_unlock(&cache->lock);
    bring(cache, block, follows);
    vimg_mutex_lock(&cache->lock);
    return block;
}

static VimgExporterStatus
copy_out(const VimgNbdCache *cache, const Block *block, guint8 *out, gsize count, gsize from)
{
    if (block->status != VIMG_EXPORTER_OK)
        return block->status;
    if (!block->data)
        return read_slot(cache, out, count, block->slot * BLOCK + from);
    memcpy(out, block->data + from, count);
    return VIMG_EXPORTER_OK;
}

/* Under lock. */
static gboolean
is_there(gconstpointer data, guint64 number)
{
    return g_hash_table_contains(((const VimgNbdCache *)data)->blocks, &number);
}

/* Returns: whether block @number follows others that were read.  Under lock. */
static gboolean
note(VimgNbdCache *cache, guint64 number)
{
    gboolean follows = vimg_nbd_ahead_note(cache->ahead, number);

    /* of what was read before nothing is, and nobody is woken for that */
    if (follows && cache->idle > 0 && count_slots(cache) >= WINDOW_SLOTS &&
        vimg_nbd_ahead_has(cache->ahead, is_there, cache))
        vimg_cond_signal(&cache->work);
    return follows;
}

static VimgExporterStatus
copy(VimgNbdCache *cache, guint8 *out, gsize count, guint64 offset)
{
    guint64 number = offset / BLOCK;
    VimgExporterStatus status;
    Block *block;

    vimg_mutex_lock(&cache->lock);
    block = use(cache, number, note(cache, number));
    vimg_mutex_unlock(&cache->lock);
    status = copy_out(cache, block, out, count, (gsize)(offset % BLOCK));
    VIMG_LOCK_GUARD(&cache->lock);
    leave(cache, block);
    return status;
}

/* Of one block. */
static VimgExporterStatus
read_part(VimgNbdCache *cache, guint8 *out, gsize count, guint64 offset)
{
    gboolean zeros;

    if (vimg_nbd_map_look(cache->map, offset, count, &zeros) < count || !zeros)
        return copy(cache, out, count, offset);
    memset(out, 0, count);
    return VIMG_EXPORTER_OK;
}

static void
begin(VimgNbdCache *cache, Request *request)
{
    VIMG_LOCK_GUARD(&cache->lock);
    g_queue_push_tail(&cache->requests, request);
}

static void
go_on(VimgNbdCache *cache, Request *request)
{
    VIMG_LOCK_GUARD(&cache->lock);
    request->next++;
    vimg_cond_broadcast(&cache->changed);
}

static void
end(VimgNbdCache *cache, Request *request)
{
    VIMG_LOCK_GUARD(&cache->lock);
    g_queue_remove(&cache->requests, request);
    vimg_cond_broadcast(&cache->changed);
}

VimgExporterStatus
vimg_nbd_cache_read(VimgNbdCache *cache, gpointer out, gsize count, guint64 offset)
{
    Request request = {offset / BLOCK, count > 0 ? (offset + count - 1) / BLOCK : 0};
    VimgExporterStatus status = VIMG_EXPORTER_OK;
    guint8 *at = out;

    if (count == 0)
        return status;
    begin(cache, &request);
    while (count > 0 && status == VIMG_EXPORTER_OK) {
        gsize n = MIN(count, BLOCK - (gsize)(offset % BLOCK));

        status = read_part(cache, at, n, offset);
        at += n;
        offset += n;
        count -= n;
        go_on(cache, &request);
    }
    end(cache, &request);
    return status;
}

/* ---- reading ahead ------------------------------------------------------------------------ */

static void
read_ahead(VimgNbdCache *cache, guint64 number)
{
    Request request = {number, number};
    Block *block;

    g_queue_push_tail(&cache->requests, &request);
    block = use(cache, number, TRUE);
    leave(cache, block);
    g_queue_remove(&cache->requests, &request);
    vimg_cond_broadcast(&cache->changed);
}

static void
read_ahead_always(gpointer data)
{
    VimgNbdCache *cache = data;

    VIMG_LOCK_GUARD(&cache->lock);
    for (;;) {
        guint64 number;
        guint turn;

        while (count_slots(cache) < WINDOW_SLOTS ||
               !vimg_nbd_ahead_take(cache->ahead, is_there, cache, &number, &turn)) {
            cache->idle++;
            vimg_cond_wait(&cache->work, &cache->lock);
            cache->idle--;
        }
        read_ahead(cache, number);
        vimg_nbd_ahead_give_back(cache->ahead, turn);
    }
}

VimgNbdCache *
vimg_nbd_cache_new(VimgExporterLink *link, const VimgNbdMap *map, guint64 size, int fd,
                   guint64 room, GError **error)
{
    VimgNbdCache *cache = g_new0(VimgNbdCache, 1);

    cache->link = link;
    cache->map = map;
    cache->size = size;
    cache->fd = fd;
    cache->slots = room / BLOCK;
    vimg_mutex_init(&cache->lock);
    vimg_cond_init(&cache->changed);
    vimg_cond_init(&cache->work);
    g_queue_init(&cache->order);
    g_queue_init(&cache->requests);
    cache->spare = g_array_new(FALSE, FALSE, sizeof(guint64));
    cache->blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, block_free);
    cache->ahead = vimg_nbd_ahead_new(map, size, WINDOW);
    for (guint i = 0; i < THREADS; i++) {
        if (!vimg_thread_start_detached("vimg-ahead", read_ahead_always, cache, error))
            return NULL;
    }
    return cache;
}
