/*
 * block.c: what will be written as one, in the buffers it came in
 *
 * Small pieces are gathered, so that nobody can make many of them: of two pieces that follow each
 * other, one fills a buffer or is no small one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/uio.h>

#include "block.h"
#include "zero.h"

#define SMALL VIMG_CEPH_CHUNK
#define LONGEST ((gsize)2 * 1024 * 1024) /* an OSD takes memory for more of it afresh each time */

struct _VimgCephBlock {
    guint64 offset;
    gsize size;
    GArray *pieces;       /* of VimgExtent */
    VimgBuffer *gathered; /* that of the last piece, which has room; or NULL */
};

static const guint8 zeros[VIMG_CEPH_CHUNK];

static void
clear_piece(gpointer data)
{
    vimg_buffer_unref(((VimgExtent *)data)->data);
}

VimgCephBlock *
vimg_ceph_block_new(guint64 offset)
{
    VimgCephBlock *block = g_new0(VimgCephBlock, 1);

    block->offset = offset;
    block->pieces = g_array_new(FALSE, FALSE, sizeof(VimgExtent));
    g_array_set_clear_func(block->pieces, clear_piece);
    return block;
}

void
vimg_ceph_block_free(VimgCephBlock *block)
{
    if (!block)
        return;
    g_array_unref(block->pieces);
    g_free(block);
}

guint64
vimg_ceph_block_offset(const VimgCephBlock *block)
{
    return block->offset;
}

/* ---- gathering -------------------------------------------------------------------------- */

/* @data: (transfer full) */
static void
add_piece(VimgCephBlock *block, VimgBuffer *data, gsize offset, gsize size)
{
    VimgExtent piece = {.length = size, .data = data, .offset = offset};

    g_array_append_val(block->pieces, piece);
}

static gsize
gather(VimgCephBlock *block, const guint8 *data, gsize size)
{
    VimgBuffer *to = block->gathered;
    gsize n;

    if (!to) {
        to = block->gathered = vimg_buffer_new(SMALL);
        to->size = 0;
        add_piece(block, to, 0, 0);
    }
    n = MIN(size, SMALL - to->size);
    memcpy(to->data + to->size, data ? data : zeros, n);
    to->size += n;
    g_array_index(block->pieces, VimgExtent, block->pieces->len - 1).length = to->size;
    if (to->size == SMALL)
        block->gathered = NULL;
    return n;
}

void
vimg_ceph_block_add(VimgCephBlock *block, VimgBuffer *buffer, gsize offset, gsize size)
{
    block->size += size;
    if (size >= SMALL) {
        add_piece(block, buffer ? vimg_buffer_ref(buffer) : NULL, offset, size);
        block->gathered = NULL;
        return;
    }
    while (size > 0) {
        gsize n = gather(block, buffer ? buffer->data + offset : NULL, size);

        offset += n;
        size -= n;
    }
}

guint64
vimg_ceph_block_fill(VimgCephBlock **block, guint64 unit, guint64 at, VimgBuffer *buffer,
                     gsize offset, guint64 size)
{
    guint64 n = MIN(size, unit - at % unit);

    if (!*block && !buffer)
        return size;
    if (!*block)
        *block = vimg_ceph_block_new(at);
    vimg_ceph_block_add(*block, buffer, offset, n);
    return n;
}

/* ---- what is in it ---------------------------------------------------------------------- */

/* The next bytes of one piece, at most up to @end; @data NULL: zeros. */
static gsize
next_bytes(const VimgCephBlock *block, VimgCephRun *from, gsize end, const guint8 **data)
{
    const VimgExtent *piece = &g_array_index(block->pieces, VimgExtent, from->piece);
    gsize n = MIN(end - from->start, piece->length - from->at);

    *data = piece->data ? piece->data->data + piece->offset + from->at : NULL;
    from->start += n;
    from->at += n;
    if (from->at == piece->length) {
        from->piece++;
        from->at = 0;
    }
    return n;
}

/* Goes on to @end.  Returns: whether all of it is zeros. */
static gboolean
pass_zeros(const VimgCephBlock *block, VimgCephRun *from, gsize end)
{
    gboolean all = TRUE;

    while (from->start < end) {
        const guint8 *data;
        gsize n = next_bytes(block, from, end, &data);

        all = all && (!data || is_zero(data, n));
    }
    return all;
}

GArray *
vimg_ceph_block_runs(const VimgCephBlock *block)
{
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(VimgCephRun));
    VimgCephRun at = {0};

    while (at.start < block->size) {
        VimgCephRun run = at;
        VimgCephRun *last = runs->len > 0 ? &g_array_index(runs, VimgCephRun, runs->len - 1) : NULL;

        run.end = MIN(run.start + VIMG_CEPH_CHUNK, block->size);
        if (pass_zeros(block, &at, run.end))
            continue;
        if (last && last->end == run.start && run.end - last->start <= LONGEST)
            last->end = run.end;
        else
            g_array_append_val(runs, run);
    }
    return runs;
}

GArray *
vimg_ceph_block_iov(const VimgCephBlock *block, const VimgCephRun *run)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    VimgCephRun at = *run;

    while (at.start < run->end) {
        /* a chunk has no more zeros than there are to point at */
        gsize end = MIN(at.start + sizeof(zeros), run->end);
        struct iovec iov;
        const guint8 *data;

        iov.iov_len = next_bytes(block, &at, end, &data);
        iov.iov_base = (void *)(data ? data : zeros);
        g_array_append_val(out, iov);
    }
    return out;
}
