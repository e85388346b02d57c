/*
 * fuzz-slicer.c: however a stream is split into writes and holes, it is cut at the same places, and
 * the slices are its bytes
 *
 * The first byte says how to cut.  Then come steps: a byte for what comes and how, a byte for how
 * much, and the bytes themselves where they are data.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fuzz.h"
#include "slicer.h"

#define SLICE 256
#define CONTENT_MAX 4096
#define SLICES_MAX 256

typedef struct {
    guint n;
    guint64 ends[SLICES_MAX];
    gboolean zero[SLICES_MAX];
    const VimgBuffer *content;
} Cuts;

typedef enum {
    STEP_DATA,
    STEP_ZEROS,
    STEP_HOLE,
    STEP_REPEAT, /* of one byte */
} StepKind;

static gboolean
note(const VimgSlice *slice, gpointer data, GError **error)
{
    Cuts *cuts = data;

    g_assert_true(slice->length > 0 && cuts->n < SLICES_MAX);
    g_assert_cmpuint(slice->offset, ==, cuts->n ? cuts->ends[cuts->n - 1] : 0);
    cuts->ends[cuts->n] = slice->offset + slice->length;
    cuts->zero[cuts->n] = !slice->data;
    g_assert_cmpuint(cuts->ends[cuts->n], <=, cuts->content->size);
    if (slice->data)
        g_assert_true(memcmp(slice->data->data + slice->data_offset,
                             cuts->content->data + slice->offset, slice->length) == 0);
    else
        g_assert_true(vimg_is_zero(cuts->content->data + slice->offset, slice->length));
    cuts->n++;
    return TRUE;
}

/* Adds one step to @content and, unless it is NULL, to @slicer.  Returns: bytes of input used. */
static gsize
step(const uint8_t *data, gsize size, VimgBuffer *content, VimgSlicer *slicer)
{
    StepKind kind = data[0] & 3;
    gsize room = CONTENT_MAX - content->size;
    gsize n = MIN((gsize)data[1] << (data[0] >> 2 & 3), room);
    gsize used = 2;
    guint8 *at = content->data + content->size;

    if (kind == STEP_DATA) {
        n = MIN(n, size - used);
        memcpy(at, data + used, n);
        used += n;
    } else {
        memset(at, kind == STEP_REPEAT ? data[0] : 0, n);
    }
    if (slicer && kind == STEP_HOLE)
        g_assert_true(vimg_slicer_hole(slicer, n, NULL));
    else if (slicer)
        g_assert_true(vimg_slicer_write(slicer, content, content->size, n, NULL));
    content->size += n;
    return used;
}

static void
run(const uint8_t *data, size_t size, VimgBuffer *content, VimgSlicer *slicer)
{
    content->size = 0;
    while (size >= 2) {
        gsize used = step(data, size, content, slicer);

        data += used;
        size -= used;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static VimgBuffer *content;
    static VimgBuffer *again;
    static Cuts straight;
    static Cuts split;
    VimgCut cut = size > 0 && data[0] & 1 ? VIMG_CUT_CONTENT : VIMG_CUT_FIXED;
    g_autoptr(VimgSlicer) one = vimg_slicer_new(cut, SLICE, 0, note, &straight);
    g_autoptr(VimgSlicer) many = vimg_slicer_new(cut, SLICE, 0, note, &split);

    if (!content) {
        content = vimg_buffer_new(CONTENT_MAX);
        again = vimg_buffer_new(CONTENT_MAX);
    }
    if (size < 1)
        return 0;
    straight.n = split.n = 0;
    straight.content = split.content = content;
    run(data + 1, size - 1, content, NULL);
    g_assert_true(vimg_slicer_write(one, content, 0, content->size, NULL));
    g_assert_true(vimg_slicer_finish(one, NULL));
    run(data + 1, size - 1, again, many);
    g_assert_true(vimg_slicer_finish(many, NULL));
    g_assert_cmpuint(straight.n, ==, split.n);
    g_assert_true(memcmp(straight.ends, split.ends, straight.n * sizeof(guint64)) == 0);
    g_assert_true(memcmp(straight.zero, split.zero, straight.n * sizeof(gboolean)) == 0);
    g_assert_cmpuint(straight.n ? straight.ends[straight.n - 1] : 0, ==, content->size);
    return 0;
}
