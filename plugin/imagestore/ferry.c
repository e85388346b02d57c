/*
 * ferry.c: slices of an upload on their way to a storage far away
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crew.h"
#include "ferry.h"
#include "slice.h"
#include "../thread.h"
#include "../throw.h"

#define THREADS 16
#define LOOKERS 2 /* of them: while two wait, what comes gathers to a batch */
#define LOOK_MAX 1024
/*
 * Bytes of one batch, at most and at least, unless only a few are under way: so the threads hold
 * enough for any distance, and the last slices are not waited for.
 */
#define PUT_MAX ((gsize)4 * 1024 * 1024)
#define PUT_MIN ((gsize)3 * 1024 * 1024)
#define FEW 4

/* Others with the id of a slice that is under way: done when it is. */
typedef struct {
    VimgSliceId id;
    GPtrArray *cargos;
} Same;

struct _VimgFerry {
    VimgLease *lease;
    const VimgFerryFuncs *funcs;
    gpointer data;
    VimgLane *lane;

    pthread_mutex_t lock; /* guards what follows */
    GQueue to_look_up;    /* of VimgCargo */
    GQueue to_put;
    gsize put_bytes;       /* of these */
    GHashTable *under_way; /* of Same */
    guint lookers;
    guint putters;
    gboolean failed;
};

static void
same_free(gpointer data)
{
    Same *same = data;

    g_ptr_array_unref(same->cargos);
    g_free(same);
}

static gboolean
has_failed(VimgFerry *ferry)
{
    LOCK_GUARD(&ferry->lock);

    return ferry->failed;
}

/* Whoever comes with this id from now on finds it stored.  @error: taken over. */
static void
end(VimgFerry *ferry, VimgCargo *cargo, gboolean staged, gboolean stopped, GError *error)
{
    VimgSliceId id = cargo->slice.id;
    g_autoptr(GPtrArray) others = NULL;
    guint i;

    stopped |= error != NULL;
    if (error) {
        LOCK_GUARD(&ferry->lock);

        ferry->failed = TRUE;
    }
    g_clear_pointer(&cargo->frame, vimg_buffer_unref);
    ferry->funcs->done(cargo, staged, stopped, error, ferry->data);
    {
        LOCK_GUARD(&ferry->lock);
        const Same *same = g_hash_table_lookup(ferry->under_way, &id);

        others = g_ptr_array_ref(same->cargos);
        g_hash_table_remove(ferry->under_way, &id);
    }
    for (i = 0; i < others->len; i++)
        ferry->funcs->done(others->pdata[i], FALSE, stopped, NULL, ferry->data);
}

/* ---- looking up ------------------------------------------------------------------------- */

static void
take_look(VimgFerry *ferry, VimgCargo *cargo, const VimgOp *op)
{
    GError *error = NULL;

    if (op->result != 0 && op->result != ENOENT)
        throw_result(&error, op->result, _("cannot look up slices"));
    else if (op->result == ENOENT || op->info.size == 0)
        return ferry->funcs->wanted(cargo, ferry->data);
    cargo->slice.size = op->info.size;
    end(ferry, cargo, FALSE, FALSE, error);
}

static void
look_up(VimgFerry *ferry, const GPtrArray *cargos)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, cargos->len);
    gboolean stopped = has_failed(ferry);
    guint i;

    for (i = 0; i < cargos->len; i++) {
        const VimgCargo *cargo = cargos->pdata[i];

        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = vimg_slice_path(&cargo->slice.id)};
    }
    if (!stopped)
        vimg_transport_run(ferry->lease->store->transport, ops, cargos->len);
    for (i = 0; i < cargos->len; i++) {
        if (stopped)
            end(ferry, cargos->pdata[i], FALSE, TRUE, NULL);
        else
            take_look(ferry, cargos->pdata[i], &ops[i]);
    }
    vimg_transport_clear_ops(ops, cargos->len, TRUE);
}

/* ---- putting ---------------------------------------------------------------------------- */

static void
take_put(VimgFerry *ferry, VimgCargo *cargo, const VimgOp *op)
{
    GError *error = NULL;

    if (op->result == ENOENT)
        vimg_lease_throw_fenced(&error);
    else if (op->result != 0)
        throw_result(&error, op->result, _("cannot store slices"));
    if (error)
        vimg_usage_settle(ferry->lease->store->usage, cargo->frame->size, FALSE);
    end(ferry, cargo, !error, FALSE, error);
}

/* The slices themselves, and in the same trips the directories that they will be moved to. */
static void
run_put(VimgFerry *ferry, VimgOp *ops, const GPtrArray *cargos)
{
    VimgSliceStore *store = ferry->lease->store;
    gsize n = cargos->len;
    guint i;

    for (i = 0; i < cargos->len; i++) {
        const VimgCargo *cargo = cargos->pdata[i];

        ops[i] = (VimgOp){
            .kind = VIMG_OP_CREATE,
            .path = vimg_publish_staged_path(ferry->lease, &cargo->slice),
            .data = cargo->frame->data,
            .size = cargo->frame->size,
            .sealed = TRUE,
            .durable = TRUE,
        };
        n += vimg_publish_prefix_op(store, &cargo->slice.id, &ops[n]);
    }
    vimg_transport_run(store->transport, ops, n);
    /* one that cannot be made is asked for again */
    for (i = cargos->len; i < n; i++)
        vimg_publish_prefix_done(store, &ops[i]);
}

static void
put(VimgFerry *ferry, const GPtrArray *cargos)
{
    gsize most = 2 * (gsize)cargos->len;
    g_autofree VimgOp *ops = g_new0(VimgOp, most);
    gboolean stopped = has_failed(ferry);
    guint i;

    if (!stopped)
        run_put(ferry, ops, cargos);
    for (i = 0; i < cargos->len; i++) {
        VimgCargo *cargo = cargos->pdata[i];

        if (!stopped) {
            take_put(ferry, cargo, &ops[i]);
            continue;
        }
        vimg_usage_settle(ferry->lease->store->usage, cargo->frame->size, FALSE);
        end(ferry, cargo, FALSE, TRUE, NULL);
    }
    vimg_transport_clear_ops(ops, most, TRUE);
}

/* ---- threads ---------------------------------------------------------------------------- */

/* The lock is held. */
static GPtrArray *
batch_to_look_up(VimgFerry *ferry)
{
    GPtrArray *batch = g_ptr_array_new();
    VimgCargo *cargo;

    while (batch->len < LOOK_MAX && (cargo = g_queue_pop_head(&ferry->to_look_up)))
        g_ptr_array_add(batch, cargo);
    return batch;
}

/* The lock is held. */
static GPtrArray *
batch_to_put(VimgFerry *ferry)
{
    GPtrArray *batch = g_ptr_array_new();
    VimgCargo *cargo;
    gsize bytes = 0;

    while (bytes < PUT_MAX && (cargo = g_queue_pop_head(&ferry->to_put))) {
        g_ptr_array_add(batch, cargo);
        bytes += cargo->frame->size;
    }
    ferry->put_bytes -= bytes;
    return batch;
}

/* One batch; @ferry's lock is held, but not while the storage works.  FALSE: there is none now. */
static gboolean
run_batch(VimgFerry *ferry)
{
    gboolean look = ferry->to_look_up.length > 0 && ferry->lookers < LOOKERS;
    guint *active = look ? &ferry->lookers : &ferry->putters;
    g_autoptr(GPtrArray) batch = NULL;

    if (!look &&
        (ferry->to_put.length == 0 || (ferry->putters >= FEW && ferry->put_bytes < PUT_MIN)))
        return FALSE;
    batch = look ? batch_to_look_up(ferry) : batch_to_put(ferry);
    ++*active;
    thread_must(pthread_mutex_unlock(&ferry->lock));
    (look ? look_up : put)(ferry, batch);
    thread_must(pthread_mutex_lock(&ferry->lock));
    --*active;
    return TRUE;
}

/* There may be something to do: each that came asks for a thread, and may have gone with others. */
static void
run_ferry(VimgSliceTools *tools, gpointer data)
{
    VimgFerry *ferry = data;
    LOCK_GUARD(&ferry->lock);

    while (run_batch(ferry))
        ;
}

VimgFerry *
vimg_ferry_new(VimgLease *lease, const VimgFerryFuncs *funcs, gpointer data, GError **error)
{
    VimgLane *lane = vimg_lane_new(run_ferry, THREADS, error);
    VimgFerry *ferry;

    if (!lane)
        return NULL;
    ferry = g_new0(VimgFerry, 1);
    ferry->lease = lease;
    ferry->funcs = funcs;
    ferry->data = data;
    ferry->lane = lane;
    thread_must(pthread_mutex_init(&ferry->lock, NULL));
    g_queue_init(&ferry->to_look_up);
    g_queue_init(&ferry->to_put);
    ferry->under_way = g_hash_table_new_full(vimg_id_hash, vimg_id_equal_func, NULL, same_free);
    return ferry;
}

void
vimg_ferry_free(VimgFerry *ferry)
{
    if (!ferry)
        return;
    vimg_lane_free(ferry->lane);
    g_hash_table_unref(ferry->under_way);
    pthread_mutex_destroy(&ferry->lock);
    g_free(ferry);
}

/* ---- the crew's side -------------------------------------------------------------------- */

void
vimg_ferry_look_up(VimgFerry *ferry, VimgCargo *cargo)
{
    {
        LOCK_GUARD(&ferry->lock);
        Same *same = g_hash_table_lookup(ferry->under_way, &cargo->slice.id);

        if (same) {
            g_ptr_array_add(same->cargos, cargo);
            return;
        }
        same = g_new0(Same, 1);
        same->id = cargo->slice.id;
        same->cargos = g_ptr_array_new();
        g_hash_table_insert(ferry->under_way, &same->id, same);
        g_queue_push_tail(&ferry->to_look_up, cargo);
    }
    vimg_lane_push(ferry->lane, ferry);
}

void
vimg_ferry_put(VimgFerry *ferry, VimgCargo *cargo)
{
    {
        LOCK_GUARD(&ferry->lock);

        g_queue_push_tail(&ferry->to_put, cargo);
        ferry->put_bytes += cargo->frame->size;
    }
    vimg_lane_push(ferry->lane, ferry);
}

void
vimg_ferry_drop(VimgFerry *ferry, VimgCargo *cargo, GError *error)
{
    end(ferry, cargo, FALSE, TRUE, error);
}
