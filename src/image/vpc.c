/*
 * vpc.c: Virtual PC's and Azure's images (VHD)
 *
 * The footer is the last sector.  An image that grows has a copy of it as its first, and behind
 * that a second header and a table; of a fixed one nothing but the footer tells it from a raw disk.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

#define FOOTER VIMG_IMAGE_SECTOR
#define FOOTER_CHECKSUM 64
#define SPARSE 1024 /* bytes of the second header */
#define SPARSE_CHECKSUM 36
#define VERSION 0x00010000
#define BLOCK_NONE 0xffffffff

enum {
    TYPE_FIXED = 2,
    TYPE_DYNAMIC = 3,
    TYPE_DIFFERENCE = 4,
};

/* Of the second header. */
typedef struct {
    guint64 table_offset;
    guint32 entries;
    guint32 block;
} Sparse;

static gboolean
sum_is_right(const guint8 *data, gsize size, gsize at)
{
    guint32 sum = 0;
    gsize i;

    for (i = 0; i < size; i++)
        if (i < at || i >= at + 4)
            sum += data[i];
    return get_be32(data, at) == ~sum;
}

static guint64
virtual_size(const guint8 *footer)
{
    return get_be64(footer, 48);
}

static guint32
image_type(const guint8 *footer)
{
    return get_be32(footer, 60);
}

static Sparse
read_sparse(const guint8 *sparse)
{
    return (Sparse){
        .table_offset = get_be64(sparse, 16),
        .entries = get_be32(sparse, 28),
        .block = get_be32(sparse, 32),
    };
}

static gboolean
matches(const guint8 *head)
{
    return memcmp(head, "conectix", 8) == 0;
}

static gboolean
found(const VimgInspector *inspector)
{
    guint8 footer[FOOTER];

    return vimg_image_tail(inspector, FOOTER, footer, FOOTER) && matches(footer) &&
           sum_is_right(footer, FOOTER, FOOTER_CHECKSUM);
}

static gboolean
check_footer(const VimgInspector *inspector, const guint8 *footer, GError **error)
{
    if (!sum_is_right(footer, FOOTER, FOOTER_CHECKSUM))
        return vimg_image_broken(inspector, "footer checksum", error);
    if (get_be32(footer, 12) != VERSION)
        return vimg_image_unsupported(inspector, "version", error);
    if (image_type(footer) == TYPE_DIFFERENCE)
        return vimg_image_backed(inspector, NULL, 0, error);
    if (image_type(footer) != TYPE_FIXED && image_type(footer) != TYPE_DYNAMIC)
        return vimg_image_unsupported(inspector, "disk type", error);
    if (virtual_size(footer) > G_MAXINT64)
        return vimg_image_broken(inspector, "virtual size", error);
    return TRUE;
}

static gboolean
check(const VimgInspector *inspector, GError **error)
{
    return !matches(inspector->head) || check_footer(inspector, inspector->head, error);
}

/* ---- one that grows --------------------------------------------------------------------- */

static gboolean
check_sparse(const VimgInspector *inspector, GError **error)
{
    const guint8 *data = vimg_image_window(inspector, 0);
    Sparse sparse;

    if (!data || memcmp(data, "cxsparse", 8) != 0 || !sum_is_right(data, SPARSE, SPARSE_CHECKSUM))
        return vimg_image_broken(inspector, "dynamic disk header", error);
    if (get_be32(data, 24) != VERSION)
        return vimg_image_unsupported(inspector, "version", error);
    sparse = read_sparse(data);
    if (sparse.block < VIMG_IMAGE_SECTOR || !vimg_image_is_power(sparse.block))
        return vimg_image_broken(inspector, "block size", error);
    if (virtual_size(inspector->head) > (guint64)sparse.entries * sparse.block)
        return vimg_image_broken(inspector, "block table", error);
    return TRUE;
}

static void
begin(VimgInspector *inspector)
{
    guint64 offset = get_be64(inspector->head, 16);

    if (!matches(inspector->head) || image_type(inspector->head) != TYPE_DYNAMIC)
        return;
    vimg_image_need(inspector, offset, SPARSE);
    vimg_image_want(inspector, offset, SPARSE);
}

static void
arrived(VimgInspector *inspector, guint window)
{
    Sparse sparse;

    if (!check_sparse(inspector, NULL))
        return;
    sparse = read_sparse(vimg_image_window(inspector, window));
    vimg_image_need(inspector, sparse.table_offset, (guint64)sparse.entries * 4);
    vimg_image_walk(inspector, sparse.table_offset, sparse.entries, 4);
}

/* A block is written whole, behind a bitmap of its sectors in whole sectors. */
static void
show_entry(VimgInspector *inspector, gboolean leaf, const guint8 *entry)
{
    guint64 block = read_sparse(vimg_image_window(inspector, 0)).block;
    guint64 bitmap = vimg_image_chunks(block / VIMG_IMAGE_SECTOR, 8);
    guint32 sector = get_be32(entry, 0);

    if (sector != BLOCK_NONE)
        vimg_image_need(inspector, (guint64)sector * VIMG_IMAGE_SECTOR,
                        vimg_image_chunks(bitmap, VIMG_IMAGE_SECTOR) * VIMG_IMAGE_SECTOR + block +
                            FOOTER);
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    guint8 footer[FOOTER];
    guint32 type;

    if (!vimg_image_tail(inspector, FOOTER, footer, FOOTER) || !matches(footer))
        return vimg_image_unended(inspector, "footer", error);
    if (!check_footer(inspector, footer, error))
        return FALSE;
    type = image_type(footer);
    *capacity = virtual_size(footer);
    if (type == TYPE_FIXED && inspector->length < *capacity + FOOTER)
        return vimg_image_cut(inspector, *capacity + FOOTER, error);
    /* programs take what begins in a footer for one that grows, whatever type its end says */
    if (matches(inspector->head) != (type == TYPE_DYNAMIC) ||
        (type == TYPE_DYNAMIC &&
         (image_type(inspector->head) != type || virtual_size(inspector->head) != *capacity)))
        return vimg_image_broken(inspector, "copy of the footer", error);
    return type == TYPE_FIXED || check_sparse(inspector, error);
}

const VimgImageFormat vimg_image_vpc = {
    .name = "vpc",
    .header = FOOTER,
    .matches = matches,
    .found = found,
    .check = check,
    .begin = begin,
    .arrived = arrived,
    .entry = show_entry,
    .finish = finish,
};
