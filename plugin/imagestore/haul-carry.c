/*
 * haul-carry.c: one batch of slices after the other, in a thread of several
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "haul-private.h"
#include "publish.h"
#include "../throw.h"

#define BATCH_BYTES ((guint64)16 * 1024 * 1024) /* expanded: whatever a source says of frames */
#define BATCH_SLICES 128
#define WAIT_MAX (G_USEC_PER_SEC / 2)
/* A limited haul moves in small steps: so many a second. */
#define STEPS 4

typedef struct {
    VimgHaul *haul;
    VimgSliceTools *tools;
    guint first; /* item */
    guint n;
    VimgBuffer *frames[BATCH_SLICES];
} Batch;

static void
batch_clear(Batch *batch)
{
    guint i;

    for (i = 0; i < batch->n; i++)
        g_clear_pointer(&batch->frames[i], vimg_buffer_unref);
}

void
vimg_haul_fail(VimgHaul *haul, GError *error)
{
    LOCK_GUARD(&haul->lock);

    if (haul->failure)
        g_error_free(error);
    else
        haul->failure = error;
    pthread_cond_broadcast(&haul->changed);
}

static const VimgHaulItem *
item_of(const Batch *batch, guint i)
{
    return &g_array_index(batch->haul->items, VimgHaulItem, batch->first + i);
}

static const VimgSliceId *
id_of(const Batch *batch, guint i)
{
    return vimg_index_id(batch->haul->start.index, item_of(batch, i)->at);
}

static guint64
length_of(const Batch *batch, guint i)
{
    const VimgIndex *index = batch->haul->start.index;
    guint32 at = item_of(batch, i)->at;

    return vimg_index_end(index, at) - vimg_index_start(index, at);
}

/* ---- the next batch --------------------------------------------------------------------- */

/* How long the next one has to wait; what the rate allows is never saved up.  The lock is held. */
static gint64
pause_for(VimgHaul *haul)
{
    gdouble rate = (gdouble)haul->start.rate;
    gint64 now = g_get_monotonic_time();

    haul->debt = MAX(haul->debt - (gdouble)(now - haul->drained) * rate / G_USEC_PER_SEC, 0);
    haul->drained = now;
    if (haul->start.rate == 0 || haul->debt <= 0)
        return 0;
    return (gint64)MIN(haul->debt / rate * G_USEC_PER_SEC + 1, (gdouble)WAIT_MAX);
}

/* At least one slice, however large it is. */
static void
fill_batch(Batch *batch)
{
    VimgHaul *haul = batch->haul;
    guint64 room = haul->start.rate > 0 ? haul->start.rate / STEPS : G_MAXUINT64;
    guint64 length = 0;
    guint64 size = 0;

    batch->n = 0;
    batch->first = haul->next;
    while (haul->next < haul->items->len && batch->n < BATCH_SLICES) {
        guint64 more = length_of(batch, batch->n);

        if (batch->n > 0 &&
            (length + more > BATCH_BYTES || size + item_of(batch, batch->n)->size > room))
            break;
        length += more;
        size += item_of(batch, batch->n)->size;
        batch->n++;
        haul->next++;
    }
    haul->debt += haul->start.rate > 0 ? (gdouble)size : 0;
}

static gboolean
take_batch(Batch *batch)
{
    VimgHaul *haul = batch->haul;
    gint64 wait;
    LOCK_GUARD(&haul->lock);

    while (!haul->failure && haul->next < haul->items->len && (wait = pause_for(haul)) > 0)
        cond_wait_until(&haul->changed, &haul->lock, g_get_monotonic_time() + wait);
    batch->n = 0;
    if (!haul->failure)
        fill_batch(batch);
    return batch->n > 0;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Says it of slice @i if that is at fault. */
static gboolean
blame(Batch *batch, guint i, GError **error)
{
    VimgHaul *haul = batch->haul;

    if (g_error_matches(*error, VIMG_ERROR, VIMG_ERROR_DAMAGED)) {
        LOCK_GUARD(&haul->lock);

        g_array_append_vals(haul->bad, id_of(batch, i), 1);
    }
    return FALSE;
}

/* What is wrong with one is said of that; of each that is good, the frame is kept. */
static gboolean
read_frames(Batch *batch, GError **error)
{
    VimgSliceFetch fetches[BATCH_SLICES] = {0};
    gboolean good = TRUE;
    guint i;

    for (i = 0; i < batch->n; i++)
        fetches[i] = (VimgSliceFetch){.id = id_of(batch, i), .length = length_of(batch, i)};
    vimg_slice_fetch(batch->haul->start.in, fetches, batch->n);
    for (i = 0; i < batch->n; i++) {
        g_autoptr(VimgBuffer) plain = NULL;

        if (fetches[i].result == 0)
            batch->frames[i] = vimg_buffer_ref(fetches[i].frame);
        if (good)
            plain = vimg_slice_open(batch->tools, &fetches[i], error);
        g_clear_pointer(&fetches[i].frame, vimg_buffer_unref);
        if (good && !plain)
            good = blame(batch, i, error);
    }
    return good;
}

/* ---- writing ---------------------------------------------------------------------------- */

static guint64
batch_bytes(const Batch *batch)
{
    guint64 sum = 0;
    guint i;

    for (i = 0; i < batch->n; i++)
        sum += batch->frames[i]->size;
    return sum;
}

static VimgStagedSlice
staged_slice(const Batch *batch, guint i)
{
    return (VimgStagedSlice){*id_of(batch, i), batch->first + i, batch->frames[i]->size};
}

/* All of the batch or, as far as the store counts, nothing. */
static gboolean
stage_frames(Batch *batch, GError **error)
{
    VimgLease *lease = batch->haul->start.lease;
    VimgOp ops[BATCH_SLICES] = {0};
    guint64 bytes = batch_bytes(batch);
    int result = 0;
    guint i;

    if (!vimg_slice_store_take(lease->store, bytes, error))
        return FALSE;
    for (i = 0; i < batch->n; i++) {
        const VimgStagedSlice staged = staged_slice(batch, i);

        ops[i] = (VimgOp){.kind = VIMG_OP_CREATE,
                          .path = vimg_publish_staged_path(lease, &staged),
                          .data = batch->frames[i]->data,
                          .size = batch->frames[i]->size,
                          .sealed = TRUE,
                          .durable = TRUE};
    }
    vimg_transport_run(batch->haul->start.out, ops, batch->n);
    for (i = 0; i < batch->n; i++) {
        if (ops[i].result != 0 && result == 0)
            result = ops[i].result;
        g_free((char *)ops[i].path);
    }
    if (result == 0)
        return TRUE;
    vimg_usage_settle(lease->store->usage, bytes, FALSE);
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    return throw_result(error, result, _("cannot store slices"));
}

static void
hand_over(Batch *batch)
{
    VimgHaul *haul = batch->haul;
    guint64 bytes = batch_bytes(batch);
    guint i;
    LOCK_GUARD(&haul->lock);

    for (i = 0; i < batch->n; i++) {
        const VimgStagedSlice staged = staged_slice(batch, i);

        g_array_append_val(haul->staged, staged);
    }
    haul->since += bytes;
    haul->sent += bytes;
    pthread_cond_broadcast(&haul->changed);
}

void *
vimg_haul_carry(void *data)
{
    Batch batch = {.haul = data, .tools = vimg_slice_tools_new()};
    VimgHaul *haul = data;
    VIMG_TRANSPORT_PATIENCE(haul->start.job);

    pthread_setname_np(pthread_self(), "haul");
    while (take_batch(&batch)) {
        GError *error = NULL;

        if (read_frames(&batch, &error) && stage_frames(&batch, &error))
            hand_over(&batch);
        else
            vimg_haul_fail(haul, error);
        batch_clear(&batch);
    }
    vimg_slice_tools_free(batch.tools);
    LOCK_GUARD(&haul->lock);

    haul->ended++;
    pthread_cond_broadcast(&haul->changed);
    return NULL;
}
