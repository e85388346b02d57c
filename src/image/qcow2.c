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
#include "image/qcow2-header.h"

#define VERSION_2_HEADER 72
#define VERSION_3_HEADER 104
#define L1_MAX (4 << 20)             /* entries, as in QEMU */
#define REFCOUNT_TABLE_MAX (8 << 20) /* bytes */
#define SNAPSHOTS_MAX 65536
#define BACKING_NAME_MAX 1023
#define COMPRESSION_KNOWN 2 /* zlib, zstd */
#define CRYPT_KNOWN 3       /* none, AES, LUKS */

enum {
    EXTENSION_END = 0,
    EXTENSION_BITMAPS = 0x23852875,
    EXTENSION_DATA_FILE = 0x44415441,
    EXTENSION_ENCRYPTION = 0x0537be77, /* offset and length of a LUKS header */
};

VimgQcow2Header
vimg_qcow2_header_read(const guint8 *head)
{
    VimgQcow2Header h = {
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
    h.autoclear = get_be64(head, 88);
    h.refcount_order = get_be32(head, 96);
    h.header_size = get_be32(head, 100);
    if (h.header_size > VERSION_3_HEADER)
        h.compression = head[104];
    return h;
}

static gboolean
matches(const guint8 *head)
{
    return memcmp(head, "QFI\xfb", 4) == 0;
}

/* ---- the header ------------------------------------------------------------------------- */

static gboolean
check_features(const VimgInspector *inspector, const VimgQcow2Header *h, GError **error)
{
    if (h->incompatible & ~(guint64)VIMG_QCOW2_KNOWN)
        return vimg_image_unsupported(inspector, "incompatible feature", error);
    if (h->incompatible & VIMG_QCOW2_CORRUPT)
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("the qcow2 image is marked as corrupt; repair it with qemu-img check -r all"));
    if (h->compression >= COMPRESSION_KNOWN)
        return vimg_image_unsupported(inspector, "compression type", error);
    if (!h->compression != !(h->incompatible & VIMG_QCOW2_COMPRESSION))
        return vimg_image_broken(inspector, "compression type", error);
    if (h->crypt >= CRYPT_KNOWN)
        return vimg_image_unsupported(inspector, "encryption method", error);
    return TRUE;
}

/*
 * Looks for the header extension @type.  *@at is where its data is in @head, *@size what of it
 * is there; *@at is 0 if there is none, or only behind the head, where nothing is seen.
 * Returns: FALSE if the extensions are no chain within the first cluster.
 */
static gboolean
find_extension(const guint8 *head, const VimgQcow2Header *h, guint32 type, guint64 *at,
               guint32 *size)
{
    guint64 end = vimg_qcow2_cluster_size(h);
    guint64 next = h->header_size;

    *at = 0;
    while (next + 8 <= MIN(end, VIMG_INSPECT_HEAD) && get_be32(head, next) != EXTENSION_END) {
        *size = get_be32(head, next + 4);
        if (*size > end - next - 8)
            return FALSE;
        if (get_be32(head, next) == type) {
            *at = next + 8;
            *size = MIN(*size, VIMG_INSPECT_HEAD - *at);
            return TRUE;
        }
        next += 8 + ((guint64)*size + 7) / 8 * 8;
    }
    return TRUE;
}

gboolean
vimg_qcow2_is_at_rest(const guint8 *head)
{
    VimgQcow2Header h = vimg_qcow2_header_read(head);
    guint64 at;
    guint32 size;

    return h.autoclear == 0 && !(h.incompatible & VIMG_QCOW2_DIRTY) && h.cluster_bits < 32 &&
           find_extension(head, &h, EXTENSION_BITMAPS, &at, &size) && at == 0;
}

/* Everything of the guest must be in this one file. */
static gboolean
check_alone(const VimgInspector *inspector, const VimgQcow2Header *h, GError **error)
{
    guint64 at;
    guint32 size;

    if (h->backing_offset) {
        size = MIN(h->backing_size, BACKING_NAME_MAX);
        if (h->backing_offset > VIMG_INSPECT_HEAD - size)
            return vimg_image_backed(inspector, NULL, 0, error);
        return vimg_image_backed(inspector, inspector->head + h->backing_offset, size, error);
    }
    if (!find_extension(inspector->head, h, EXTENSION_DATA_FILE, &at, &size))
        return vimg_image_broken(inspector, "header extension", error);
    if (at > 0)
        return vimg_image_split(inspector, inspector->head + at, size, error);
    if (h->incompatible & VIMG_QCOW2_DATA_FILE)
        return vimg_image_split(inspector, (const guint8 *)"?", 1, error);
    return TRUE;
}

static gboolean
check_layout(const VimgInspector *inspector, const VimgQcow2Header *h, GError **error)
{
    guint64 mask = vimg_qcow2_cluster_size(h) - 1;

    if (h->refcount_order > 6)
        return vimg_image_broken(inspector, "refcount order", error);
    if (h->refcount_clusters == 0 || h->refcount_offset == 0 || h->refcount_offset & mask ||
        (guint64)h->refcount_clusters << h->cluster_bits > REFCOUNT_TABLE_MAX)
        return vimg_image_broken(inspector, "refcount table", error);
    if (h->size > G_MAXINT64)
        return vimg_image_broken(inspector, "virtual size", error);
    if (h->l1_size > L1_MAX || h->l1_size < vimg_qcow2_l1_needed(h) || h->l1_offset & mask ||
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
    VimgQcow2Header h = vimg_qcow2_header_read(inspector->head);

    if (h.version != 2 && h.version != 3)
        return vimg_image_unsupported(inspector, "version", error);
    if (h.cluster_bits < (h.incompatible & VIMG_QCOW2_EXTENDED_L2 ? 14 : 9) || h.cluster_bits > 21)
        return vimg_image_broken(inspector, "cluster size", error);
    if (h.version == 3 && (h.header_size < VERSION_3_HEADER || h.header_size % 8 != 0 ||
                           h.header_size > MIN(vimg_qcow2_cluster_size(&h), VIMG_INSPECT_HEAD)))
        return vimg_image_broken(inspector, "header length", error);
    return check_features(inspector, &h, error) && check_alone(inspector, &h, error) &&
           check_layout(inspector, &h, error);
}

/* ---- the clusters ----------------------------------------------------------------------- */

static void
begin(VimgInspector *inspector)
{
    VimgQcow2Header h = vimg_qcow2_header_read(inspector->head);
    guint64 at;
    guint32 size;

    vimg_image_need(inspector, h.refcount_offset, (guint64)h.refcount_clusters << h.cluster_bits);
    vimg_image_need(inspector, h.l1_offset, (guint64)h.l1_size * 8);
    if (h.snapshots > 0)
        vimg_image_need(inspector, h.snapshots_offset, 1);
    if (find_extension(inspector->head, &h, EXTENSION_ENCRYPTION, &at, &size) && at > 0 &&
        size >= 16)
        vimg_image_need(inspector, get_be64(inspector->head, at),
                        get_be64(inspector->head, at + 8));
    /* preallocating, QEMU takes the second cluster for the first L2 table, before the L1 table */
    vimg_image_want(inspector, vimg_qcow2_cluster_size(&h), vimg_qcow2_cluster_size(&h));
    inspector->leaf_bits = h.cluster_bits;
    inspector->leaf_size = vimg_qcow2_cluster_size(&h);
    inspector->leaf_entry = vimg_qcow2_entry_size(&h);
    vimg_image_walk(inspector, h.l1_offset, vimg_qcow2_l1_needed(&h), 8);
}

/* The last sector of compressed data holds some byte of it, the file may end there. */
static void
need_compressed(VimgInspector *inspector, const VimgQcow2Header *h, guint64 entry)
{
    guint shift = 62 - (h->cluster_bits - 8);
    guint64 offset = entry & ((G_GUINT64_CONSTANT(1) << shift) - 1);
    guint64 more = (entry & ~VIMG_QCOW2_PACKED & ~(G_GUINT64_CONSTANT(1) << 63)) >> shift;

    vimg_image_need(inspector, offset / VIMG_IMAGE_SECTOR * VIMG_IMAGE_SECTOR,
                    more * VIMG_IMAGE_SECTOR + 1);
}

/* A cluster, or one of the parts with a state of their own, is written whole, or up to the end. */
static void
need_cluster(VimgInspector *inspector, const VimgQcow2Header *h, const guint8 *entry,
             guint64 offset)
{
    guint64 part = vimg_qcow2_cluster_size(h);

    if (h->incompatible & VIMG_QCOW2_EXTENDED_L2) {
        guint32 written = get_be32(entry, 12);

        if (written == 0)
            return;
        part /= 32;
        offset += (guint64)(g_bit_storage(written) - 1) * part;
    } else if (get_be64(entry, 0) & VIMG_QCOW2_ZERO) {
        return;
    }
    vimg_image_need(inspector, offset, h->size % part ? h->size % part : part);
}

static void
show_l2(VimgInspector *inspector, const VimgQcow2Header *h, const guint8 *entry)
{
    guint64 value = get_be64(entry, 0);

    if (value & VIMG_QCOW2_PACKED)
        need_compressed(inspector, h, value);
    else if (value & VIMG_QCOW2_OFFSET)
        need_cluster(inspector, h, entry, value & VIMG_QCOW2_OFFSET);
}

static void
show_l1(VimgInspector *inspector, const VimgQcow2Header *h, const guint8 *entry)
{
    guint64 offset = get_be64(entry, 0) & VIMG_QCOW2_OFFSET;
    const guint8 *second = vimg_image_window(inspector, 0);
    guint64 i;

    if (offset == 0)
        return;
    vimg_image_need(inspector, offset, vimg_qcow2_cluster_size(h));
    vimg_image_walk_leaf(inspector, offset);
    if (second && offset == vimg_qcow2_cluster_size(h) && inspector->last++ == 0)
        for (i = 0; i < vimg_qcow2_cluster_size(h); i += vimg_qcow2_entry_size(h))
            show_l2(inspector, h, second + i);
}

static void
show_entry(VimgInspector *inspector, gboolean leaf, const guint8 *entry)
{
    VimgQcow2Header h = vimg_qcow2_header_read(inspector->head);

    if (leaf)
        show_l2(inspector, &h, entry);
    else
        show_l1(inspector, &h, entry);
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    *capacity = vimg_qcow2_header_read(inspector->head).size;
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
