/*
 * slicer-content.c: cuts a stream of data and holes where its content says so
 *
 * A run of zeros of at least one slice size, however it came, ends the slice before it and becomes
 * zero slices, largest first; what is left of it begins the next slice.  Everything else is cut by
 * a gear hash of the last 64 bytes, afresh for each slice, between a quarter and four times the
 * slice size.  Whether zeros belong to such a run is known at its end only: until then nothing is
 * cut there, and whole blocks of zeros are only counted.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <pthread.h>

#include "slicer-private.h"

#define HASHED 64 /* bytes that the hash depends on: each shifts the older ones up by one bit */
#define BLOCK_MAX 4096
#define PIECE_MAX ((guint64)256 * 1024)
#define SLACK ((guint64)4 * 1024 * 1024) /* the more, the less often a slice under way is moved */

typedef struct {
    VimgSlicer parent;
    guint64 size;
    guint64 min;
    guint64 max;
    guint shift; /* a cut is where the hash has no bits from here up */
    gsize block_size;
    gsize piece_size; /* bytes looked through at a time */

    guint64 offset;     /* in the image, of the slice under way */
    VimgBuffer *window; /* slices emitted refer to it; only bytes behind @end are written */
    gsize begin;        /* in the window: the slice under way */
    gsize scanned;      /* no cut before */
    gsize end;
    guint64 hash;  /* of the bytes before @scanned */
    guint64 zeros; /* bytes of whole zero blocks behind @end */
    gsize fill;    /* bytes of the block under way */
    guint8 block[BLOCK_MAX];
} Content;

/* ---- the hash --------------------------------------------------------------------------- */

#define SEED G_GUINT64_CONSTANT(0x76697274696d6167) /* "virtimag" */

static guint64 gear[256];

/* Part of the format for ever: the first 256 numbers of SplitMix64 (Steele, Lea, Flood, 2014). */
static void
make_gear(void)
{
    guint64 state = SEED;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(gear); i++) {
        guint64 z = state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
        gear[i] = z ^ (z >> 31);
    }
}

static guint64
roll(guint64 hash, const guint8 *from, const guint8 *to)
{
    while (from < to)
        hash = (hash << 1) + gear[*from++];
    return hash;
}

/* Behind the first byte whose hash says so, or NULL. */
static const guint8 *
find_cut(const Content *slicer, guint64 *hash, const guint8 *from, const guint8 *to)
{
    guint64 value = *hash;
    guint shift = slicer->shift;

    while (from < to) {
        value = (value << 1) + gear[*from++];
        if (value >> shift == 0)
            return from;
    }
    *hash = value;
    return NULL;
}

/* ---- cutting ---------------------------------------------------------------------------- */

static gboolean
emit(Content *slicer, gsize end, GError **error)
{
    VimgSlice slice = {slicer->offset, end - slicer->begin, slicer->window, slicer->begin};

    slicer->offset += slice.length;
    slicer->begin = slicer->scanned = end;
    slicer->hash = 0;
    return vimg_slicer_emit(&slicer->parent, &slice, error);
}

/* Emits every slice that ends at or before @limit in the window. */
static gboolean
cut_until(Content *slicer, gsize limit, GError **error)
{
    while (slicer->scanned < limit) {
        const guint8 *data = slicer->window->data;
        gsize warm = slicer->begin + slicer->min - HASHED; /* earlier bytes have no say */
        gsize first = slicer->begin + slicer->min - 1;     /* the last byte of the shortest */
        gsize stop = MIN(limit, slicer->begin + slicer->max);
        gsize at = MIN(stop, MAX(slicer->scanned, warm));
        gsize test = MIN(stop, MAX(at, first));
        const guint8 *cut;

        slicer->hash = roll(slicer->hash, data + at, data + test);
        cut = find_cut(slicer, &slicer->hash, data + test, data + stop);
        slicer->scanned = stop;
        if ((cut || stop == slicer->begin + slicer->max) &&
            !emit(slicer, cut ? (gsize)(cut - data) : stop, error))
            return FALSE;
    }
    return TRUE;
}

/* All that is in the window is cut, and what is left is a slice. */
static gboolean
flush(Content *slicer, GError **error)
{
    return cut_until(slicer, slicer->end, error) &&
           (slicer->end == slicer->begin || emit(slicer, slicer->end, error));
}

/* Makes room for @size bytes at the end of the window. */
static guint8 *
need_room(Content *slicer, gsize size)
{
    gsize kept = slicer->end - slicer->begin;
    VimgBuffer *window = slicer->window;

    if (window && size <= window->size - slicer->end)
        return window->data + slicer->end;
    window = vimg_buffer_new(slicer->max + slicer->size + slicer->piece_size + slicer->block_size +
                             MIN(slicer->max, SLACK));
    if (kept > 0)
        memcpy(window->data, slicer->window->data + slicer->begin, kept);
    vimg_buffer_unref(slicer->window);
    slicer->window = window;
    slicer->scanned -= slicer->begin;
    slicer->begin = 0;
    slicer->end = kept;
    return window->data + kept;
}

static void
push(Content *slicer, const guint8 *data, gsize size)
{
    if (size == 0)
        return;
    memcpy(need_room(slicer, size), data, size);
    slicer->end += size;
}

static void
push_zeros(Content *slicer, gsize size)
{
    if (size == 0)
        return;
    memset(need_room(slicer, size), 0, size);
    slicer->end += size;
}

/* ---- runs of zeros ---------------------------------------------------------------------- */

/* Zero bytes at the end of the window; less than a block. */
static gsize
trailing(const Content *slicer)
{
    gsize at = slicer->end;

    while (at > slicer->begin && slicer->window->data[at - 1] == 0)
        at--;
    return slicer->end - at;
}

static gboolean
emit_zeros(Content *slicer, guint64 length, GError **error)
{
    VimgSlice slice = {slicer->offset, length, NULL, 0};

    slicer->offset += length;
    return vimg_slicer_emit(&slicer->parent, &slice, error);
}

/*
 * The zeros behind the window are followed by @lead more and then by something else.  @taken: how
 * many of the @lead are dealt with.
 */
static gboolean
end_run(Content *slicer, gsize lead, gsize *taken, GError **error)
{
    gsize tail = trailing(slicer);
    guint64 run = tail + slicer->zeros + lead;
    guint64 piece;

    *taken = 0;
    if (run < slicer->size) {
        push_zeros(slicer, slicer->zeros);
        slicer->zeros = 0;
        return TRUE;
    }
    slicer->end -= tail;
    if (!flush(slicer, error))
        return FALSE;
    for (piece = VIMG_ZERO_MAX; piece >= slicer->size; piece /= 2) {
        for (; run >= piece; run -= piece) {
            if (!emit_zeros(slicer, piece, error))
                return FALSE;
        }
    }
    push_zeros(slicer, run);
    slicer->zeros = 0;
    *taken = lead;
    return TRUE;
}

/* ---- the stream ------------------------------------------------------------------------- */

/* At most a piece, whose first and last blocks are not zero. */
static gboolean
add_data(Content *slicer, const guint8 *data, gsize size, GError **error)
{
    if (slicer->zeros > 0) {
        gsize lead = 0;
        gsize taken;

        while (data[lead] == 0)
            lead++;
        if (!end_run(slicer, lead, &taken, error))
            return FALSE;
        data += taken;
        size -= taken;
    }
    push(slicer, data, size);
    return cut_until(slicer, slicer->end - trailing(slicer), error);
}

static gboolean
add_blocks(Content *slicer, const guint8 *data, gsize size, GError **error)
{
    gsize block = slicer->block_size;
    gsize at = 0;

    while (at < size) {
        gsize from = at;

        while (at < size && at - from < slicer->piece_size && !vimg_is_zero(data + at, block))
            at += block;
        if (at > from && !add_data(slicer, data + from, at - from, error))
            return FALSE;
        for (; at < size && vimg_is_zero(data + at, block); at += block)
            slicer->zeros += block;
    }
    return TRUE;
}

/* Up to @size bytes for the block under way, NULL for zeros.  Returns: how many it took. */
static gsize
fill_block(Content *slicer, const guint8 *data, gsize size)
{
    gsize n = MIN(size, slicer->block_size - slicer->fill);

    if (data)
        memcpy(slicer->block + slicer->fill, data, n);
    else
        memset(slicer->block + slicer->fill, 0, n);
    slicer->fill += n;
    return n;
}

static gboolean
end_block(Content *slicer, GError **error)
{
    if (slicer->fill < slicer->block_size)
        return TRUE;
    slicer->fill = 0;
    return add_blocks(slicer, slicer->block, slicer->block_size, error);
}

static gboolean
content_write(VimgSlicer *parent, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    Content *slicer = (Content *)parent;
    const guint8 *data = buffer->data + offset;
    gsize n;

    if (slicer->fill > 0) {
        n = fill_block(slicer, data, size);
        if (!end_block(slicer, error))
            return FALSE;
        data += n;
        size -= n;
    }
    n = size & ~(slicer->block_size - 1);
    if (!add_blocks(slicer, data, n, error))
        return FALSE;
    fill_block(slicer, data + n, size - n);
    return TRUE;
}

static gboolean
content_hole(VimgSlicer *parent, guint64 length, GError **error)
{
    Content *slicer = (Content *)parent;
    guint64 n;

    if (slicer->fill > 0) {
        length -= fill_block(slicer, NULL, MIN(length, BLOCK_MAX));
        if (!end_block(slicer, error))
            return FALSE;
    }
    n = length & ~((guint64)slicer->block_size - 1);
    slicer->zeros += n;
    fill_block(slicer, NULL, length - n);
    return TRUE;
}

static gboolean
content_finish(VimgSlicer *parent, GError **error)
{
    Content *slicer = (Content *)parent;
    gsize taken;

    if (vimg_is_zero(slicer->block, slicer->fill))
        slicer->zeros += slicer->fill;
    else if (!add_data(slicer, slicer->block, slicer->fill, error))
        return FALSE;
    slicer->fill = 0;
    return end_run(slicer, 0, &taken, error) && flush(slicer, error);
}

static void
content_free(VimgSlicer *parent)
{
    Content *slicer = (Content *)parent;

    vimg_buffer_unref(slicer->window);
    g_free(slicer);
}

static const VimgSlicerOps content_ops = {
    .write = content_write,
    .hole = content_hole,
    .finish = content_finish,
    .free = content_free,
};

VimgSlicer *
vimg_slicer_new_content(guint64 size, guint64 offset, VimgSliceSink sink, gpointer data)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    Content *slicer = g_new0(Content, 1);

    pthread_once(&once, make_gear);
    slicer->parent = (VimgSlicer){&content_ops, sink, data};
    slicer->size = size;
    slicer->min = size / 4;
    slicer->max = vimg_slicer_max(VIMG_CUT_CONTENT, size);
    /* half the slice size behind the shortest slice, on average */
    slicer->shift = 64 - (g_bit_storage(size) - 2);
    slicer->block_size = MIN(BLOCK_MAX, size / 4);
    slicer->piece_size = MIN(PIECE_MAX, slicer->max);
    slicer->offset = offset;
    return &slicer->parent;
}
