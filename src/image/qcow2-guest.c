/*
 * qcow2-guest.c: the raw disk that a machine sees in a qcow2 file, found at any place
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include "image/qcow2-guest.h"
#include "image/qcow2-header.h"

#define PARTS 32       /* of a cluster that a wide entry tells of */
#define WINDOW_BITS 12 /* of deflate, which has no header here */

static guint64
cluster_size(const VimgQcow2Guest *guest)
{
    return (guint64)1 << guest->bits;
}

/* Clusters that an entry of the first table stands for. */
static guint64
span(const VimgQcow2Guest *guest)
{
    return cluster_size(guest) / vimg_qcow2_guest_entry(guest);
}

static gboolean
damaged(guint64 offset, GError **error)
{
    return vimg_throw(error, VIMG_ERROR_PROBE,
                      _("the qcow2 image is damaged: its disk cannot be read at byte %llu"),
                      (unsigned long long)offset);
}

/* ---- the header --------------------------------------------------------------------------- */

gboolean
vimg_qcow2_guest_read(VimgQcow2Guest *out, const guint8 *head, gsize size, guint64 stored,
                      GError **error)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    VimgQcow2Header h;

    memset(inspector->head, 0, sizeof(inspector->head));
    memcpy(inspector->head, head, MIN(size, sizeof(inspector->head)));
    inspector->format = &vimg_image_qcow2;
    if (!vimg_image_qcow2.matches(inspector->head))
        return vimg_image_broken(inspector, "header", error);
    if (!vimg_image_qcow2.check(inspector, error))
        return FALSE;
    h = vimg_qcow2_header_read(inspector->head);
    if (h.crypt)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED, "%s",
            _("an encrypted qcow2 image cannot be exported as raw: export it as it is"));
    *out = (VimgQcow2Guest){
        .size = h.size,
        .stored = stored,
        .l1_offset = h.l1_offset,
        .bits = h.cluster_bits,
        .wide = (h.incompatible & VIMG_QCOW2_EXTENDED_L2) != 0,
        .zstd = h.compression != 0,
    };
    if (h.l1_offset > stored || vimg_qcow2_l1_needed(&h) * VIMG_QCOW2_FIRST > stored - h.l1_offset)
        return vimg_image_broken(inspector, "L1 table", error);
    return TRUE;
}

/* ---- the tables --------------------------------------------------------------------------- */

guint64
vimg_qcow2_guest_first(const VimgQcow2Guest *guest, guint64 offset)
{
    return guest->l1_offset + (offset >> guest->bits) / span(guest) * VIMG_QCOW2_FIRST;
}

gsize
vimg_qcow2_guest_entry(const VimgQcow2Guest *guest)
{
    return guest->wide ? VIMG_QCOW2_SECOND : VIMG_QCOW2_FIRST;
}

gboolean
vimg_qcow2_guest_second(const VimgQcow2Guest *guest, const guint8 *entry, guint64 offset,
                        guint64 *at, VimgQcow2Found *found, GError **error)
{
    guint64 table = get_be64(entry, 0) & VIMG_QCOW2_OFFSET;
    guint64 covered = span(guest) << guest->bits;

    *at = 0;
    if (table == 0) {
        *found = (VimgQcow2Found){.length = MIN(covered - offset % covered, guest->size - offset)};
        return TRUE;
    }
    if (table % cluster_size(guest) != 0 || table >= guest->stored ||
        cluster_size(guest) > guest->stored - table)
        return damaged(offset, error);
    *at = table + (offset >> guest->bits) % span(guest) * vimg_qcow2_guest_entry(guest);
    return TRUE;
}

static gboolean
look_packed(const VimgQcow2Guest *guest, guint64 entry, guint64 offset, VimgQcow2Found *out,
            GError **error)
{
    guint shift = 62 - (guest->bits - 8);
    guint64 sectors = (entry >> shift & ((G_GUINT64_CONSTANT(1) << (guest->bits - 8)) - 1)) + 1;

    out->kind = VIMG_QCOW2_IS_PACKED;
    out->source = entry & ((G_GUINT64_CONSTANT(1) << shift) - 1);
    if (out->source >= guest->stored)
        return damaged(offset, error);
    out->packed = (gsize)MIN(sectors * VIMG_IMAGE_SECTOR - out->source % VIMG_IMAGE_SECTOR,
                             guest->stored - out->source);
    out->skip = (gsize)(offset % cluster_size(guest));
    return TRUE;
}

/* Whether the entry says that it is data; the file may end within the last cluster, as QEMU has it.
 */
static gboolean
is_data(const VimgQcow2Guest *guest, const guint8 *entry, guint64 offset, guint64 *unit)
{
    guint64 cluster = get_be64(entry, 0) & VIMG_QCOW2_OFFSET;

    *unit = guest->wide ? cluster_size(guest) / PARTS : cluster_size(guest);
    if (guest->wide)
        return cluster && get_be32(entry, 12) >> (offset % cluster_size(guest) / *unit) & 1;
    return cluster && !(get_be64(entry, 0) & VIMG_QCOW2_ZERO);
}

static gboolean
look_plain(const VimgQcow2Guest *guest, const guint8 *entry, guint64 offset, VimgQcow2Found *out,
           GError **error)
{
    guint64 cluster = get_be64(entry, 0) & VIMG_QCOW2_OFFSET;
    guint64 unit;

    if (!is_data(guest, entry, offset, &unit)) {
        out->length = MIN(out->length, unit - offset % unit);
        return TRUE;
    }
    if (cluster % cluster_size(guest) != 0 || cluster >= guest->stored)
        return damaged(offset, error);
    out->length = MIN(out->length, unit - offset % unit);
    out->source = cluster + offset % cluster_size(guest);
    if (out->source >= guest->stored)
        return TRUE;
    out->kind = VIMG_QCOW2_IS_DATA;
    out->length = MIN(out->length, guest->stored - out->source);
    return TRUE;
}

gboolean
vimg_qcow2_guest_look(const VimgQcow2Guest *guest, const guint8 *entry, guint64 offset,
                      VimgQcow2Found *out, GError **error)
{
    guint64 value = get_be64(entry, 0);

    *out = (VimgQcow2Found){
        .kind = VIMG_QCOW2_IS_ZEROS,
        .length = MIN(cluster_size(guest) - offset % cluster_size(guest), guest->size - offset)};
    return value & VIMG_QCOW2_PACKED ? look_packed(guest, value, offset, out, error)
                                     : look_plain(guest, entry, offset, out, error);
}

/* ---- what is packed ----------------------------------------------------------------------- */

static gboolean
inflate_all(const guint8 *data, gsize size, guint8 *out, gsize room)
{
    z_stream z = {
        .next_in = data, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)room};
    int state;

    if (inflateInit2(&z, -WINDOW_BITS) != Z_OK)
        return FALSE;
    state = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (state == Z_STREAM_END || state == Z_BUF_ERROR) && z.avail_out == 0;
}

/* One frame, behind which are bytes of another: what is in one piece needs no window. */
static gboolean
unzstd_all(const guint8 *data, gsize size, guint8 *out, gsize room)
{
    gsize frame = ZSTD_findFrameCompressedSize(data, size);

    return !ZSTD_isError(frame) && ZSTD_decompress(out, room, data, frame) == room;
}

gboolean
vimg_qcow2_guest_unpack(const VimgQcow2Guest *guest, const guint8 *data, gsize size, guint8 *out,
                        GError **error)
{
    gsize room = (gsize)cluster_size(guest);

    return (guest->zstd ? unzstd_all(data, size, out, room) : inflate_all(data, size, out, room)) ||
           vimg_throw(error, VIMG_ERROR_PROBE, "%s",
                      _("the qcow2 image is damaged: a cluster cannot be unpacked"));
}
