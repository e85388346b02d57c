/*
 * vmdk.c: VMware's images that are one file: sparse and stream-optimised
 *
 * A directory names the tables of grains; where it is, is said by the header, or by a copy of it at
 * the end.  A descriptor, text, says what else belongs to the image, which must be nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"
#include "image/vmdk-text.h"

#define HEADER VIMG_IMAGE_SECTOR
#define VERSION_MAX 3
#define CAPACITY_MAX (G_GUINT64_CONSTANT(1) << 53) /* sectors */
#define GRAIN_MAX (1 << 16)                        /* sectors */
#define TABLE_MAX 512                              /* entries of a grain table */
#define DESCRIPTOR 1                               /* the sector where programs look for it */
#define DESCRIPTOR_MAX (64 << 10)                  /* bytes */
#define DIRECTORY_AT_END G_MAXUINT64
#define GRAIN_HEADER 12 /* before compressed data: where it belongs, and its size */
#define GRAIN_ZERO 1    /* a table's entry: reads as zeros */

/* The windows, in the order they are asked for. */
enum {
    WINDOW_DESCRIPTOR,
    WINDOW_GRAIN, /* the header of the last one that is known and compressed */
};

enum {
    FLAG_NEWLINES = 1 << 0,
    FLAG_COMPRESSED = 1 << 16,
};

enum {
    MARKER_END = 0,
    MARKER_FOOTER = 3,
};

typedef struct {
    guint32 version;
    guint32 flags;
    guint64 capacity; /* this and all that follow in sectors */
    guint64 grain;
    guint64 descriptor;
    guint64 descriptor_size;
    guint32 table; /* entries of a grain table */
    guint64 directory;
    guint64 overhead; /* before the first grain */
} Header;

static Header
read_header(const guint8 *head)
{
    return (Header){
        .version = get_le32(head, 4),
        .flags = get_le32(head, 8),
        .capacity = get_le64(head, 12),
        .grain = get_le64(head, 20),
        .descriptor = get_le64(head, 28),
        .descriptor_size = get_le64(head, 36),
        .table = get_le32(head, 44),
        .directory = get_le64(head, 56),
        .overhead = get_le64(head, 64),
    };
}

static gboolean
is_sparse(const guint8 *head)
{
    return memcmp(head, "KDMV", 4) == 0;
}

static gboolean
is_text(const guint8 *head)
{
    return vimg_vmdk_is_text((const char *)head, VIMG_INSPECT_HEAD);
}

static gboolean
matches(const guint8 *head)
{
    return is_sparse(head) || memcmp(head, "COWD", 4) == 0 ||
           memcmp(head, "\xbe\xba\xfe\xca\0\0\0\0", 8) == 0 || is_text(head);
}

/* ---- the header ------------------------------------------------------------------------- */

static gboolean
check_text(const VimgInspector *inspector, const char *text, gsize size, GError **error)
{
    VimgVmdkText found = vimg_vmdk_text_read(text, size);

    if (found.parent)
        return vimg_image_backed(inspector, (const guint8 *)found.parent, found.parent_size, error);
    if (found.is_child)
        return vimg_image_backed(inspector, NULL, 0, error);
    if (found.is_split || !is_sparse(inspector->head))
        return vimg_image_split(inspector, (const guint8 *)found.extent, found.extent_size, error);
    if (!found.is_whole)
        return vimg_image_unsupported(inspector, "createType", error);
    return TRUE;
}

static gboolean
check_layout(const VimgInspector *inspector, const Header *h, GError **error)
{
    if (h->flags & FLAG_NEWLINES && memcmp(inspector->head + 73, "\n \r\n", 4) != 0)
        return vimg_image_broken(inspector, "line end test", error);
    if (h->capacity == 0 || h->capacity > CAPACITY_MAX)
        return vimg_image_broken(inspector, "capacity", error);
    if (h->grain > GRAIN_MAX || !vimg_image_is_power(h->grain))
        return vimg_image_broken(inspector, "grain size", error);
    if (h->table == 0 || h->table > TABLE_MAX)
        return vimg_image_broken(inspector, "grain table", error);
    if (h->directory == 0 || (h->directory > CAPACITY_MAX && h->directory != DIRECTORY_AT_END))
        return vimg_image_broken(inspector, "grain directory", error);
    if (h->descriptor_size > DESCRIPTOR_MAX / VIMG_IMAGE_SECTOR)
        return vimg_image_broken(inspector, "descriptor", error);
    if (h->overhead > CAPACITY_MAX)
        return vimg_image_broken(inspector, "overhead", error);
    if (h->descriptor_size == 0)
        return vimg_image_unsupported(inspector, "header without descriptor", error);
    if (h->descriptor != DESCRIPTOR)
        return vimg_image_unsupported(inspector, "place of the descriptor", error);
    return TRUE;
}

static gboolean
check(const VimgInspector *inspector, GError **error)
{
    Header h = read_header(inspector->head);

    if (is_text(inspector->head))
        return check_text(inspector, (const char *)inspector->head, VIMG_INSPECT_HEAD, error);
    if (!is_sparse(inspector->head))
        return vimg_image_unsupported(inspector, "ESX layout", error);
    if (h.version == 0 || h.version > VERSION_MAX)
        return vimg_image_unsupported(inspector, "version", error);
    if (h.flags & FLAG_COMPRESSED && get_le16(inspector->head, 77) != 1)
        return vimg_image_unsupported(inspector, "compression", error);
    return check_layout(inspector, &h, error);
}

/* ---- what passes ------------------------------------------------------------------------ */

/* Bytes of the grain directory. */
static guint64
directory_size(const Header *h)
{
    return vimg_image_chunks(vimg_image_chunks(h->capacity, h->grain), h->table) * 4;
}

static void
begin(VimgInspector *inspector)
{
    Header h = read_header(inspector->head);

    vimg_image_need(inspector, DESCRIPTOR * VIMG_IMAGE_SECTOR,
                    h.descriptor_size * VIMG_IMAGE_SECTOR);
    /* programs read on behind the size that the header says, each as far as it likes */
    vimg_image_want(inspector, DESCRIPTOR * VIMG_IMAGE_SECTOR, DESCRIPTOR_MAX);
    vimg_image_need(inspector, 0, h.overhead * VIMG_IMAGE_SECTOR);
    if (h.directory == DIRECTORY_AT_END)
        return;
    vimg_image_want(inspector, h.overhead * VIMG_IMAGE_SECTOR, GRAIN_HEADER);
    inspector->leaf_bits = 9;
    inspector->leaf_size = (gsize)h.table * 4;
    inspector->leaf_entry = 4;
    vimg_image_need(inspector, h.directory * VIMG_IMAGE_SECTOR, directory_size(&h));
    vimg_image_walk(inspector, h.directory * VIMG_IMAGE_SECTOR, directory_size(&h) / 4, 4);
}

static void
arrived(VimgInspector *inspector, guint window)
{
    const guint8 *grain = vimg_image_window(inspector, window);

    if (window == WINDOW_GRAIN && inspector->last > 0 &&
        inspector->windows[window].offset == inspector->last)
        vimg_image_need(inspector, inspector->last, GRAIN_HEADER + (guint64)get_le32(grain, 8));
}

static void
show_entry(VimgInspector *inspector, gboolean leaf, const guint8 *entry)
{
    Header h = read_header(inspector->head);
    guint64 offset = (guint64)get_le32(entry, 0) * VIMG_IMAGE_SECTOR;
    guint64 tail = h.capacity % h.grain;

    if (offset == 0)
        return;
    if (!leaf) {
        vimg_image_need(inspector, offset, inspector->leaf_size);
        vimg_image_walk_leaf(inspector, offset);
    } else if (h.flags & FLAG_COMPRESSED) {
        vimg_image_need(inspector, offset, GRAIN_HEADER + 1);
        if (offset > inspector->last)
            vimg_image_want_instead(inspector, WINDOW_GRAIN, offset);
        inspector->last = MAX(inspector->last, offset);
    } else if (offset > GRAIN_ZERO * VIMG_IMAGE_SECTOR) {
        vimg_image_need(inspector, offset, (tail ? tail : h.grain) * VIMG_IMAGE_SECTOR);
    }
}

/* All but where the directories are, and whether it was closed. */
static gboolean
is_copy(const guint8 *footer, const guint8 *head)
{
    return memcmp(footer, head, 48) == 0 && memcmp(footer + 64, head + 64, 8) == 0 &&
           memcmp(footer + 73, head + 73, 6) == 0;
}

/*
 * A stream whose directory came last ends in a marker, the header again, and a marker.  Programs
 * use that header, not the first one, which has been judged.
 */
static gboolean
check_end(const VimgInspector *inspector, GError **error)
{
    guint8 end[3 * VIMG_IMAGE_SECTOR];
    const guint8 *footer = end + VIMG_IMAGE_SECTOR;
    const guint8 *last = footer + VIMG_IMAGE_SECTOR;
    Header h = read_header(inspector->head);
    guint64 directory;

    if (!vimg_image_tail(inspector, sizeof(end), end, sizeof(end)) || get_le32(end, 8) != 0 ||
        get_le32(end, 12) != MARKER_FOOTER || !is_sparse(footer) || get_le64(last, 0) != 0 ||
        get_le32(last, 8) != 0 || get_le32(last, 12) != MARKER_END)
        return vimg_image_unended(inspector, "end-of-stream marker", error);
    if (!is_copy(footer, inspector->head))
        return vimg_image_broken(inspector, "copy of the header", error);
    directory = read_header(footer).directory;
    if (directory == 0 || directory > CAPACITY_MAX ||
        directory * VIMG_IMAGE_SECTOR + directory_size(&h) > inspector->length - sizeof(end))
        return vimg_image_broken(inspector, "grain directory", error);
    return TRUE;
}

static gboolean
finish(VimgInspector *inspector, guint64 *capacity, GError **error)
{
    gsize size;
    const guint8 *text = vimg_image_window_part(inspector, WINDOW_DESCRIPTOR, &size);
    Header h = read_header(inspector->head);

    *capacity = h.capacity * VIMG_IMAGE_SECTOR;
    if (!check_text(inspector, (const char *)text, size, error))
        return FALSE;
    return h.directory != DIRECTORY_AT_END || check_end(inspector, error);
}

const VimgImageFormat vimg_image_vmdk = {
    .name = "vmdk",
    .matches = matches,
    .check = check,
    .begin = begin,
    .arrived = arrived,
    .entry = show_entry,
    .finish = finish,
};
