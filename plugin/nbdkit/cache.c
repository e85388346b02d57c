/*
 * cache.c: blocks of an image that were asked for last, each asked for once
 *
 * Clients have many requests under way at a time.  The daemon reads on where it has read to, so of
 * blocks that follow each other the second is asked for when the first has come.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cache.h"
#include "util/thread.h"

#define BLOCK VIMG_EXPORTER_PIECE
#define BLOCKS_MAX 64

typedef struct {
    guint64 number;
    guint8 *data; /* NULL: zeros */
    guint users;  /* threads; the rest does not change once it is ready */
    gboolean ready;
    VimgExporterStatus status;
    guint64 used; /* at which count of all uses */
} Block;

/* What a thread reads, on its stack: blocks from @next, which it has not read yet, to @last. */
typedef struct {
    guint64 next;
    guint64 last;
} Request;

struct _VimgNbdCache {
    VimgExporterLink *link;
    guint64 size;

    VimgMutex lock;
    VimgCond changed;
    GHashTable *blocks; /* number → Block, owned; under lock, as what is in them */
    GQueue requests;    /* of Request, borrowed; under lock, as what is in them */
    guint64 uses;
};

static void
block_free(gpointer data)
{
    Block *block = data;

    g_free(block->data);
    g_free(block);
}

VimgNbdCache *
vimg_nbd_cache_new(VimgExporterLink *link, guint64 size)
{
    VimgNbdCache *cache = g_new0(VimgNbdCache, 1);

    cache->link = link;
    cache->size = size;
    vimg_mutex_init(&cache->lock);
    vimg_cond_init(&cache->changed);
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

static void
make_room(VimgNbdCache *cache)
{
    Block *oldest = NULL;
    GHashTableIter iter;
    gpointer value;

    if (g_hash_table_size(cache->blocks) < BLOCKS_MAX)
        return;
    g_hash_table_iter_init(&iter, cache->blocks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Block *block = value;

        if (block->users == 0 && (!oldest || block->used < oldest->used))
            oldest = block;
    }
    if (oldest)
        g_hash_table_remove(cache->blocks, &oldest->number);
}

static Block *
add(VimgNbdCache *cache, guint64 number)
{
    Block *block = g_new0(Block, 1);

    make_room(cache);
    block->number = number;
    g_hash_table_insert(cache->blocks, &block->number, block);
    return block;
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

/* For threads that read what is before it, which wait for nobody who waits for this. */
static void
wait_for_before(VimgNbdCache *cache, guint64 number)
{
    while (number > 0 && is_coming(cache, number - 1))
        vimg_cond_wait(&cache->changed, &cache->lock);
}

/* One that could not be read is asked for again by the next who wants it. */
static void
leave(VimgNbdCache *cache, Block *block)
{
    block->used = ++cache->uses;
    if (--block->users == 0 && block->status != VIMG_EXPORTER_OK)
        g_hash_table_remove(cache->blocks, &block->number);
}

/* ---- reading ------------------------------------------------------------------------------ */

static VimgExporterStatus
fetch(VimgNbdCache *cache, guint64 start, guint8 **out)
{
    static const guint8 hash[VIMG_EXPORTER_HASH_SIZE]; /* the link knows which */
    guint64 length = MIN(BLOCK, cache->size - start);
    g_autofree guint8 *data = g_malloc((gsize)length);
    gboolean empty = TRUE;
    guint64 got;

    for (guint64 at = 0; at < length; at += got) {
        gboolean zeros;
        VimgExporterStatus status =
            vimg_exporter_link_read(cache->link, hash, start + at, length - at, data + at,
                                    (gsize)(length - at), &got, &zeros);

        if (status != VIMG_EXPORTER_OK)
            return status;
        if (zeros)
            memset(data + at, 0, (gsize)got);
        empty = empty && zeros;
    }
    *out = empty ? NULL : g_steal_pointer(&data);
    return VIMG_EXPORTER_OK;
}

/* Under lock, which it leaves meanwhile. */
static void
load(VimgNbdCache *cache, Block *block)
{
    VimgExporterStatus status;
    guint8 *data = NULL;

    wait_for_before(cache, block->number);
    vimg_mutex_unlock(&cache->lock);
    status = fetch(cache, block->number * BLOCK, &data);
    vimg_mutex_lock(&cache->lock);
    block->data = data;
    block->status = status;
    block->ready = TRUE;
    vimg_cond_broadcast(&cache->changed);
}

/* Returns: one that is ready, used until leave() */
static Block *
use(VimgNbdCache *cache, guint64 number)
{
    Block *block;

    VIMG_LOCK_GUARD(&cache->lock);
    block = find(cache, number);
    if (block) {
        block->users++;
        while (!block->ready)
            vimg_cond_wait(&cache->changed, &cache->lock);
        return block;
    }
    block = add(cache, number);
    block->users++;
    load(cache, block);
    return block;
}

static VimgExporterStatus
copy(VimgNbdCache *cache, guint8 *out, gsize count, gsize from, Request *request)
{
    Block *block = use(cache, request->next);
    VimgExporterStatus status = block->status;

    if (block->data)
        memcpy(out, block->data + from, count);
    else
        memset(out, 0, count);
    VIMG_LOCK_GUARD(&cache->lock);
    leave(cache, block);
    request->next++;
    vimg_cond_broadcast(&cache->changed);
    return status;
}

static void
begin(VimgNbdCache *cache, Request *request)
{
    VIMG_LOCK_GUARD(&cache->lock);
    g_queue_push_tail(&cache->requests, request);
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
        gsize from = (gsize)(offset % BLOCK);
        gsize n = MIN(count, BLOCK - from);

        status = copy(cache, at, n, from, &request);
        at += n;
        offset += n;
        count -= n;
    }
    end(cache, &request);
    return status;
}
