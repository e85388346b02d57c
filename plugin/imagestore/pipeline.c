/*
 * pipeline.c: from slices of a stream to durable slices and a growing index
 *
 * Slices are hashed, looked up, compressed and staged by the crew in any order, where the storage
 * is far away with a ferry for the looking and staging; they retire into the index in the order of
 * the stream.  The committer makes what was staged durable and publishes a partial index now and
 * then, so that an interrupted upload loses little.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crew.h"
#include "ferry.h"
#include "pipeline.h"
#include "publish.h"
#include "resume.h"
#include "slice.h"
#include "../thread.h"
#include "../throw.h"

#define COMMIT_BYTES ((guint64)256 * 1024 * 1024)
#define COMMIT_SECONDS 10
#define FLIGHT_MIN ((guint64)16 * 1024 * 1024)
#define FLIGHT_FAR ((guint64)96 * 1024 * 1024) /* to a storage far away, most is on the way */
#define READERS 4                              /* of stored slices far away, to compare with */

typedef struct {
    VimgCargo cargo; /* the first member; with id and number */
    VimgPipeline *pipeline;
    VimgSlice slice; /* data: a reference of ours, until the crew is done */
    guint64 weight;  /* of what it holds, as counted in flight */
    gboolean hole;
    gboolean wanted; /* the ferry found that it is not there */
    gboolean read;   /* what it is to be compared with */
    gboolean staged, done;
} Task;

struct _VimgPipeline {
    /* set once */
    VimgPipelineStart start;
    VimgLane *lane;
    VimgFerry *ferry;   /* NULL: the crew looks and stages */
    VimgLane *reading;  /* with the ferry: compares with what is stored; NULL: the crew does */
    VimgPluginJob *job; /* that it is made for, or NULL */
    pthread_t committer;
    guint64 flight_max;
    gint level;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    GQueue tasks;       /* of Task, in the order of the stream; the head is the next to retire */
    guint64 flight;     /* bytes of slices that are not done yet */
    guint64 numbers;    /* of tasks made */
    VimgIndex *index;   /* all slices retired */
    GHashTable *stored; /* ids that lie in the store or are staged whole */
    GArray *staged;     /* of VimgStagedSlice, since the last commit */
    guint64 since;      /* bytes retired since the last commit that were not stored before */
    guint64 allocation;
    guint64 durable;
    gsize published; /* slices of the index that the last partial index names */
    GError *failure; /* the first; nothing retires after it */
    gboolean ending;
    gboolean last_partial;
    gboolean ended; /* the committer is no more */
};

static void
task_free(Task *task)
{
    vimg_buffer_unref(task->slice.data);
    vimg_buffer_unref(task->cargo.frame);
    g_free(task);
}

/* Takes @error over.  The lock is held. */
static void
fail(VimgPipeline *pipeline, GError *error)
{
    if (pipeline->failure)
        g_error_free(error);
    else
        pipeline->failure = error;
    pthread_cond_broadcast(&pipeline->changed);
}

static gboolean
throw_failure(const VimgPipeline *pipeline, GError **error)
{
    if (pipeline->failure && error)
        *error = g_error_copy(pipeline->failure);
    return !pipeline->failure;
}

/* ---- the crew's part -------------------------------------------------------------------- */

/* Whether the slice lies in the store already: looked up after our lease was made. */
static int
look_up(VimgTransport *transport, const VimgSliceId *id, gboolean *known, guint64 *size)
{
    g_autofree char *path = vimg_slice_path(id);
    VimgFileInfo info;
    int result = vimg_transport_stat(transport, path, &info);

    *known = result == 0 && info.size > 0;
    *size = info.size;
    return result == ENOENT ? 0 : result;
}

/* The frame, valid until the next one, and taken from the quota. */
static const guint8 *
compress(const Task *task, VimgSliceTools *tools, gsize *size, GError **error)
{
    const VimgPipeline *pipeline = task->pipeline;
    const guint8 *frame =
        vimg_slice_compress(tools, task->slice.data->data + task->slice.data_offset,
                            task->slice.length, pipeline->level, size, error);

    return frame && vimg_slice_store_take(pipeline->start.lease->store, *size, error) ? frame
                                                                                      : NULL;
}

static gboolean
stage(Task *task, VimgSliceTools *tools, GError **error)
{
    VimgLease *lease = task->pipeline->start.lease;
    g_autofree char *path = vimg_publish_staged_path(lease, &task->cargo.slice);
    const guint8 *frame;
    gsize frame_size;
    int result;

    frame = compress(task, tools, &frame_size, error);
    if (!frame)
        return FALSE;
    result = vimg_transport_create(lease->store->transport, path, frame, frame_size, TRUE);
    if (result == 0) {
        task->cargo.slice.size = frame_size;
        return TRUE;
    }
    vimg_usage_settle(lease->store->usage, frame_size, FALSE);
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    return throw_result(error, result, _("cannot store slices"));
}

/* Where a slice is after the crew's work on it. */
typedef enum {
    PLACE_THERE,  /* in the store, or staged before; or it is a hole */
    PLACE_STAGED, /* it lies in the lease now */
    PLACE_FERRY,  /* the ferry has it: not done yet */
    PLACE_READ,   /* to be compared with what is stored: not done yet */
    PLACE_NOWHERE,
} Place;

static Place
store_slice(Task *task, VimgSliceTools *tools, GError **error)
{
    VimgPipeline *pipeline = task->pipeline;
    gboolean known;
    int result;

    {
        LOCK_GUARD(&pipeline->lock);

        if (g_hash_table_contains(pipeline->stored, &task->cargo.slice.id))
            return PLACE_THERE;
    }
    if (pipeline->ferry) {
        vimg_ferry_look_up(pipeline->ferry, &task->cargo);
        return PLACE_FERRY;
    }
    result = look_up(pipeline->start.lease->store->transport, &task->cargo.slice.id, &known,
                     &task->cargo.slice.size);
    if (result != 0) {
        throw_result(error, result, _("cannot look up slices"));
        return PLACE_NOWHERE;
    }
    if (known)
        return PLACE_THERE;
    return stage(task, tools, error) ? PLACE_STAGED : PLACE_NOWHERE;
}

static Place
work(Task *task, VimgSliceTools *tools, GError **error)
{
    const VimgPipeline *pipeline = task->pipeline;
    const VimgPipelineStart *start = &pipeline->start;
    const VimgSlice *slice = &task->slice;
    VimgSliceId *id = &task->cargo.slice.id;

    if (slice->data && !task->read)
        vimg_slice_hash(tools, slice->data->data + slice->data_offset, slice->length, id);
    if (!task->read && !vimg_resume_agrees(start->old, slice, slice->data ? id : NULL)) {
        task->read = TRUE;
        /* a storage that hangs must not hold the crew, which is everybody's */
        if (pipeline->reading)
            return PLACE_READ;
    }
    if (task->read && !vimg_resume_compare(start->lease->store, tools, start->old, slice, error))
        return PLACE_NOWHERE;
    return slice->data ? store_slice(task, tools, error) : PLACE_THERE;
}

/* Moves what is done, in order, into the index.  The lock is held. */
static void
retire(VimgPipeline *pipeline)
{
    Task *task;

    while (!pipeline->failure && (task = g_queue_peek_head(&pipeline->tasks)) && task->done) {
        GError *error = NULL;

        g_queue_pop_head(&pipeline->tasks);
        if (!vimg_index_append(pipeline->index, task->slice.length, &task->cargo.slice.id, &error))
            fail(pipeline, error);
        if (task->staged)
            pipeline->since += task->slice.length;
        task_free(task);
    }
    pthread_cond_broadcast(&pipeline->changed);
}

/* @error: taken over.  Afterwards the task may be gone. */
static void
finish(Task *task, Place place, GError *error)
{
    VimgPipeline *pipeline = task->pipeline;
    const VimgStagedSlice *slice = &task->cargo.slice;
    LOCK_GUARD(&pipeline->lock);

    task->staged = place == PLACE_STAGED;
    if (task->staged)
        g_array_append_vals(pipeline->staged, slice, 1);
    if (error)
        fail(pipeline, error);
    else if (place != PLACE_NOWHERE && !task->hole &&
             g_hash_table_add(pipeline->stored, g_memdup2(&slice->id, sizeof(slice->id))))
        pipeline->allocation += slice->size;
    g_clear_pointer(&task->slice.data, vimg_buffer_unref);
    pipeline->flight -= task->weight;
    task->done = place != PLACE_NOWHERE;
    retire(pipeline);
}

static gboolean
has_failed(VimgPipeline *pipeline)
{
    LOCK_GUARD(&pipeline->lock);

    return pipeline->failure != NULL;
}

/* From here on it weighs what its frame does. */
static void
load(Task *task, VimgSliceTools *tools)
{
    VimgPipeline *pipeline = task->pipeline;
    GError *error = NULL;
    const guint8 *frame = NULL;
    gsize size;

    if (!has_failed(pipeline))
        frame = compress(task, tools, &size, &error);
    if (!frame)
        return vimg_ferry_drop(pipeline->ferry, &task->cargo, error);
    task->cargo.frame = vimg_buffer_new(size);
    memcpy(task->cargo.frame->data, frame, size);
    task->cargo.slice.size = size;
    {
        LOCK_GUARD(&pipeline->lock);

        g_clear_pointer(&task->slice.data, vimg_buffer_unref);
        pipeline->flight -= task->weight;
        task->weight = size;
        pipeline->flight += size;
        pthread_cond_broadcast(&pipeline->changed);
    }
    vimg_ferry_put(pipeline->ferry, &task->cargo);
}

static void
run_task(VimgSliceTools *tools, gpointer data)
{
    Task *task = data;
    GError *error = NULL;
    Place place = PLACE_NOWHERE;

    if (task->wanted)
        return load(task, tools);
    if (!has_failed(task->pipeline))
        place = work(task, tools, &error);
    if (place == PLACE_READ)
        vimg_lane_push(task->pipeline->reading, task);
    else if (place != PLACE_FERRY)
        finish(task, place, error);
}

static void
ferry_wanted(VimgCargo *cargo, gpointer data)
{
    VimgPipeline *pipeline = data;
    Task *task = (Task *)cargo;

    task->wanted = TRUE;
    vimg_lane_push(pipeline->lane, task);
}

static void
ferry_done(VimgCargo *cargo, gboolean staged, gboolean stopped, GError *error, gpointer data)
{
    finish((Task *)cargo, stopped ? PLACE_NOWHERE : staged ? PLACE_STAGED : PLACE_THERE, error);
}

static const VimgFerryFuncs ferry_funcs = {.wanted = ferry_wanted, .done = ferry_done};

/* ---- the committer's part --------------------------------------------------------------- */

typedef struct {
    GArray *staged;
    VimgIndex *index; /* NULL: no partial index is due */
    guint64 reserve;
} Commit;

static guint64
still_to_come(const VimgPipeline *pipeline, guint64 length)
{
    const VimgPipelineStart *start = &pipeline->start;
    guint64 came = length - MIN(length, start->offset);

    if (start->ahead == 0)
        return VIMG_RESERVE_AHEAD;
    return start->ahead - MIN(start->ahead, came);
}

/* Takes what a commit is about.  The lock is held. */
static Commit
begin_commit(VimgPipeline *pipeline)
{
    Commit commit = {.staged = g_steal_pointer(&pipeline->staged)};
    guint64 length = vimg_index_length(pipeline->index);

    pipeline->staged = g_array_new(FALSE, FALSE, sizeof(VimgStagedSlice));
    pipeline->since = 0;
    commit.reserve = still_to_come(pipeline, length);
    if (length > pipeline->durable && (!pipeline->ending || pipeline->last_partial))
        commit.index = vimg_index_copy(pipeline->index, vimg_index_count(pipeline->index));
    return commit;
}

/* @slices are staged no more. */
static void
settle(const VimgPipeline *pipeline, const GArray *slices, gboolean stored)
{
    guint64 sum = 0;
    guint i;

    for (i = 0; i < slices->len; i++)
        sum += g_array_index(slices, VimgStagedSlice, i).size;
    vimg_usage_settle(pipeline->start.lease->store->usage, sum, stored);
}

/* No lock is held. */
static gboolean
run_commit(VimgPipeline *pipeline, const Commit *commit, GError **error)
{
    const VimgPipelineStart *start = &pipeline->start;
    gboolean stored = start->may_commit(start->data, error) &&
                      vimg_publish_slices(start->lease, commit->staged, error);

    settle(pipeline, commit->staged, stored);
    if (!stored)
        return FALSE;
    return !commit->index || vimg_publish_partial(start->lease, start->uuid, commit->index,
                                                  pipeline->published, error);
}

static void
end_commit(VimgPipeline *pipeline, Commit *commit)
{
    if (commit->index) {
        pipeline->durable = vimg_index_length(commit->index);
        pipeline->published = vimg_index_count(commit->index);
    }
}

/* Whether a commit is due; waits for it.  The lock is held.  FALSE: there is nothing more to do. */
static gboolean
wait_for_commit(VimgPipeline *pipeline)
{
    gint64 deadline = g_get_monotonic_time() + COMMIT_SECONDS * G_USEC_PER_SEC;

    while (!pipeline->ended && !pipeline->ending && pipeline->since < COMMIT_BYTES) {
        if (cond_wait_until(&pipeline->changed, &pipeline->lock, deadline))
            continue;
        if (pipeline->since > 0 || vimg_index_length(pipeline->index) > pipeline->durable)
            break;
        deadline = g_get_monotonic_time() + COMMIT_SECONDS * G_USEC_PER_SEC;
    }
    /* at the end, everything that still can retire */
    while (pipeline->ending && pipeline->flight > 0)
        thread_must(pthread_cond_wait(&pipeline->changed, &pipeline->lock));
    return !pipeline->ended;
}

static void *
committer_main(void *data)
{
    VimgPipeline *pipeline = data;
    VIMG_TRANSPORT_PATIENCE(pipeline->job);

    pthread_setname_np(pthread_self(), "commit");
    thread_must(pthread_mutex_lock(&pipeline->lock));
    while (wait_for_commit(pipeline)) {
        gboolean last = pipeline->ending;
        Commit commit = begin_commit(pipeline);
        GError *error = NULL;
        gboolean good;

        thread_must(pthread_mutex_unlock(&pipeline->lock));
        good = run_commit(pipeline, &commit, &error);
        if (good && !last)
            good = vimg_lease_reserve(pipeline->start.lease, commit.reserve, FALSE, &error);
        thread_must(pthread_mutex_lock(&pipeline->lock));
        if (good)
            end_commit(pipeline, &commit);
        else
            fail(pipeline, error);
        g_array_unref(commit.staged);
        vimg_index_free(commit.index);
        pipeline->ended = last || !good;
        pthread_cond_broadcast(&pipeline->changed);
    }
    thread_must(pthread_mutex_unlock(&pipeline->lock));
    return NULL;
}

/* ---- the stream's part ------------------------------------------------------------------ */

static void
pipeline_discard(VimgPipeline *pipeline)
{
    vimg_lane_free(pipeline->lane);
    vimg_lane_free(pipeline->reading);
    vimg_ferry_free(pipeline->ferry);
    g_queue_clear_full(&pipeline->tasks, (GDestroyNotify)task_free);
    g_clear_error(&pipeline->failure);
    settle(pipeline, pipeline->staged, FALSE);
    g_array_unref(pipeline->staged);
    g_hash_table_unref(pipeline->stored);
    vimg_index_free(pipeline->index);
    pthread_cond_destroy(&pipeline->changed);
    pthread_mutex_destroy(&pipeline->lock);
    g_free(pipeline);
}

static gboolean
start_threads(VimgPipeline *pipeline, GError **error)
{
    int result;

    pipeline->lane = vimg_lane_new(run_task, 0, error);
    if (!pipeline->lane)
        return FALSE;
    if (pipeline->start.lease->store->transport->remote) {
        pipeline->ferry = vimg_ferry_new(pipeline->start.lease, &ferry_funcs, pipeline, error);
        if (!pipeline->ferry)
            return FALSE;
        if (vimg_index_count(pipeline->start.old) > pipeline->start.keep &&
            !(pipeline->reading = vimg_lane_new(run_task, READERS, error)))
            return FALSE;
        pipeline->flight_max = MAX(pipeline->flight_max, FLIGHT_FAR);
    }
    result = thread_start(&pipeline->committer, committer_main, pipeline);
    return result == 0 ||
           throw_error(error, VIMG_ERROR_BUSY, _("cannot start a thread: %s"), g_strerror(result));
}

VimgPipeline *
vimg_pipeline_new(const VimgPipelineStart *start, GError **error)
{
    VimgPipeline *pipeline = g_new0(VimgPipeline, 1);
    VimgSliceStore *store = start->lease->store;

    pipeline->start = *start;
    pipeline->job = vimg_transport_job();
    pipeline->level = __atomic_load_n(&store->compression, __ATOMIC_RELAXED);
    pipeline->flight_max = MAX(FLIGHT_MIN, 2 * vimg_crew_size() * store->slice_size);
    pipeline->index = vimg_index_copy(start->old, start->keep);
    pipeline->published = start->keep;
    pipeline->durable = vimg_index_length(start->old);
    pipeline->allocation = start->allocation;
    pipeline->stored = g_hash_table_new_full(vimg_id_hash, vimg_id_equal_func, g_free, NULL);
    pipeline->staged = g_array_new(FALSE, FALSE, sizeof(VimgStagedSlice));
    g_queue_init(&pipeline->tasks);
    thread_must(pthread_mutex_init(&pipeline->lock, NULL));
    cond_init(&pipeline->changed);
    if (start_threads(pipeline, error))
        return pipeline;
    pipeline_discard(pipeline);
    return NULL;
}

void
vimg_pipeline_free(VimgPipeline *pipeline)
{
    if (!pipeline)
        return;
    {
        LOCK_GUARD(&pipeline->lock);

        pipeline->ending = TRUE;
        pthread_cond_broadcast(&pipeline->changed);
    }
    thread_must(pthread_join(pipeline->committer, NULL));
    {
        LOCK_GUARD(&pipeline->lock);

        /* the crew gives slices to the ferry, and the ferry to the crew */
        while (pipeline->flight > 0)
            thread_must(pthread_cond_wait(&pipeline->changed, &pipeline->lock));
    }
    pipeline_discard(pipeline);
}

gboolean
vimg_pipeline_push(VimgPipeline *pipeline, const VimgSlice *slice, GError **error)
{
    Task *task = g_new0(Task, 1);
    gboolean idle;

    task->pipeline = pipeline;
    task->slice = *slice;
    task->hole = !slice->data;
    if (slice->data)
        vimg_buffer_ref(slice->data);
    else
        task->cargo.slice.id = *vimg_zero_id(slice->length);
    /* a hole may be terabytes of zero slices: only those that need a look at stored bytes wait */
    idle = !slice->data && vimg_resume_agrees(pipeline->start.old, slice, NULL);
    {
        LOCK_GUARD(&pipeline->lock);

        while (!idle && !pipeline->failure && pipeline->flight > 0 &&
               pipeline->flight + slice->length > pipeline->flight_max)
            thread_must(pthread_cond_wait(&pipeline->changed, &pipeline->lock));
        if (pipeline->failure) {
            task_free(task);
            return throw_failure(pipeline, error);
        }
        task->cargo.slice.number = pipeline->numbers++;
        task->weight = slice->length;
        task->done = idle;
        g_queue_push_tail(&pipeline->tasks, task);
        if (idle)
            retire(pipeline);
        else
            pipeline->flight += slice->length;
    }
    if (!idle)
        vimg_lane_push(pipeline->lane, task);
    return TRUE;
}

gboolean
vimg_pipeline_end(VimgPipeline *pipeline, gboolean partial, GError **error)
{
    LOCK_GUARD(&pipeline->lock);

    pipeline->ending = TRUE;
    pipeline->last_partial = partial;
    pthread_cond_broadcast(&pipeline->changed);
    while (!pipeline->ended)
        thread_must(pthread_cond_wait(&pipeline->changed, &pipeline->lock));
    return throw_failure(pipeline, error);
}

const VimgIndex *
vimg_pipeline_index(VimgPipeline *pipeline)
{
    return pipeline->index;
}

void
vimg_pipeline_stat(VimgPipeline *pipeline, guint64 *allocation, guint64 *durable)
{
    LOCK_GUARD(&pipeline->lock);

    *allocation = pipeline->allocation;
    *durable = pipeline->durable;
}
