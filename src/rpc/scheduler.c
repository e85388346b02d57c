/*
 * scheduler.c: which call runs next, and on which worker
 *
 * Slow tasks wait in one line per pool.  A line is "ready" while it has a task and the pool may
 * have one more running; ready lines stand in a ring and workers take one task from the first,
 * which goes to the end.  So choosing a task never searches, and no pool waits for another one's
 * backlog.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/scheduler.h"
#include "util/thread.h"

typedef struct _Task Task;
struct _Task {
    Task *next;
    void (*func)(gpointer data);
    gpointer data;
};

typedef struct _Line Line;
struct _Line {
    char *pool;
    guint max; /* running at a time */
    guint running;
    Task *head, *tail;
    Line *next;     /* in the ring */
    gboolean ready; /* it is in the ring */
};

struct _VimgScheduler {
    VimgWorkers *fast;
    guint max_pool;
    guint max_other; /* of tasks without a pool */
    guint n_threads;
    VimgThread *threads;
    VimgMutex lock; /* all below */
    VimgCond changed;
    GHashTable *lines;  /* of Line by its pool, while it has tasks or runs some */
    Line *first, *last; /* the ring */
    gboolean ending;
};

static void
line_free(gpointer data)
{
    Line *line = data;

    g_free(line->pool);
    g_free(line);
}

/* Lock held. */
static void
update_ring(VimgScheduler *scheduler, Line *line)
{
    if (line->ready || !line->head || line->running >= line->max)
        return;
    line->ready = TRUE;
    line->next = NULL;
    if (scheduler->last)
        scheduler->last->next = line;
    else
        scheduler->first = line;
    scheduler->last = line;
    vimg_cond_signal(&scheduler->changed);
}

/* Lock held; the ring is not empty. */
static Task *
take_task(VimgScheduler *scheduler, Line **from)
{
    Line *line = scheduler->first;
    Task *task = line->head;

    scheduler->first = line->next;
    if (!scheduler->first)
        scheduler->last = NULL;
    line->ready = FALSE;
    line->head = task->next;
    if (!line->head)
        line->tail = NULL;
    line->running++;
    update_ring(scheduler, line);
    *from = line;
    return task;
}

/* Lock held. */
static void
task_done(VimgScheduler *scheduler, Line *line)
{
    line->running--;
    update_ring(scheduler, line);
    if (!line->head && line->running == 0)
        g_hash_table_remove(scheduler->lines, line->pool);
    if (scheduler->ending) /* others may wait for the last line to go */
        vimg_cond_broadcast(&scheduler->changed);
}

static void
slow_main(gpointer data)
{
    VimgScheduler *scheduler = data;

    VIMG_LOCK_GUARD(&scheduler->lock);
    for (;;) {
        g_autofree Task *task = NULL;
        Line *line;

        while (!scheduler->first &&
               !(scheduler->ending && g_hash_table_size(scheduler->lines) == 0))
            vimg_cond_wait(&scheduler->changed, &scheduler->lock);
        if (!scheduler->first)
            return;
        task = take_task(scheduler, &line);
        vimg_mutex_unlock(&scheduler->lock);
        task->func(task->data);
        vimg_mutex_lock(&scheduler->lock);
        task_done(scheduler, line);
    }
}

VimgScheduler *
vimg_scheduler_new(guint n_fast, guint n_slow, guint max_pool, GError **error)
{
    g_autoptr(VimgScheduler) scheduler = g_new0(VimgScheduler, 1);

    n_slow = MAX(n_slow, 1);
    scheduler->max_pool = CLAMP(max_pool, 1, MAX(n_slow - 1, 1));
    scheduler->max_other = MAX(n_slow / 2, 1);
    scheduler->lines = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, line_free);
    vimg_mutex_init(&scheduler->lock);
    vimg_cond_init(&scheduler->changed);
    scheduler->threads = g_new0(VimgThread, n_slow);
    scheduler->fast = vimg_workers_new("fast-call", MAX(n_fast, 1), error);
    if (!scheduler->fast)
        return NULL;
    for (; scheduler->n_threads < n_slow; scheduler->n_threads++) {
        if (!vimg_thread_start(&scheduler->threads[scheduler->n_threads], "slow-call", slow_main,
                               scheduler, error))
            return NULL;
    }
    return g_steal_pointer(&scheduler);
}

void
vimg_scheduler_free(VimgScheduler *scheduler)
{
    guint i;

    if (!scheduler)
        return;
    vimg_workers_free(scheduler->fast);
    vimg_mutex_lock(&scheduler->lock);
    scheduler->ending = TRUE;
    vimg_cond_broadcast(&scheduler->changed);
    vimg_mutex_unlock(&scheduler->lock);
    for (i = 0; i < scheduler->n_threads; i++)
        vimg_thread_join(scheduler->threads[i]);
    g_hash_table_unref(scheduler->lines);
    vimg_cond_clear(&scheduler->changed);
    vimg_mutex_clear(&scheduler->lock);
    g_free(scheduler->threads);
    g_free(scheduler);
}

void
vimg_scheduler_push_fast(VimgScheduler *scheduler, void (*func)(gpointer data), gpointer data)
{
    vimg_workers_push(scheduler->fast, func, data);
}

void
vimg_scheduler_push_slow(VimgScheduler *scheduler, const char *pool, void (*func)(gpointer data),
                         gpointer data)
{
    Task *task = g_new(Task, 1);
    const char *key = pool ? pool : ""; /* no pool has an empty name */
    Line *line;

    task->next = NULL;
    task->func = func;
    task->data = data;
    VIMG_LOCK_GUARD(&scheduler->lock);
    line = g_hash_table_lookup(scheduler->lines, key);
    if (!line) {
        line = g_new0(Line, 1);
        line->pool = g_strdup(key);
        line->max = *key ? scheduler->max_pool : scheduler->max_other;
        g_hash_table_insert(scheduler->lines, line->pool, line);
    }
    if (line->tail)
        line->tail->next = task;
    else
        line->head = task;
    line->tail = task;
    update_ring(scheduler, line);
}
