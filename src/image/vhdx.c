/*
 * vhdx.c: Hyper-V's images
 *
 * Two headers, of which the newer counts; a region table that says where the block table and the
 * metadata are; a metadata table that says where its items are.  The blocks may be listed before
 * their size is known, so only the farthest is kept.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

#define HEADER 4096
#define HEADER_1 (64 << 10)
#define HEADER_2 (128 << 10)
#define REGIONS (192 << 10)
#define TABLE (64 << 10) /* bytes of the region table, and before the items of the metadata */
#define METADATA 4096    /* what is read of the metadata table */
#define ITEM 8           /* bytes of the items we look at */
#define ENTRY 32         /* bytes, in both tables */
#define ENTRIES_MAX 2047 /* in both tables */
#define BLOCK_MIN (1 << 20)
#define BLOCK_MAX (256 << 20)
#define SIZE_MAX_TIB 64
#define ALIGN (1 << 20)

/* The windows, in the order they are asked for. */
enum {
    WINDOW_HEADER_1,
    WINDOW_HEADER_2,
    WINDOW_REGIONS,
    WINDOW_METADATA,
    WINDOW_FILE,
    WINDOW_SIZE,
};

enum {
    BLOCK_FULL = 6,
    BLOCK_PARTIAL = 7,
    BLOCK_STATES = 7, /* mask */
};

#define FILE_HAS_PARENT 2

/* Identifiers as they are stored. */
#define ID(name, ...) static const guint8 name[16] = {__VA_ARGS__}
ID(region_blocks, 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b,
   0xfd, 0x4a, 0x08);
ID(region_metadata, 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05,
   0x0f, 0x88, 0x6e);
ID(item_file, 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44,
   0xe7, 0x6b);
ID(item_size, 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b,
   0xf4, 0xb8);
ID(item_page83, 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00,
   0xc7, 0x46);
ID(item_logical_sector, 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33,
   0xa8, 0xfa, 0xab, 0x5f);
ID(item_physical_sector, 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88,
   0x52, 0x51, 0xc5, 0x56);
ID(item_parent, 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34,
   0xab, 0x0c);

static gboolean
matches(const guint8 *head)
{
    return memcmp(head, "vhdxfile", 8) == 0;
}

static gboolean
check(const VimgInspector *inspector, GError **error)
{
    return TRUE;
}

/* ---- headers and checksums -------------------------------------------------------------- */

/* Goes on with the CRC-32C of @size bytes. */
static guint32
crc32c(guint32 crc, const guint8 *data, gsize size)
{
    static const guint32 nibbles[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    gsize i;

    for (i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return crc;
}

/* Does the checksum behind the signature fit, which counts as zeros itself? */
static gboolean
is_sealed(const guint8 *data, gsize size, const char *signature)
{
    static const guint8 zeros[4];
    guint32 crc = ~0u;

    if (!data || memcmp(data, signature, 4) != 0)
        return FALSE;
    crc = crc32c(crc, data, 4);
    crc = crc32c(crc, zeros, 4);
    crc = crc32c(crc, data + 8, size - 8);
    return get_le32(data, 4) == ~crc;
}

static gboolean
check_header(const VimgInspector *inspector, GError **error)
{
    static const guint8 no_log[16];
    const guint8 *newest = NULL;
    guint i;

    for (i = WINDOW_HEADER_1; i <= WINDOW_HEADER_2; i++) {
        const guint8 *header = vimg_image_window(inspector, i);

        if (is_sealed(header, HEADER, "head") &&
            (!newest || get_le64(header, 8) > get_le64(newest, 8)))
            newest = header;
    }
    if (!newest)
        return vimg_image_broken(inspector, "header", error);
    if (get_le16(newest, 66) != 1 || get_le16(newest, 64) != 0)
        return vimg_image_unsupported(inspector, "version", error);
    if (memcmp(newest + 48, no_log, sizeof(no_log)) != 0)
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("the vhdx image was not closed cleanly; close it where it was used, or convert it with qemu-img convert"));
    return TRUE;
}

/* ---- tables ----------------------------------------------------------------------------- */

/* Returns: the entry of @id among @n at @entries; NULL: there is none. */
static const guint8 *
find_entry(const guint8 *entries, guint n, const guint8 *id)
{
    guint i;

    for (i = 0; i < n; i++)
        if (memcmp(entries + (gsize)i * ENTRY, id, 16) == 0)
            return entries + (gsize)i * ENTRY;
    return NULL;
}

/* Is every entry that says it is required, by @bit of the word at @at, one of @known? */
static gboolean
knows_required(const guint8 *entries, guint n, gsize at, guint32 bit, const guint8 *const *known)
{
    guint i;

    for (i = 0; i < n; i++) {
        const guint8 *entry = entries + (gsize)i * ENTRY;
        const guint8 *const *id = known;

        while (*id && memcmp(entry, *id, 16) != 0)
            id++;
        if (!*id && get_le32(entry, at) & bit)
            return FALSE;
    }
    return TRUE;
}

typedef struct {
    guint64 blocks_offset;
    guint32 blocks_size;
    guint64 metadata_offset;
    guint32 metadata_size;
} Regions;

static gboolean
read_regions(const VimgInspector *inspector, Regions *out, GError **error)
{
    static const guint8 *const known[] = {region_blocks, region_metadata, NULL};
    const guint8 *table = vimg_image_window(inspector, WINDOW_REGIONS);
    const guint8 *blocks, *metadata;
    guint n;

    if (!table || get_le32(table, 8) > ENTRIES_MAX)
        return vimg_image_broken(inspector, "region table", error);
    n = get_le32(table, 8);
    blocks = find_entry(table + 16, n, region_blocks);
    metadata = find_entry(table + 16, n, region_metadata);
    if (!blocks || !metadata)
        return vimg_image_broken(inspector, "region table", error);
    if (!knows_required(table + 16, n, 28, 1, known))
        return vimg_image_unsupported(inspector, "region", error);
    *out = (Regions){get_le64(blocks, 16), get_le32(blocks, 24), get_le64(metadata, 16),
                     get_le32(metadata, 24)};
    if (out->blocks_offset < ALIGN || out->blocks_offset % ALIGN != 0 ||
        out->metadata_offset < ALIGN || out->metadata_offset % ALIGN != 0 ||
        out->metadata_size < TABLE)
        return vimg_image_broken(inspector, "region table", error);
    return TRUE;
}

/* Returns: the metadata table of *@n entries, of which so many were read; NULL: it is none. */
static const guint8 *
read_metadata(const VimgInspector *inspector, guint *n)
{
    const guint8 *table = vimg_image_window(inspector, WINDOW_METADATA);

    if (!table || memcmp(table, "metadata", 8) != 0)
        return NULL;
    *n = get_le16(table, 10);
    return *n < METADATA / ENTRY ? table + ENTRY : NULL;
}

static void
want_item(VimgInspector *inspector, const guint8 *entries, guint n, const guint8 *id)
{
    const guint8 *entry = find_entry(entries, n, id);
    guint32 offset = entry ? get_le32(entry, 16) : 0;
    Regions regions;

    if (!read_regions(inspector, &regions, NULL) || offset < TABLE ||
        offset > regions.metadata_size - ITEM)
        offset = 0; /* has passed */
    vimg_image_want(inspector, offset ? regions.metadata_offset + offset : 0, ITEM);
}

/* ---- what passes ------------------------------------------------------------------------ */

static void
begin(VimgInspector *inspector)
{
    vimg_image_want(inspector, HEADER_1, HEADER);
    vimg_image_want(inspector, HEADER_2, HEADER);
    vimg_image_want(inspector, REGIONS, TABLE);
}

static void
arrived(VimgInspector *inspector, guint window)
{
    const guint8 *entries;
    Regions regions;
    guint n;

    if (window == WINDOW_REGIONS && read_regions(inspector, &regions, NULL)) {
        vimg_image_need(inspector, regions.blocks_offset, regions.blocks_size);
        vimg_image_need(inspector, regions.metadata_offset, regions.metadata_size);
        vimg_image_want(inspector, regions.metadata_offset, METADATA);
        vimg_image_walk(inspector, regions.blocks_offset, regions.blocks_size / 8, 8);
    } else if (window == WINDOW_METADATA && (entries = read_metadata(inspector, &n))) {
        want_item(inspector, entries, n, item_file);
        want_item(inspector, entries, n, item_size);
    }
}

static void
show_entry(VimgInspector *inspector, gboolean leaf, const guint8 *entry)
{
    guint64 value = get_le64(entry, 0);
    guint state = value & BLOCK_STATES;

    if (state == BLOCK_FULL || state == BLOCK_PARTIAL)
        inspector->last = MAX(inspector->last, value / ALIGN * ALIGN);
}

static gboolean
check_size(const VimgInspector *inspector, const Regions *regions, guint32 block, guint64 size,
           GError **error)
{
    if (block < BLOCK_MIN || block > BLOCK_MAX || !vimg_image_is_power(block))
        return vimg_image_broken(inspector, "block size", error);
    if (size > (guint64)SIZE_MAX_TIB << 40)
        return vimg_image_broken(inspector, "virtual size", error);
    if (vimg_image_chunks(size, block) > regions->blocks_size / 8)
        return vimg_image_broken(inspector, "block table", error);
    if (inspector->last > inspector->length - MIN(block, inspector->length))
        return vimg_image_cut(inspector, inspector->last + block, error);
    return TRUE;
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    static const guint8 *const known[] = {
        item_file, item_size, item_page83, item_logical_sector, item_physical_sector, NULL};
    const guint8 *entries, *file, *size;
    Regions regions;
    guint n;

    if (!check_header(inspector, error))
        return FALSE;
    if (!is_sealed(vimg_image_window(inspector, WINDOW_REGIONS), TABLE, "regi"))
        return vimg_image_broken(inspector, "region table", error);
    if (!read_regions(inspector, &regions, error))
        return FALSE;
    entries = read_metadata(inspector, &n);
    file = vimg_image_window(inspector, WINDOW_FILE);
    size = vimg_image_window(inspector, WINDOW_SIZE);
    if (!entries || !file || !size)
        return vimg_image_broken(inspector, "metadata table", error);
    if (get_le32(file, 4) & FILE_HAS_PARENT || find_entry(entries, n, item_parent))
        return vimg_image_backed(inspector, NULL, 0, error);
    if (!knows_required(entries, n, 24, 4, known))
        return vimg_image_unsupported(inspector, "metadata item", error);
    *capacity = get_le64(size, 0);
    return check_size(inspector, &regions, get_le32(file, 0), *capacity, error);
}

const VimgImageFormat vimg_image_vhdx = {
    .name = "vhdx",
    .header = REGIONS + TABLE,
    .matches = matches,
    .check = check,
    .begin = begin,
    .arrived = arrived,
    .entry = show_entry,
    .finish = finish,
};
