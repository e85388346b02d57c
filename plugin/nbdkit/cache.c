/*
 * cache.c: blocks of an image that were read, each asked for once while there is room for it
 *
 * They lie in a file of slots, which is the process's own: reading one again asks nobody, and is as
 * quick as reading a file is.  Clients have many requests under way at a time.  The daemon reads on
 * where it has read to, so of blocks that follow each other the second is asked for when the first
 * has come.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cache.h"
#include "util/file.h"
#include "util/thread.h"

#define BLOCK VIMG_EXPORTER_PIECE
#define NO_SLOT G_MAXUINT64

typedef struct {
    guint64 number;
    guint users; /* threads */
    gboolean ready;
    VimgExporterStatus status; /* once it is ready */
    guint8 *data;              /* once it is ready, until nobody uses it; NULL: it is in the file */
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
    GHashTable *blocks; /* number → Block, owned; under lock, as what is in them */
    GQueue order;       /* of Block, the one used last at the end */
    GQueue requests;    /* of Request, borrowed; under lock, as what is in them */
    guint64 slots;      /* of the file */
    guint64 used;       /* of these, ever */
};

static void
block_free(gpointer data)
{
    Block *block = data;

    g_free(block->data);
    g_free(block);
}

VimgNbdCache *
vimg_nbd_cache_new(VimgExporterLink *link, const VimgNbdMap *map, guint64 size, int fd,
                   guint64 room)
{
    VimgNbdCache *cache = g_new0(VimgNbdCache, 1);

    cache->link = link;
    cache->map = map;
    cache->size = size;
    cache->fd = fd;
    cache->slots = room / BLOCK;
    vimg_mutex_init(&cache->lock);
    vimg_cond_init(&cache->changed);
    g_queue_init(&cache->order);
    g_queue_init(&cache->requests);
    cache->blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, block_free);
    return cache;
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

/* A new one, else that of the block which nobody has used for the longest time. */
static guint64
take_slot(VimgNbdCache *cache)
{
    if (cache->used < cache->slots)
        return cache->used++;
    for (const GList *at = cache->order.head; at; at = at->next) {
        Block *block = at->data;
        guint64 slot = block->slot;

        if (block->users == 0) {
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

static VimgExporterStatus
fetch(VimgNbdCache *cache, guint64 start, guint8 *data, gsize length)
{
    static const guint8 hash[VIMG_EXPORTER_HASH_SIZE]; /* the link knows which */
    guint64 got;

    for (gsize at = 0; at < length; at += got) {
        gboolean zeros;
        VimgExporterStatus status = vimg_exporter_link_read(
            cache->link, hash, start + at, length - at, data + at, length - at, &got, &zeros);

        if (status != VIMG_EXPORTER_OK)
            return status;
        if (zeros)
            memset(data + at, 0, (gsize)got);
    }
    return VIMG_EXPORTER_OK;
}

/* Into the file.  Where that can grow no more, the slots that it has must do. */
static void
keep(VimgNbdCache *cache, Block *block, gsize length)
{
    guint64 slot;
    gboolean kept;

    vimg_mutex_lock(&cache->lock);
    slot = take_slot(cache);
    vimg_mutex_unlock(&cache->lock);
    kept = slot != NO_SLOT && vimg_pwrite_all(cache->fd, block->data, length, slot * BLOCK) == 0;
    VIMG_LOCK_GUARD(&cache->lock);
    if (kept)
        block->slot = slot;
    else if (slot != NO_SLOT)
        cache->slots = cache->used;
}

/* Others go on as soon as it has come. */
static void
load(VimgNbdCache *cache, Block *block)
{
    guint64 start = block->number * BLOCK;
    gsize length = (gsize)MIN(BLOCK, cache->size - start);
    guint8 *data = g_malloc(length);
    VimgExporterStatus status = fetch(cache, start, data, length);

    vimg_mutex_lock(&cache->lock);
    block->data = data;
    block->status = status;
    block->ready = TRUE;
    vimg_cond_broadcast(&cache->changed);
    vimg_mutex_unlock(&cache->lock);
    if (status == VIMG_EXPORTER_OK)
        keep(cache, block, length);
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

/* Returns: one that is ready, used until leave() */
static Block *
use(VimgNbdCache *cache, guint64 number)
{
    Block *block;

    vimg_mutex_lock(&cache->lock);
    block = use_loaded(cache, number);
    if (block) {
        vimg_mutex_unlock(&cache->lock);
        return block;
    }
    block = add(cache, number);
    block->users++;
    wait_for_before(cache, number);
    vimg_mutex_unlock(&cache->lock);
    load(cache, block);
    return block;
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

static VimgExporterStatus
copy(VimgNbdCache *cache, guint8 *out, gsize count, guint64 offset)
{
    Block *block = use(cache, offset / BLOCK);
    VimgExporterStatus status = copy_out(cache, block, out, count, (gsize)(offset % BLOCK));

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
