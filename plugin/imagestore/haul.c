/*
 * haul.c: slices from one store into another, as they lie
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "haul-private.h"
#include "publish.h"
#include "../throw.h"

#define LOOKS 1024
#define CARRIERS 4
#define COMMIT_BYTES ((guint64)256 * 1024 * 1024)
/* Between two with a partial index, and so many times as long as that took: it is written whole. */
#define COMMIT_SECONDS 10
#define COMMIT_REST 9
/* Cancelling is noticed within this time. */
#define WAIT_MAX (G_USEC_PER_SEC / 2)

/* ---- what is missing -------------------------------------------------------------------- */

static gboolean
throw_looked_up(GError **error, int result)
{
    return throw_result(error, result, _("cannot look up slices"));
}

/* Sizes of the frames of slices @at (of guint32, in the index) in @store; 0: it is not there. */
static gboolean
look_up(VimgTransport *transport, const VimgIndex *index, const GArray *at, guint64 *sizes,
        GError **error)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, at->len);
    int result = 0;
    guint i;

    for (i = 0; i < at->len; i++)
        ops[i] =
            (VimgOp){.kind = VIMG_OP_STAT,
                     .path = vimg_slice_path(vimg_index_id(index, g_array_index(at, guint32, i)))};
    vimg_transport_run(transport, ops, at->len);
    for (i = 0; i < at->len; i++) {
        sizes[i] = ops[i].result == 0 ? ops[i].info.size : 0;
        if (ops[i].result != 0 && ops[i].result != ENOENT)
            result = ops[i].result;
        g_free((char *)ops[i].path);
    }
    return result == 0 || throw_looked_up(error, result);
}

/* What a source says of a size is believed as far as it can be true. */
static guint32
believable(const VimgIndex *index, gsize at, guint64 size)
{
    gsize bound = vimg_slice_frame_bound(vimg_index_end(index, at) - vimg_index_start(index, at));

    return (guint32)(size > 0 && size < bound ? size : bound);
}

/* Of the slices @at, which is empty then, the destination lacks some. */
static gboolean
plan_batch(VimgHaul *haul, GArray *at, GError **error)
{
    const VimgHaulStart *start = &haul->start;
    g_autofree guint64 *sizes = g_new(guint64, at->len);
    guint n = 0;
    guint i;

    if (!vimg_slice_store_check_job(start->job, error) ||
        !look_up(start->out, start->index, at, sizes, error))
        return FALSE;
    for (i = 0; i < at->len; i++) {
        guint32 slice = g_array_index(at, guint32, i);

        if (sizes[i] == 0)
            g_array_index(at, guint32, n++) = slice;
        haul->there += sizes[i];
    }
    g_array_set_size(at, n);
    if (n > 0 && !look_up(start->in, start->index, at, sizes, error))
        return FALSE;
    for (i = 0; i < n; i++) {
        guint32 slice = g_array_index(at, guint32, i);
        VimgHaulItem item = {slice, believable(start->index, slice, sizes[i]), FALSE};

        g_array_append_val(haul->items, item);
        haul->missing += item.size;
    }
    g_array_set_size(at, 0);
    return TRUE;
}

static gboolean
throw_contradiction(GError **error, const VimgSliceId *id)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(id, hex);
    return throw_error(error, VIMG_ERROR_DAMAGED, _("slice %1$s is damaged: %2$s"), hex,
                       _("its length is wrong"));
}

static guint64
length_of(const VimgIndex *index, gsize at)
{
    return vimg_index_end(index, at) - vimg_index_start(index, at);
}

static gboolean
plan(VimgHaul *haul, GError **error)
{
    const VimgIndex *index = haul->start.index;
    g_autoptr(GHashTable) seen = g_hash_table_new(vimg_id_hash, vimg_id_equal_func);
    g_autoptr(GArray) at = g_array_new(FALSE, FALSE, sizeof(guint32));
    guint32 n = (guint32)vimg_index_count(index);
    guint32 i;

    for (i = 0; i < n; i++) {
        VimgSliceId *id = (VimgSliceId *)vimg_index_id(index, i);
        gpointer first;

        if (g_hash_table_lookup_extended(seen, id, NULL, &first)) {
            if (length_of(index, GPOINTER_TO_UINT(first)) != length_of(index, i))
                return throw_contradiction(error, id);
            continue;
        }
        g_hash_table_insert(seen, id, GUINT_TO_POINTER(i));
        g_array_append_val(at, i);
        if (at->len == LOOKS && !plan_batch(haul, at, error))
            return FALSE;
    }
    return at->len == 0 || plan_batch(haul, at, error);
}

VimgHaul *
vimg_haul_new(const VimgHaulStart *start, GError **error)
{
    g_autoptr(VimgHaul) haul = g_new0(VimgHaul, 1);

    haul->start = *start;
    haul->durable = start->durable;
    haul->items = g_array_new(FALSE, FALSE, sizeof(VimgHaulItem));
    haul->staged = g_array_new(FALSE, FALSE, sizeof(VimgStagedSlice));
    haul->bad = g_array_new(FALSE, FALSE, sizeof(VimgSliceId));
    haul->drained = g_get_monotonic_time();
    thread_must(pthread_mutex_init(&haul->lock, NULL));
    cond_init(&haul->changed);
    if (!plan(haul, error) || !vimg_lease_reserve(start->lease, haul->missing, TRUE, error))
        return NULL;
    return g_steal_pointer(&haul);
}

void
vimg_haul_free(VimgHaul *haul)
{
    if (!haul)
        return;
    g_clear_error(&haul->failure);
    g_array_unref(haul->items);
    g_array_unref(haul->staged);
    g_array_unref(haul->bad);
    pthread_cond_destroy(&haul->changed);
    pthread_mutex_destroy(&haul->lock);
    g_free(haul);
}

guint64
vimg_haul_sent(const VimgHaul *haul)
{
    return haul->sent;
}

const GArray *
vimg_haul_bad(const VimgHaul *haul)
{
    return haul->bad;
}

/* ---- into their places ------------------------------------------------------------------ */

/* Slices of the index before which none is missing any more. */
static gsize
whole(VimgHaul *haul)
{
    while (haul->front < haul->items->len &&
           g_array_index(haul->items, VimgHaulItem, haul->front).stored)
        haul->front++;
    return haul->front < haul->items->len ? g_array_index(haul->items, VimgHaulItem, haul->front).at
                                          : vimg_index_count(haul->start.index);
}

/* What was staged until now.  Returns: (transfer full) of VimgStagedSlice. */
static GArray *
take_staged(VimgHaul *haul)
{
    GArray *staged;
    LOCK_GUARD(&haul->lock);

    staged = haul->staged;
    haul->staged = g_array_new(FALSE, FALSE, sizeof(VimgStagedSlice));
    haul->since = 0;
    return staged;
}

/* What else passes counts against the rate too. */
static void
spend(VimgHaul *haul, guint64 bytes)
{
    LOCK_GUARD(&haul->lock);

    haul->debt += haul->start.rate > 0 ? (gdouble)bytes : 0;
}

static gboolean
publish_partial(VimgHaul *haul, GError **error)
{
    const VimgHaulStart *start = &haul->start;
    g_autoptr(VimgIndex) part = vimg_index_copy(start->index, whole(haul));
    guint64 length = vimg_index_length(part);

    if (!start->uuid || length <= haul->durable)
        return TRUE;
    if (!vimg_publish_partial(start->lease, start->uuid, part, haul->published, error))
        return FALSE;
    if (start->out->remote)
        spend(haul, VIMG_INDEX_OVERHEAD + VIMG_INDEX_ITEM * vimg_index_count(part));
    haul->durable = length;
    haul->published = vimg_index_count(part);
    return TRUE;
}

/* @partial: what an interruption would leave is known to collectors too. */
static gboolean
store_staged(VimgHaul *haul, gboolean partial, GError **error)
{
    const VimgHaulStart *start = &haul->start;
    g_autoptr(GArray) staged = take_staged(haul);
    guint64 sum = 0;
    gboolean stored;
    guint i;

    for (i = 0; i < staged->len; i++)
        sum += g_array_index(staged, VimgStagedSlice, i).size;
    stored = vimg_publish_slices(start->lease, staged, error);
    vimg_usage_settle(start->lease->store->usage, sum, stored);
    if (!stored)
        return FALSE;
    for (i = 0; i < staged->len; i++)
        g_array_index(haul->items, VimgHaulItem, g_array_index(staged, VimgStagedSlice, i).number)
            .stored = TRUE;
    haul->missing -= MIN(haul->missing, sum);
    return !partial || (publish_partial(haul, error) &&
                        vimg_lease_reserve(start->lease, haul->missing, FALSE, error));
}

static gboolean
commit(VimgHaul *haul, gboolean partial, GError **error)
{
    gint64 began = g_get_monotonic_time();
    gboolean good = store_staged(haul, partial, error);
    gint64 now = g_get_monotonic_time();

    if (partial)
        haul->due = now + MAX(COMMIT_SECONDS * G_USEC_PER_SEC, COMMIT_REST * (now - began));
    return good;
}

/* ---- all of it -------------------------------------------------------------------------- */

static guint
start_carriers(VimgHaul *haul, pthread_t *threads, GError **error)
{
    int result = 0;
    guint n = 0;

    while (n < CARRIERS && result == 0) {
        result = thread_start(&threads[n], vimg_haul_carry, haul);
        if (result == 0)
            n++;
    }
    if (n == 0)
        throw_error(error, VIMG_ERROR_BUSY, _("cannot start a thread: %s"), g_strerror(result));
    return n;
}

/* Waits until something is to be done.  Returns: whether more may come. */
static gboolean
wait_for_more(VimgHaul *haul, guint carriers)
{
    gint64 deadline = g_get_monotonic_time() + WAIT_MAX;
    LOCK_GUARD(&haul->lock);

    while (haul->ended < carriers && haul->since < COMMIT_BYTES &&
           cond_wait_until(&haul->changed, &haul->lock, deadline))
        ;
    return haul->ended < carriers;
}

static void
report(VimgHaul *haul)
{
    guint64 sent;

    {
        LOCK_GUARD(&haul->lock);

        sent = haul->sent;
    }
    vimg_slice_store_progress(haul->start.job, "copying", haul->there + sent,
                              MAX(haul->total, haul->there + sent));
}

static gboolean
is_due(VimgHaul *haul)
{
    LOCK_GUARD(&haul->lock);

    return haul->since >= COMMIT_BYTES || (haul->since > 0 && g_get_monotonic_time() >= haul->due);
}

static void
supervise(VimgHaul *haul, guint carriers)
{
    while (wait_for_more(haul, carriers)) {
        GError *error = NULL;

        report(haul);
        if (!vimg_slice_store_check_job(haul->start.job, &error) ||
            (is_due(haul) && !commit(haul, g_get_monotonic_time() >= haul->due, &error)))
            vimg_haul_fail(haul, error);
    }
}

gboolean
vimg_haul_run(VimgHaul *haul, GError **error)
{
    pthread_t threads[CARRIERS];
    guint carriers;
    gboolean good;
    guint i;

    haul->total = haul->there + haul->missing;
    haul->due = g_get_monotonic_time() + COMMIT_SECONDS * G_USEC_PER_SEC;
    report(haul);
    if (haul->items->len == 0)
        return TRUE;
    carriers = start_carriers(haul, threads, error);
    if (carriers == 0)
        return FALSE;
    supervise(haul, carriers);
    for (i = 0; i < carriers; i++)
        thread_must(pthread_join(threads[i], NULL));
    report(haul);
    /* what failed keeps what came, as far as that still works */
    good = commit(haul, haul->failure != NULL, haul->failure ? NULL : error);
    if (!haul->failure)
        return good;
    if (error)
        *error = g_error_copy(haul->failure);
    return FALSE;
}
