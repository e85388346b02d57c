/*
 * pass.c: windows and tables that an image passes
 *
 * Whatever was asked for is served at fixed positions of the image, never at the ends of the pieces
 * it comes in, so the pieces cannot matter.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image/image-private.h"

/* ---- windows ---------------------------------------------------------------------------- */

static guint64
window_end(const VimgImageWindow *window)
{
    return window->offset + window->size;
}

void
vimg_image_want(VimgInspector *inspector, guint64 offset, gsize size)
{
    VimgImageWindow *window = &inspector->windows[inspector->n_windows];

    if (inspector->n_windows == VIMG_IMAGE_WINDOWS)
        return;
    inspector->n_windows++;
    if (offset < inspector->position || offset > G_MAXINT64 ||
        size > VIMG_IMAGE_ARENA - inspector->arena_used) {
        *window = (VimgImageWindow){.offset = G_MAXUINT64};
        return;
    }
    *window = (VimgImageWindow){offset, size, inspector->arena_used};
    inspector->arena_used += size;
}

void
vimg_image_want_instead(VimgInspector *inspector, guint window, guint64 offset)
{
    if (window < inspector->n_windows && offset >= inspector->root.end &&
        offset >= inspector->leaf.end && offset >= inspector->position)
        inspector->windows[window].offset = offset;
}

const guint8 *
vimg_image_window(const VimgInspector *inspector, guint window)
{
    const VimgImageWindow *at = &inspector->windows[window];

    if (window >= inspector->n_windows || inspector->position < window_end(at))
        return NULL;
    return inspector->arena + at->at;
}

const guint8 *
vimg_image_window_part(const VimgInspector *inspector, guint window, gsize *size)
{
    const VimgImageWindow *at = &inspector->windows[window];

    *size = 0;
    if (window < inspector->n_windows && inspector->position > at->offset)
        *size = MIN(at->size, inspector->position - at->offset);
    return inspector->arena + at->at;
}

/* What of [@from, @to) lies in the next @size bytes: *@skip bytes ahead.  Returns: how much. */
static guint64
overlap(const VimgInspector *inspector, guint64 size, guint64 from, guint64 to, guint64 *skip)
{
    guint64 start = MAX(from, inspector->position);
    guint64 end = MIN(to, inspector->position + size);

    if (start >= end)
        return 0;
    *skip = start - inspector->position;
    return end - start;
}

static void
pass_windows(VimgInspector *inspector, const guint8 *data, guint64 size)
{
    guint i;

    for (i = 0; i < inspector->n_windows; i++) {
        const VimgImageWindow *window = &inspector->windows[i];
        guint64 skip = 0;
        guint64 n = overlap(inspector, size, window->offset, window_end(window), &skip);
        guint8 *to = inspector->arena + window->at;

        if (n == 0)
            continue;
        to += inspector->position + skip - window->offset;
        if (data)
            memcpy(to, data + skip, n);
        else
            memset(to, 0, n);
    }
}

/* ---- tables ----------------------------------------------------------------------------- */

static void
set_table(VimgImageTable *table, guint64 offset, guint64 size, guint entry)
{
    *table = (VimgImageTable){.start = offset, .end = offset + size, .entry = entry};
}

void
vimg_image_walk(VimgInspector *inspector, guint64 offset, guint64 n, guint entry)
{
    if (offset >= inspector->position && offset <= G_MAXINT64 && n <= G_MAXUINT32)
        set_table(&inspector->root, offset, n * entry, entry);
}

/* Shows whole entries of @n bytes of @table and holds what is left; @data NULL: zeros. */
static void
show(VimgInspector *inspector, VimgImageTable *table, const guint8 *data, guint64 n)
{
    static const guint8 zeros[16];
    gboolean leaf = table == &inspector->leaf;

    while (n > 0) {
        gsize part = MIN(n, table->entry - table->held);

        if (part == table->entry) {
            inspector->format->entry(inspector, leaf, data ? data : zeros);
            if (!data)
                part = n - n % part; /* zeros are shown once */
        } else {
            memcpy(table->piece + table->held, data ? data : zeros, part);
            table->held = (table->held + part) % table->entry;
            if (table->held == 0)
                inspector->format->entry(inspector, leaf, table->piece);
        }
        n -= part;
        if (data)
            data += part;
    }
}

static void
pass_table(VimgInspector *inspector, VimgImageTable *table, const guint8 *data, guint64 size)
{
    guint64 skip = 0;
    guint64 n = overlap(inspector, size, table->start, table->end, &skip);

    if (n > 0)
        show(inspector, table, data ? data + skip : NULL, n);
}

/* ---- leaves: a heap of what is ahead ---------------------------------------------------- */

static guint64
first_leaf(const VimgInspector *inspector)
{
    return inspector->n_leaves ? (guint64)inspector->leaves[0] << inspector->leaf_bits
                               : G_MAXUINT64;
}

static void
drop_first_leaf(VimgInspector *inspector)
{
    guint32 *leaves = inspector->leaves;
    guint n = --inspector->n_leaves;
    guint32 moved = leaves[n];
    guint at = 0;
    guint child;

    while ((child = 2 * at + 1) < n) {
        if (child + 1 < n && leaves[child + 1] < leaves[child])
            child++;
        if (leaves[child] >= moved)
            break;
        leaves[at] = leaves[child];
        at = child;
    }
    leaves[at] = moved;
}

/*
 * One that has passed is not looked at.  Nor are the first of too many: an image that is cut off
 * lacks what the last ones name.  Both find less, and refuse nothing.
 */
void
vimg_image_walk_leaf(VimgInspector *inspector, guint64 offset)
{
    guint32 *leaves = inspector->leaves;
    guint64 unit = offset >> inspector->leaf_bits;
    guint at;

    if (offset < inspector->root.end || unit > G_MAXUINT32)
        return;
    if (inspector->n_leaves == VIMG_IMAGE_LEAVES) {
        if (unit <= leaves[0])
            return;
        drop_first_leaf(inspector);
    }
    for (at = inspector->n_leaves++; at > 0 && leaves[(at - 1) / 2] > unit; at = (at - 1) / 2)
        leaves[at] = leaves[(at - 1) / 2];
    leaves[at] = (guint32)unit;
}

/* Begins the leaf at this position, if there is one; those that overlap an earlier one are lost. */
static void
begin_leaf(VimgInspector *inspector)
{
    if (inspector->position < inspector->leaf.end)
        return;
    while (first_leaf(inspector) <= inspector->position) {
        if (first_leaf(inspector) == inspector->position)
            set_table(&inspector->leaf, inspector->position, inspector->leaf_size,
                      inspector->leaf_entry);
        drop_first_leaf(inspector);
    }
}

/* ---- both ------------------------------------------------------------------------------- */

/* Where something begins or ends next: as far as bytes may pass at once. */
static guint64
next_stop(const VimgInspector *inspector)
{
    guint64 stops[VIMG_IMAGE_WINDOWS + 3];
    guint64 stop = G_MAXUINT64;
    guint n = 0;
    guint i;

    for (i = 0; i < inspector->n_windows; i++)
        stops[n++] = window_end(&inspector->windows[i]);
    stops[n++] = inspector->root.end;
    stops[n++] = inspector->leaf.end;
    stops[n++] = first_leaf(inspector);
    for (i = 0; i < n; i++)
        if (stops[i] > inspector->position)
            stop = MIN(stop, stops[i]);
    return stop;
}

void
vimg_image_pass(VimgInspector *inspector, const guint8 *data, guint64 size)
{
    while (size > 0) {
        guint64 step;
        guint i;

        begin_leaf(inspector);
        step = MIN(size, next_stop(inspector) - inspector->position);
        pass_windows(inspector, data, step);
        pass_table(inspector, &inspector->root, data, step);
        pass_table(inspector, &inspector->leaf, data, step);
        inspector->position += step;
        size -= step;
        if (data)
            data += step;
        for (i = 0; i < inspector->n_windows; i++)
            if (window_end(&inspector->windows[i]) == inspector->position &&
                inspector->format->arrived)
                inspector->format->arrived(inspector, i);
    }
}

/* How far away [@start, @end) is; one that is over is never reached. */
static guint64
distance(const VimgInspector *inspector, guint64 start, guint64 end)
{
    if (inspector->position >= end)
        return G_MAXUINT64;
    return start > inspector->position ? start - inspector->position : 0;
}

guint64
vimg_image_idle(const VimgInspector *inspector)
{
    guint64 idle = distance(inspector, inspector->root.start, inspector->root.end);
    guint i;

    idle = MIN(idle, distance(inspector, inspector->leaf.start, inspector->leaf.end));
    idle = MIN(idle, distance(inspector, first_leaf(inspector), G_MAXUINT64));
    for (i = 0; i < inspector->n_windows; i++)
        idle = MIN(idle, distance(inspector, inspector->windows[i].offset,
                                  window_end(&inspector->windows[i])));
    return idle;
}

void
vimg_image_need(VimgInspector *inspector, guint64 offset, guint64 size)
{
    guint64 end = offset > G_MAXUINT64 - size ? G_MAXUINT64 : offset + size;

    inspector->needed = MAX(inspector->needed, end);
}
