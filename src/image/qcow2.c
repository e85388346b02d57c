/*
 * qcow2.c: QEMU's copy-on-write images, versions 2 and 3
 *
 * Which clusters an image must have is said by two levels of tables.  They are looked at while they
 * pass, so a table that lies before the one that names it goes unseen.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

#define VERSION_2_HEADER 72
#define VERSION_3_HEADER 104
#define L1_MAX (4 << 20)             /* entries, as in QEMU */
#define REFCOUNT_TABLE_MAX (8 << 20) /* bytes */
#define SNAPSHOTS_MAX 65536
#define BACKING_NAME_MAX 1023
#define COMPRESSION_KNOWN 2 /* zlib, zstd */
#define CRYPT_KNOWN 3       /* none, AES, LUKS */
#define OFFSET_MASK G_GUINT64_CONSTANT(0x00fffffffffffe00)
#define ENTRY_COMPRESSED (G_GUINT64_CONSTANT(1) << 62)
#define ENTRY_ZERO 1

enum {
    INCOMPATIBLE_DIRTY = 1 << 0, /* refcounts are stale, guest data is not */
    INCOMPATIBLE_CORRUPT = 1 << 1,
    INCOMPATIBLE_DATA_FILE = 1 << 2,
    INCOMPATIBLE_COMPRESSION = 1 << 3,
    INCOMPATIBLE_EXTENDED_L2 = 1 << 4,
    INCOMPATIBLE_KNOWN = (1 << 5) - 1,
};

enum {
    EXTENSION_END = 0,
    EXTENSION_DATA_FILE = 0x44415441,
};

/* The header; fields of version 3 are as version 2 means them if it is that. */
typedef struct {
    guint32 version;
    guint64 backing_offset;
    guint32 backing_size;
    guint32 cluster_bits;
    guint64 size;
    guint32 crypt;
    guint32 l1_size;
    guint64 l1_offset;
    guint64 refcount_offset;
    guint32 refcount_clusters;
    guint32 snapshots;
    guint64 snapshots_offset;
    guint64 incompatible;
    guint32 refcount_order;
    guint32 header_size;
    guint8 compression;
} Header;

static Header
read_header(const guint8 *head)
{
    Header h = {
        .version = get_be32(head, 4),
        .backing_offset = get_be64(head, 8),
        .backing_size = get_be32(head, 16),
        .cluster_bits = get_be32(head, 20),
        .size = get_be64(head, 24),
        .crypt = get_be32(head, 32),
        .l1_size = get_be32(head, 36),
        .l1_offset = get_be64(head, 40),
        .refcount_offset = get_be64(head, 48),
        .refcount_clusters = get_be32(head, 56),
        .snapshots = get_be32(head, 60),
        .snapshots_offset = get_be64(head, 64),
        .refcount_order = 4,
        .header_size = VERSION_2_HEADER,
    };

    if (h.version < 3)
        return h;
    h.incompatible = get_be64(head, 72);
    h.refcount_order = get_be32(head, 96);
    h.header_size = get_be32(head, 100);
    if (h.header_size > VERSION_3_HEADER)
        h.compression = head[104];
    return h;
}

static guint64
cluster_size(const Header *h)
{
    return G_GUINT64_CONSTANT(1) << h->cluster_bits;
}

static guint
l2_entry_size(const Header *h)
{
    return h->incompatible & INCOMPATIBLE_EXTENDED_L2 ? 16 : 8;
}

/* Entries of the L1 table that the virtual size takes. */
static guint64
l1_needed(const Header *h)
{
    guint64 clusters = vimg_image_chunks(h->size, cluster_size(h));

    return vimg_image_chunks(clusters, cluster_size(h) / l2_entry_size(h));
}

static gboolean
matches(const guint8 *head)
{
    return memcmp(head, "QFI\xfb", 4) == 0;
}

/* ---- the header ------------------------------------------------------------------------- */

static gboolean
check_features(const VimgInspector *inspector, const Header *h, GError **error)
{
    if (h->incompatible & ~(guint64)INCOMPATIBLE_KNOWN)
        return vimg_image_unsupported(inspector, "incompatible feature", error);
    if (h->incompatible & INCOMPATIBLE_CORRUPT)
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("the qcow2 image is marked as corrupt; repair it with qemu-img check -r all"));
    if (h->compression >= COMPRESSION_KNOWN)
        return vimg_image_unsupported(inspector, "compression type", error);
    if (!h->compression != !(h->incompatible & INCOMPATIBLE_COMPRESSION))
        return vimg_image_broken(inspector, "compression type", error);
    if (h->crypt >= CRYPT_KNOWN)
        return vimg_image_unsupported(inspector, "encryption method", error);
    return TRUE;
}

/* TRUE and *@at < G_MAXUINT64: the data of the file named at *@at, of *@size bytes. */
static gboolean
find_data_file(const VimgInspector *inspector, const Header *h, guint64 *at, guint32 *size,
               GError **error)
{
    guint64 end = MIN(cluster_size(h), VIMG_INSPECT_HEAD);
    guint64 next = h->header_size;

    *at = G_MAXUINT64;
    if (h->backing_offset)
        end = MIN(end, h->backing_offset);
    while (next + 8 <= end) {
        guint32 type = get_be32(inspector->head, next);

        *size = get_be32(inspector->head, next + 4);
        if (type == EXTENSION_END)
            return TRUE;
        if (*size > end - next - 8)
            return vimg_image_broken(inspector, "header extension", error);
        if (type == EXTENSION_DATA_FILE) {
            *at = next + 8;
            return TRUE;
        }
        next += 8 + (guint64)(*size + 7) / 8 * 8;
    }
    return TRUE;
}

/* Everything of the guest must be in this one file. */
static gboolean
check_alone(const VimgInspector *inspector, const Header *h, GError **error)
{
    guint64 at;
    guint32 size;

    if (h->backing_offset) {
        size = MIN(h->backing_size, BACKING_NAME_MAX);
        if (h->backing_offset > VIMG_INSPECT_HEAD - size)
            return vimg_image_backed(inspector, NULL, 0, error);
        return vimg_image_backed(inspector, inspector->head + h->backing_offset, size, error);
    }
    if (!find_data_file(inspector, h, &at, &size, error))
        return FALSE;
    if (at != G_MAXUINT64)
        return vimg_image_split(inspector, inspector->head + at, size, error);
    if (h->incompatible & INCOMPATIBLE_DATA_FILE)
        return vimg_image_split(inspector, (const guint8 *)"?", 1, error);
    return TRUE;
}

static gboolean
check_layout(const VimgInspector *inspector, const Header *h, GError **error)
{
    guint64 mask = cluster_size(h) - 1;

    if (h->refcount_order > 6)
        return vimg_image_broken(inspector, "refcount order", error);
    if (h->refcount_clusters == 0 || h->refcount_offset == 0 || h->refcount_offset & mask ||
        (guint64)h->refcount_clusters << h->cluster_bits > REFCOUNT_TABLE_MAX)
        return vimg_image_broken(inspector, "refcount table", error);
    if (h->size > G_MAXINT64)
        return vimg_image_broken(inspector, "virtual size", error);
    if (h->l1_size > L1_MAX || h->l1_size < l1_needed(h) || h->l1_offset & mask ||
        (h->l1_size > 0 && h->l1_offset == 0))
        return vimg_image_broken(inspector, "L1 table", error);
    if (h->snapshots > SNAPSHOTS_MAX ||
        (h->snapshots > 0 && (h->snapshots_offset == 0 || h->snapshots_offset & mask)))
        return vimg_image_broken(inspector, "snapshot table", error);
    return TRUE;
}

static gboolean
check(const VimgInspector *inspector, GError **error)
{
    Header h = read_header(inspector->head);

    if (h.version != 2 && h.version != 3)
        return vimg_image_unsupported(inspector, "version", error);
    if (h.cluster_bits < (h.incompatible & INCOMPATIBLE_EXTENDED_L2 ? 14 : 9) ||
        h.cluster_bits > 21)
        return vimg_image_broken(inspector, "cluster size", error);
    if (h.version == 3 && (h.header_size < VERSION_3_HEADER || h.header_size % 8 != 0 ||
                           h.header_size > MIN(cluster_size(&h), VIMG_INSPECT_HEAD)))
        return vimg_image_broken(inspector, "header length", error);
    return check_features(inspector, &h, error) && check_alone(inspector, &h, error) &&
           check_layout(inspector, &h, error);
}

/* ---- the clusters ----------------------------------------------------------------------- */

static void
begin(VimgInspector *inspector)
{
    Header h = read_header(inspector->head);

    vimg_image_need(inspector, h.refcount_offset, (guint64)h.refcount_clusters << h.cluster_bits);
    vimg_image_need(inspector, h.l1_offset, (guint64)h.l1_size * 8);
    if (h.snapshots > 0)
        vimg_image_need(inspector, h.snapshots_offset, 1);
    inspector->leaf_bits = h.cluster_bits;
    inspector->leaf_size = cluster_size(&h);
    inspector->leaf_entry = l2_entry_size(&h);
    vimg_image_walk(inspector, h.l1_offset, l1_needed(&h), 8);
}

/* The last sector of compressed data holds some byte of it, the file may end there. */
static void
need_compressed(VimgInspector *inspector, const Header *h, guint64 entry)
{
    guint shift = 62 - (h->cluster_bits - 8);
    guint64 offset = entry & ((G_GUINT64_CONSTANT(1) << shift) - 1);
    guint64 more = (entry & ~ENTRY_COMPRESSED & ~(G_GUINT64_CONSTANT(1) << 63)) >> shift;

    vimg_image_need(inspector, offset / VIMG_IMAGE_SECTOR * VIMG_IMAGE_SECTOR,
                    more * VIMG_IMAGE_SECTOR + 1);
}

/* A cluster is written whole, but for the end of the last, and unless parts have their own state.
 */
static void
need_cluster(VimgInspector *inspector, const Header *h, const guint8 *entry, guint64 offset)
{
    guint64 tail = h->size % cluster_size(h);
    guint32 parts;

    if (!(h->incompatible & INCOMPATIBLE_EXTENDED_L2)) {
        if (!(get_be64(entry, 0) & ENTRY_ZERO))
            vimg_image_need(inspector, offset, tail ? tail : cluster_size(h));
        return;
    }
    parts = get_be32(entry, 12);
    if (parts)
        vimg_image_need(inspector, offset,
                        ((guint64)g_bit_storage(parts) - 1) * (cluster_size(h) / 32) + 1);
}

static void
show_entry(VimgInspector *inspector, gboolean leaf, const guint8 *entry)
{
    Header h = read_header(inspector->head);
    guint64 value = get_be64(entry, 0);
    guint64 offset = value & OFFSET_MASK;

    if (leaf && value & ENTRY_COMPRESSED) {
        need_compressed(inspector, &h, value);
    } else if (offset == 0) {
        return;
    } else if (leaf) {
        need_cluster(inspector, &h, entry, offset);
    } else {
        vimg_image_need(inspector, offset, cluster_size(&h));
        vimg_image_walk_leaf(inspector, offset);
    }
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    *capacity = read_header(inspector->head).size;
    return TRUE;
}

const VimgImageFormat vimg_image_qcow2 = {
    .name = "qcow2",
    .header = VERSION_2_HEADER,
    .matches = matches,
    .check = check,
    .begin = begin,
    .entry = show_entry,
    .finish = finish,
};
