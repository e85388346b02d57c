/*
 * pipeline.c: from slices of a stream to durable slices and a growing index
 *
 * Slices are hashed, looked up, compressed and staged by the crew in any order; they retire into
 * the index in the order of the stream.  The committer makes what was staged durable and publishes
 * a partial index now and then, so that an interrupted upload loses little.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "crew.h"
#include "pipeline.h"
#include "publish.h"
#include "resume.h"
#include "slice.h"
#include "thread.h"
#include "throw.h"

#define COMMIT_BYTES ((guint64)256 * 1024 * 1024)
#define COMMIT_SECONDS 10
#define FLIGHT_MIN ((guint64)16 * 1024 * 1024)

typedef struct {
    VimgPipeline *pipeline;
    VimgSlice slice; /* data: a reference of ours, until the crew is done */
    VimgSliceId id;
    guint64 number;
    gboolean hole;
    gboolean done;
} Task;

struct _VimgPipeline {
    /* set once */
    VimgPipelineStart start;
    VimgLane *lane;
    VimgPluginJob *job; /* that it is made for, or NULL */
    pthread_t committer;
    guint64 flight_max;
    gint level;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    GQueue tasks;       /* of Task, in the order of the stream; the head is the next to retire */
    guint64 flight;     /* bytes of slices the crew has not done yet */
    guint64 numbers;    /* of tasks made */
    VimgIndex *index;   /* all slices retired */
    GHashTable *stored; /* ids that lie in the store or are staged whole */
    GArray *staged;     /* of VimgStagedSlice, since the last commit */
    guint64 since;      /* bytes retired since the last commit, holes not counted */
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

static gboolean
stage(const Task *task, VimgSliceTools *tools, guint64 *size, GError **error)
{
    VimgLease *lease = task->pipeline->start.lease;
    const VimgStagedSlice staged = {task->id, task->number, 0};
    g_autofree char *path = vimg_publish_staged_path(lease, &staged);
    const guint8 *frame;
    gsize frame_size;
    int result;

    frame = vimg_slice_compress(tools, task->slice.data->data + task->slice.data_offset,
                                task->slice.length, task->pipeline->level, &frame_size, error);
    if (!frame || !vimg_slice_store_take(lease->store, frame_size, error))
        return FALSE;
    result = vimg_transport_create(lease->store->transport, path, frame, frame_size, TRUE);
    if (result == 0) {
        *size = frame_size;
        return TRUE;
    }
    vimg_usage_settle(lease->store->usage, frame_size, FALSE);
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    return throw_result(error, result, _("cannot store slices"));
}

/* @staged: whether it lies in the lease now, else it is in the store or staged before. */
static gboolean
store_slice(Task *task, VimgSliceTools *tools, gboolean *staged, guint64 *size, GError **error)
{
    VimgPipeline *pipeline = task->pipeline;
    gboolean known;
    int result;

    *staged = FALSE;
    *size = 0;
    {
        LOCK_GUARD(&pipeline->lock);

        if (g_hash_table_contains(pipeline->stored, &task->id))
            return TRUE;
    }
    result = look_up(pipeline->start.lease->store->transport, &task->id, &known, size);
    if (result != 0)
        return throw_result(error, result, _("cannot look up slices"));
    if (known)
        return TRUE;
    *staged = stage(task, tools, size, error);
    return *staged;
}

static gboolean
work(Task *task, VimgSliceTools *tools, gboolean *staged, guint64 *size, GError **error)
{
    const VimgPipelineStart *start = &task->pipeline->start;
    const VimgSlice *slice = &task->slice;

    *staged = FALSE;
    *size = 0;
    if (slice->data)
        vimg_slice_hash(tools, slice->data->data + slice->data_offset, slice->length, &task->id);
    if (!vimg_resume_agrees(start->old, slice, slice->data ? &task->id : NULL) &&
        !vimg_resume_compare(start->lease->store, tools, start->old, slice, error))
        return FALSE;
    return !slice->data || store_slice(task, tools, staged, size, error);
}

/* Moves what is done, in order, into the index.  The lock is held. */
static void
retire(VimgPipeline *pipeline)
{
    Task *task;

    while (!pipeline->failure && (task = g_queue_peek_head(&pipeline->tasks)) && task->done) {
        GError *error = NULL;

        g_queue_pop_head(&pipeline->tasks);
        if (!vimg_index_append(pipeline->index, task->slice.length, &task->id, &error))
            fail(pipeline, error);
        if (!task->hole)
            pipeline->since += task->slice.length;
        task_free(task);
    }
    pthread_cond_broadcast(&pipeline->changed);
}

static void
run_task(VimgSliceTools *tools, gpointer data)
{
    Task *task = data;
    VimgPipeline *pipeline = task->pipeline;
    GError *error = NULL;
    gboolean skip;
    gboolean staged = FALSE;
    guint64 size = 0;

    {
        LOCK_GUARD(&pipeline->lock);

        skip = pipeline->failure != NULL;
    }
    if (!skip)
        work(task, tools, &staged, &size, &error);
    {
        LOCK_GUARD(&pipeline->lock);
        VimgStagedSlice slice = {task->id, task->number, size};

        if (staged)
            g_array_append_val(pipeline->staged, slice);
        if (error)
            fail(pipeline, error);
        else if (!skip && task->slice.data &&
                 g_hash_table_add(pipeline->stored, g_memdup2(&task->id, sizeof(task->id))))
            pipeline->allocation += size;
        g_clear_pointer(&task->slice.data, vimg_buffer_unref);
        pipeline->flight -= task->slice.length;
        task->done = !skip && !error;
        retire(pipeline);
    }
}

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
    gboolean stored = vimg_publish_slices(start->lease, commit->staged, error);

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

VimgPipeline *
vimg_pipeline_new(const VimgPipelineStart *start, GError **error)
{
    VimgPipeline *pipeline = g_new0(VimgPipeline, 1);
    VimgSliceStore *store = start->lease->store;
    int result;

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
    pipeline->lane = vimg_lane_new(run_task, error);
    if (!pipeline->lane) {
        pipeline_discard(pipeline);
        return NULL;
    }
    result = thread_start(&pipeline->committer, committer_main, pipeline);
    if (result != 0) {
        throw_error(error, VIMG_ERROR_BUSY, _("cannot start a thread: %s"), g_strerror(result));
        vimg_lane_free(pipeline->lane);
        pipeline_discard(pipeline);
        return NULL;
    }
    return pipeline;
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
    vimg_lane_free(pipeline->lane);
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
        task->id = *vimg_zero_id(slice->length);
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
        task->number = pipeline->numbers++;
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
