/*
 * primary-since.c: an image becomes what a volume of the host held, by what was changed since
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "host/primary-since.h"
#include "util/i18n.h"

static void
drop_piece(VimgHostFill *fill)
{
    fill->base_at += fill->piece.length;
    vimg_buffer_unref(fill->piece.data);
    fill->piece = (VimgExtent){0};
}

/* Gets on to the piece that @at lies in. */
static gboolean
reach(VimgHostFill *fill, guint64 at, GError **error)
{
    while (fill->base_at + fill->piece.length <= at) {
        drop_piece(fill);
        if (!vimg_transfer_next(fill->base, &fill->piece, error))
            return FALSE;
        if (fill->piece.length == 0)
            return vimg_throw(error, VIMG_ERROR_DAMAGED, _("image '%s' is shorter than its disk"),
                              fill->base_name);
    }
    return TRUE;
}

static gboolean
take_same(VimgHostFill *fill, guint64 length, GError **error)
{
    while (length > 0) {
        const VimgExtent *piece = &fill->piece;
        guint64 skip, step;

        if (!reach(fill, fill->at, error))
            return FALSE;
        skip = fill->at - fill->base_at;
        step = MIN(length, piece->length - skip);
        if (!(piece->data ? vimg_transfer_write(fill->upload, piece->data,
                                                piece->offset + (gsize)skip, (gsize)step, error)
                          : vimg_transfer_hole(fill->upload, step, error)))
            return FALSE;
        fill->at += step;
        length -= step;
    }
    return TRUE;
}

static gboolean
take_changed(VimgHostFill *fill, const VimgExtent *extent, GError **error)
{
    fill->at += extent->length;
    if (!extent->data)
        return vimg_transfer_hole(fill->upload, extent->length, error);
    fill->read += extent->length;
    return vimg_transfer_write(fill->upload, extent->data, extent->offset, (gsize)extent->length,
                               error);
}

gboolean
vimg_host_fill_pour(VimgHostFill *fill, VimgForeignReader *reader, GError **error)
{
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        gboolean same = FALSE;
        VimgExtent extent;

        if (!vimg_foreign_next_at(reader, &extent, &same, error))
            return FALSE;
        data = extent.data;
        if (extent.length == 0)
            return TRUE;
        if (!(same ? take_same(fill, extent.length, error) : take_changed(fill, &extent, error)))
            return FALSE;
    }
}

void
vimg_host_fill_clear(VimgHostFill *fill)
{
    drop_piece(fill);
}
