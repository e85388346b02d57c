/*
 * vdi.c: VirtualBox's images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

#define SIGNATURE 0xbeda107f
#define VERSION 0x00010001
#define BLOCKS_MAX 0x3fffffff
#define BLOCK_NONE 0xfffffffe /* from here on: never written, or discarded */

enum {
    TYPE_DYNAMIC = 1,
    TYPE_STATIC = 2,
    TYPE_DIFFERENCE = 4,
};

typedef struct {
    guint32 map_offset;
    guint32 data_offset;
    guint64 size;
    guint32 block;
    guint32 extra; /* bytes before the data of each block */
    guint32 blocks;
    guint32 allocated;
} Header;

static Header
read_header(const guint8 *head)
{
    return (Header){
        .map_offset = get_le32(head, 340),
        .data_offset = get_le32(head, 344),
        .size = get_le64(head, 368),
        .block = get_le32(head, 376),
        .extra = get_le32(head, 380),
        .blocks = get_le32(head, 384),
        .allocated = get_le32(head, 388),
    };
}

/* Bytes of a block in the file. */
static guint64
stride(const Header *h)
{
    return (guint64)h->block + h->extra;
}

static gboolean
matches(const guint8 *head)
{
    return get_le32(head, 64) == SIGNATURE;
}

static gboolean
check(const VimgInspector *inspector, GError **error)
{
    static const guint8 nobody[32];
    const guint8 *parent = inspector->head + 424; /* two uuids, either of which names it */
    Header h = read_header(inspector->head);
    guint32 type = get_le32(inspector->head, 76);

    if (get_le32(inspector->head, 68) != VERSION)
        return vimg_image_unsupported(inspector, "version", error);
    if (type == TYPE_DIFFERENCE || memcmp(parent, nobody, sizeof(nobody)) != 0)
        return vimg_image_backed(inspector, NULL, 0, error);
    if (type != TYPE_DYNAMIC && type != TYPE_STATIC)
        return vimg_image_unsupported(inspector, "image type", error);
    if (h.block < VIMG_IMAGE_SECTOR || !vimg_image_is_power(h.block) || h.extra > h.block)
        return vimg_image_broken(inspector, "block size", error);
    if (h.blocks > BLOCKS_MAX || h.allocated > h.blocks)
        return vimg_image_broken(inspector, "number of blocks", error);
    if (h.size > (guint64)h.blocks * h.block)
        return vimg_image_broken(inspector, "virtual size", error);
    if (h.map_offset < VIMG_IMAGE_SECTOR || h.map_offset % VIMG_IMAGE_SECTOR != 0 ||
        h.data_offset < h.map_offset + (guint64)h.blocks * 4)
        return vimg_image_broken(inspector, "block map", error);
    return TRUE;
}

static void
begin(VimgInspector *inspector)
{
    Header h = read_header(inspector->head);

    vimg_image_need(inspector, h.data_offset, h.allocated * stride(&h));
    vimg_image_walk(inspector, h.map_offset, h.blocks, 4);
}

static void
show_entry(VimgInspector *inspector, gboolean leaf, const guint8 *entry)
{
    Header h = read_header(inspector->head);
    guint32 block = get_le32(entry, 0);

    if (block < BLOCK_NONE)
        vimg_image_need(inspector, h.data_offset, ((guint64)block + 1) * stride(&h));
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    *capacity = read_header(inspector->head).size;
    return TRUE;
}

const VimgImageFormat vimg_image_vdi = {
    .name = "vdi",
    .header = VIMG_IMAGE_SECTOR,
    .matches = matches,
    .check = check,
    .begin = begin,
    .entry = show_entry,
    .finish = finish,
};
