/*
 * slicer-fixed.c: cuts a stream of data and holes at fixed offsets
 *
 * A block is one slice size of the stream.  Zero blocks are only counted until the run of them
 * ends, then cut into zero slices, so a hole of terabytes costs nothing but its slices.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "slicer-private.h"

typedef struct {
    VimgSlicer parent;
    guint64 size;
    guint64 offset;    /* of the current block */
    guint64 zeros;     /* bytes of whole zero blocks right before @offset, not emitted yet */
    guint64 fill;      /* bytes of the current block that came */
    VimgBuffer *block; /* they; NULL: all of them came as holes */
} Fixed;

/* The largest power of two that @offset is a multiple of and that fits into @left. */
static guint64
zero_piece(guint64 offset, guint64 left)
{
    guint64 piece = VIMG_ZERO_MAX;

    while (piece > left || (offset & (piece - 1)) != 0)
        piece /= 2;
    return piece;
}

static gboolean
flush_zeros(Fixed *slicer, GError **error)
{
    while (slicer->zeros > 0) {
        VimgSlice slice = {.offset = slicer->offset - slicer->zeros};

        slice.length = zero_piece(slice.offset, slicer->zeros);
        slicer->zeros -= slice.length;
        if (!vimg_slicer_emit(&slicer->parent, &slice, error))
            return FALSE;
    }
    return TRUE;
}

/* @length bytes at @data + @at are the current block; a whole one unless the stream ended. */
static gboolean
emit_block(Fixed *slicer, VimgBuffer *data, gsize at, guint64 length, GError **error)
{
    VimgSlice slice = {slicer->offset, length, data, at};

    if (length == slicer->size && (!data || vimg_is_zero(data->data + at, length))) {
        slicer->zeros += length;
        slicer->offset += length;
        return TRUE;
    }
    if (!flush_zeros(slicer, error))
        return FALSE;
    slicer->offset += length;
    return vimg_slicer_emit(&slicer->parent, &slice, error);
}

/* Memory for the current block, with zeros for what came as holes. */
static guint8 *
need_block(Fixed *slicer)
{
    if (!slicer->block) {
        slicer->block = vimg_buffer_new(slicer->size);
        memset(slicer->block->data, 0, slicer->fill);
    }
    return slicer->block->data + slicer->fill;
}

static gboolean
end_block(Fixed *slicer, GError **error)
{
    g_autoptr(VimgBuffer) block = g_steal_pointer(&slicer->block);
    guint64 length = slicer->fill;

    slicer->fill = 0;
    return emit_block(slicer, block, 0, length, error);
}

static gboolean
fixed_write(VimgSlicer *parent, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    Fixed *slicer = (Fixed *)parent;

    while (size > 0) {
        gsize n = MIN(size, slicer->size - slicer->fill);

        if (slicer->fill == 0 && n == slicer->size) {
            if (!emit_block(slicer, buffer, offset, n, error))
                return FALSE;
        } else {
            memcpy(need_block(slicer), buffer->data + offset, n);
            slicer->fill += n;
            if (slicer->fill == slicer->size && !end_block(slicer, error))
                return FALSE;
        }
        offset += n;
        size -= n;
    }
    return TRUE;
}

static gboolean
fixed_hole(VimgSlicer *parent, guint64 length, GError **error)
{
    Fixed *slicer = (Fixed *)parent;
    guint64 n = slicer->fill > 0 ? MIN(length, slicer->size - slicer->fill) : 0;

    if (n > 0) {
        if (slicer->block)
            memset(need_block(slicer), 0, n);
        slicer->fill += n;
        if (slicer->fill == slicer->size && !end_block(slicer, error))
            return FALSE;
        length -= n;
    }
    n = length & ~(slicer->size - 1);
    slicer->zeros += n;
    slicer->offset += n;
    slicer->fill += length - n;
    return TRUE;
}

static gboolean
fixed_finish(VimgSlicer *parent, GError **error)
{
    Fixed *slicer = (Fixed *)parent;

    if (slicer->fill > 0) {
        need_block(slicer);
        return end_block(slicer, error);
    }
    return flush_zeros(slicer, error);
}

static void
fixed_free(VimgSlicer *parent)
{
    Fixed *slicer = (Fixed *)parent;

    vimg_buffer_unref(slicer->block);
    g_free(slicer);
}

static const VimgSlicerOps fixed_ops = {
    .write = fixed_write,
    .hole = fixed_hole,
    .finish = fixed_finish,
    .free = fixed_free,
};

VimgSlicer *
vimg_slicer_new_fixed(guint64 size, guint64 offset, VimgSliceSink sink, gpointer data)
{
    Fixed *slicer = g_new0(Fixed, 1);

    slicer->parent = (VimgSlicer){&fixed_ops, sink, data};
    slicer->size = size;
    slicer->offset = offset;
    return &slicer->parent;
}
