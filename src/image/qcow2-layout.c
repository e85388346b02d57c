/*
 * qcow2-layout.c: the qcow2 file that a raw image would be, byte by byte, without making it
 *
 * In clusters: header, refcount table, refcount blocks, L1 table, L2 tables, data.  Every cluster
 * is used once.  An L2 table that would be empty is left out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "image/qcow2-layout.h"
#include "util/error.h"
#include "util/i18n.h"

#define CLUSTER_BITS_MIN 16
#define CLUSTER_BITS_MAX 21
#define CLUSTERS_MAX ((guint64)VIMG_QCOW2_MAP_MAX * 8)
#define SECTOR ((guint64)512)

#define MAGIC 0x514649fbU
#define VERSION 3
#define HEADER_SIZE 104
#define REFCOUNT_ORDER 4                   /* 16 bits */
#define COPIED ((guint64)1 << 63)          /* used once */
#define ENTRY ((guint64)8)                 /* bytes of one in an L1, L2 or refcount table */
#define COUNT ((guint64)2)                 /* bytes of a refcount */
#define RUN_MAX ((guint64)8 * 1024 * 1024) /* bytes of data that one look finds at most */

struct _VimgQcow2Layout {
    guint64 capacity; /* whole sectors */
    guint bits;
    guint64 clusters; /* of the raw image */
    guint64 *map;     /* a bit each */
    gsize words;

    /* settled; in clusters of the file */
    guint64 n_data;
    guint64 refcount_table, refcount_blocks, l1, l2, data, total; /* where each begins */
    guint n_l1;                                                   /* entries */
    guint n_l2;
    guint32 *before; /* by L1 entry, and one more: data clusters before it */
    guint32 *tables; /* by L1 entry, and one more: L2 tables before it */
};

static guint64
cluster_size(const VimgQcow2Layout *layout)
{
    return (guint64)1 << layout->bits;
}

/* Raw clusters that an L1 entry stands for. */
static guint64
span(const VimgQcow2Layout *layout)
{
    return cluster_size(layout) / ENTRY;
}

static guint64
divide_up(guint64 what, guint64 by)
{
    return what / by + (what % by > 0);
}

static gboolean
is_set(const VimgQcow2Layout *layout, guint64 cluster)
{
    return layout->map[cluster / 64] >> (cluster % 64) & 1;
}

/* ---- making ------------------------------------------------------------------------------- */

VimgQcow2Layout *
vimg_qcow2_layout_new(guint64 capacity, GError **error)
{
    VimgQcow2Layout *layout;
    guint bits = CLUSTER_BITS_MIN;

    while (bits < CLUSTER_BITS_MAX && capacity > CLUSTERS_MAX << bits)
        bits++;
    if (capacity > CLUSTERS_MAX << bits) {
        vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED,
            _("an image of %1$llu bytes is too large to be made qcow2, which %2$llu are not"),
            (unsigned long long)capacity, (unsigned long long)(CLUSTERS_MAX << bits));
        return NULL;
    }
    layout = g_new0(VimgQcow2Layout, 1);
    layout->capacity = divide_up(capacity, SECTOR) * SECTOR;
    layout->bits = bits;
    layout->clusters = divide_up(layout->capacity, cluster_size(layout));
    layout->words = (gsize)divide_up(layout->clusters, 64);
    layout->map = g_new0(guint64, layout->words + 1);
    return layout;
}

void
vimg_qcow2_layout_free(VimgQcow2Layout *layout)
{
    if (!layout)
        return;
    g_free(layout->map);
    g_free(layout->before);
    g_free(layout->tables);
    g_free(layout);
}

static gboolean
is_zero(const guint8 *data, gsize size)
{
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

void
vimg_qcow2_layout_add(VimgQcow2Layout *layout, guint64 offset, const guint8 *data, gsize size)
{
    guint64 unit = cluster_size(layout);

    g_assert(offset <= layout->capacity && size <= layout->capacity - offset);
    while (size > 0) {
        gsize n = (gsize)MIN(size, unit - offset % unit);
        guint64 cluster = offset / unit;

        if (!is_set(layout, cluster) && !is_zero(data, n))
            layout->map[cluster / 64] |= (guint64)1 << (cluster % 64);
        offset += n;
        data += n;
        size -= n;
    }
}

/* Of raw clusters [@from, @to), which begin and end with a word of the map or the image. */
static guint64
count(const VimgQcow2Layout *layout, guint64 from, guint64 to)
{
    guint64 n = 0;

    for (guint64 word = from / 64; word < divide_up(to, 64); word++)
        n += (guint64)__builtin_popcountll(layout->map[word]);
    return n;
}

/* Refcounts of the clusters that hold refcounts are among them. */
static void
settle_refcounts(VimgQcow2Layout *layout, guint64 others)
{
    guint64 unit = cluster_size(layout);
    guint64 blocks = 0, table = 0, total, last;

    do {
        last = blocks + table;
        total = others + last;
        blocks = divide_up(total, unit / COUNT);
        table = divide_up(blocks, unit / ENTRY);
    } while (blocks + table != last);
    layout->refcount_table = 1;
    layout->refcount_blocks = layout->refcount_table + table;
    layout->l1 = layout->refcount_blocks + blocks;
    layout->total = total;
}

void
vimg_qcow2_layout_settle(VimgQcow2Layout *layout)
{
    guint64 unit = cluster_size(layout);
    guint64 l1_clusters;

    layout->n_l1 = (guint)divide_up(layout->clusters, span(layout));
    layout->before = g_new0(guint32, layout->n_l1 + 1);
    layout->tables = g_new0(guint32, layout->n_l1 + 1);
    for (guint i = 0; i < layout->n_l1; i++) {
        guint64 from = i * span(layout);
        guint64 n = count(layout, from, MIN(from + span(layout), layout->clusters));

        layout->before[i + 1] = layout->before[i] + (guint32)n;
        layout->tables[i + 1] = layout->tables[i] + (n > 0);
    }
    layout->n_data = layout->before[layout->n_l1];
    layout->n_l2 = layout->tables[layout->n_l1];
    l1_clusters = MAX(divide_up(layout->n_l1 * ENTRY, unit), 1);
    settle_refcounts(layout, 1 + l1_clusters + layout->n_l2 + layout->n_data);
    layout->l2 = layout->l1 + l1_clusters;
    layout->data = layout->l2 + layout->n_l2;
}

/* ---- the map ------------------------------------------------------------------------------ */

const guint8 *
vimg_qcow2_layout_map(const VimgQcow2Layout *layout, gsize *size)
{
    *size = layout->words * sizeof(guint64);
    return (const guint8 *)layout->map;
}

VimgQcow2Layout *
vimg_qcow2_layout_from_map(guint64 capacity, const guint8 *map, gsize size, GError **error)
{
    g_autoptr(VimgQcow2Layout) layout = vimg_qcow2_layout_new(capacity, error);
    guint tail;

    if (!layout)
        return NULL;
    tail = (guint)(layout->clusters % 64);
    if (size == layout->words * sizeof(guint64)) {
        memcpy(layout->map, map, size);
        if (tail == 0 || layout->map[layout->words - 1] >> tail == 0) {
            vimg_qcow2_layout_settle(layout);
            return g_steal_pointer(&layout);
        }
    }
    vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s", _("the map is not one of this image"));
    return NULL;
}

guint64
vimg_qcow2_layout_size(const VimgQcow2Layout *layout)
{
    return layout->total << layout->bits;
}

/* ---- what lies where ---------------------------------------------------------------------- */

/* The L1 entry whose part of the sums @sums holds @n. */
static guint
find_entry(const VimgQcow2Layout *layout, const guint32 *sums, guint64 n)
{
    guint low = 0, high = layout->n_l1;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (sums[middle] <= n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The raw cluster that is the data cluster @n of the file. */
static guint64
find_cluster(const VimgQcow2Layout *layout, guint64 n)
{
    guint entry = find_entry(layout, layout->before, n);
    guint64 left = n - layout->before[entry];
    guint64 word = entry * span(layout) / 64;
    guint64 bits;

    for (;; word++) {
        guint64 here = (guint64)__builtin_popcountll(layout->map[word]);

        if (left < here)
            break;
        left -= here;
    }
    for (bits = layout->map[word]; left > 0; left--)
        bits &= bits - 1;
    return word * 64 + (guint64)__builtin_ctzll(bits);
}

void
vimg_qcow2_layout_look(const VimgQcow2Layout *layout, guint64 offset, VimgQcow2Piece *out)
{
    guint64 unit = cluster_size(layout);
    guint64 start = layout->data << layout->bits;
    guint64 cluster, first;

    g_assert(offset < vimg_qcow2_layout_size(layout));
    *out = (VimgQcow2Piece){.data = offset >= start};
    if (!out->data) {
        out->length = start - offset;
        return;
    }
    first = find_cluster(layout, (offset - start) / unit);
    out->source = first * unit + offset % unit;
    for (cluster = first + 1; cluster < layout->clusters && is_set(layout, cluster); cluster++) {
        if ((cluster - first) * unit >= RUN_MAX)
            break;
    }
    out->length = cluster * unit - out->source;
}

/* ---- metadata ----------------------------------------------------------------------------- */

static void
put32(guint8 *at, guint64 value)
{
    guint32 big = GUINT32_TO_BE((guint32)value);

    memcpy(at, &big, sizeof(big));
}

static void
put64(guint8 *at, guint64 value)
{
    guint64 big = GUINT64_TO_BE(value);

    memcpy(at, &big, sizeof(big));
}

/* Fields that are zero: no backing file, no encryption, no snapshots, no features. */
static void
fill_header(const VimgQcow2Layout *layout, guint8 *out)
{
    put32(out, MAGIC);
    put32(out + 4, VERSION);
    put32(out + 20, layout->bits);
    put64(out + 24, layout->capacity);
    put32(out + 36, layout->n_l1);
    put64(out + 40, layout->l1 << layout->bits);
    put64(out + 48, layout->refcount_table << layout->bits);
    put32(out + 56, layout->refcount_blocks - layout->refcount_table);
    put32(out + 96, REFCOUNT_ORDER);
    put32(out + 100, HEADER_SIZE);
}

static void
fill_refcount_table(const VimgQcow2Layout *layout, guint64 n, guint8 *out)
{
    guint64 entries = cluster_size(layout) / ENTRY;
    guint64 blocks = layout->l1 - layout->refcount_blocks;

    for (guint64 i = 0; i < entries && n * entries + i < blocks; i++)
        put64(out + i * ENTRY, (layout->refcount_blocks + n * entries + i) << layout->bits);
}

static void
fill_refcount_block(const VimgQcow2Layout *layout, guint64 n, guint8 *out)
{
    guint64 counts = cluster_size(layout) / COUNT;

    for (guint64 i = 0; i < counts && n * counts + i < layout->total; i++)
        out[i * COUNT + 1] = 1;
}

static void
fill_l1(const VimgQcow2Layout *layout, guint64 n, guint8 *out)
{
    guint64 entries = cluster_size(layout) / ENTRY;

    for (guint64 i = 0; i < entries && n * entries + i < layout->n_l1; i++) {
        guint64 entry = n * entries + i;

        if (layout->tables[entry + 1] > layout->tables[entry])
            put64(out + i * ENTRY, (layout->l2 + layout->tables[entry]) << layout->bits | COPIED);
    }
}

static void
fill_l2(const VimgQcow2Layout *layout, guint64 n, guint8 *out)
{
    guint entry = find_entry(layout, layout->tables, n);
    guint64 first = entry * span(layout);
    guint64 data = layout->data + layout->before[entry];

    for (guint64 i = 0; i < span(layout) && first + i < layout->clusters; i++) {
        if (is_set(layout, first + i))
            put64(out + i * ENTRY, data++ << layout->bits | COPIED);
    }
}

/* One cluster; @out is zeroed. */
static void
fill_cluster(const VimgQcow2Layout *layout, guint64 n, guint8 *out)
{
    if (n < layout->refcount_table)
        fill_header(layout, out);
    else if (n < layout->refcount_blocks)
        fill_refcount_table(layout, n - layout->refcount_table, out);
    else if (n < layout->l1)
        fill_refcount_block(layout, n - layout->refcount_blocks, out);
    else if (n < layout->l2)
        fill_l1(layout, n - layout->l1, out);
    else
        fill_l2(layout, n - layout->l2, out);
}

void
vimg_qcow2_layout_fill(const VimgQcow2Layout *layout, guint64 offset, guint8 *out, gsize size)
{
    gsize unit = (gsize)cluster_size(layout);
    g_autofree guint8 *cluster = g_malloc(unit);

    while (size > 0) {
        gsize at = (gsize)(offset % unit);
        gsize n = MIN(size, unit - at);

        memset(cluster, 0, unit);
        fill_cluster(layout, offset >> layout->bits, cluster);
        memcpy(out, cluster + at, n);
        offset += n;
        out += n;
        size -= n;
    }
}
