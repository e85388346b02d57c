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
#include "util/error.h"
#include "util/i18n.h"
#include "util/thread.h"

typedef VimgSchedulerLine Line;
struct _VimgSchedulerLine {
    char *pool;
    guint max; /* running at a time */
    guint running;
    VimgTask *head, *tail;
    GList link;     /* in the ring */
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
    GHashTable *lines;                    /* of Line by its pool, while it has tasks or runs some */
    GQueue ring;                          /* of Line */
    guint n_long[VIMG_SCHEDULER_N_KINDS]; /* tasks that have a thread of their own */
    gboolean ending;
};

static void
line_free(gpointer data)
{
    Line *line = data;

    g_free(line->pool);
    g_free(line);
}

/* Lock held: after anything about @line changed, which may free it. */
static void
update_line(VimgScheduler *scheduler, Line *line)
{
    gboolean ready = line->head && line->running < line->max;

    if (ready && !line->ready) {
        g_queue_push_tail_link(&scheduler->ring, &line->link);
        vimg_cond_signal(&scheduler->changed);
    } else if (!ready && line->ready) {
        g_queue_unlink(&scheduler->ring, &line->link);
    }
    line->ready = ready;
    if (!line->head && line->running == 0)
        g_hash_table_remove(scheduler->lines, line->pool);
    if (scheduler->ending) /* others may wait for the last line to go */
        vimg_cond_broadcast(&scheduler->changed);
}

/* Lock held. */
static void
unlink_task(VimgTask *task)
{
    Line *line = task->line;

    if (task->prev)
        task->prev->next = task->next;
    else
        line->head = task->next;
    if (task->next)
        task->next->prev = task->prev;
    else
        line->tail = task->prev;
    task->line = NULL;
}

/* Lock held; the ring is not empty.  Returns: the first task of its first line, which goes to the
 * end. */
static VimgTask *
take_task(VimgScheduler *scheduler, Line **from)
{
    Line *line = g_queue_peek_head(&scheduler->ring);
    VimgTask *task = line->head;

    g_queue_unlink(&scheduler->ring, &line->link);
    line->ready = FALSE;
    unlink_task(task);
    line->running++;
    update_line(scheduler, line);
    *from = line;
    return task;
}

static void
slow_main(gpointer data)
{
    VimgScheduler *scheduler = data;

    VIMG_LOCK_GUARD(&scheduler->lock);
    for (;;) {
        VimgTask *task;
        Line *line;

        while (g_queue_is_empty(&scheduler->ring) &&
               !(scheduler->ending && g_hash_table_size(scheduler->lines) == 0))
            vimg_cond_wait(&scheduler->changed, &scheduler->lock);
        if (g_queue_is_empty(&scheduler->ring))
            return;
        task = take_task(scheduler, &line);
        vimg_mutex_unlock(&scheduler->lock);
        task->func(task->data);
        vimg_mutex_lock(&scheduler->lock);
        line->running--;
        update_line(scheduler, line);
    }
}

VimgScheduler *
vimg_scheduler_new(guint n_fast, guint n_slow, guint max_pool, GError **error)
{
    g_autoptr(VimgScheduler) scheduler = g_new0(VimgScheduler, 1);

    n_slow = MAX(n_slow, 1);
    scheduler->max_pool = CLAMP(max_pool, 1, MAX(n_slow - 1, 1));
    scheduler->max_other = MAX(n_slow / 2, 1);
    g_queue_init(&scheduler->ring);
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
    vimg_mutex_lock(&scheduler->lock);
    while (scheduler->n_long[VIMG_SCHEDULER_UPKEEP] + scheduler->n_long[VIMG_SCHEDULER_IMPORT] > 0)
        vimg_cond_wait(&scheduler->changed, &scheduler->lock);
    vimg_mutex_unlock(&scheduler->lock);
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

/* Lock held. */
static Line *
find_line(VimgScheduler *scheduler, const char *key)
{
    Line *line = g_hash_table_lookup(scheduler->lines, key);

    if (line)
        return line;
    line = g_new0(Line, 1);
    line->pool = g_strdup(key);
    line->max = *key ? scheduler->max_pool : scheduler->max_other;
    line->link.data = line;
    g_hash_table_insert(scheduler->lines, line->pool, line);
    return line;
}

void
vimg_scheduler_push_slow(VimgScheduler *scheduler, const char *pool, VimgTask *task)
{
    Line *line;

    VIMG_LOCK_GUARD(&scheduler->lock);
    line = find_line(scheduler, pool ? pool : ""); /* no pool has an empty name */
    task->line = line;
    task->next = NULL;
    task->prev = line->tail;
    if (line->tail)
        line->tail->next = task;
    else
        line->head = task;
    line->tail = task;
    update_line(scheduler, line);
}

static void
long_main(gpointer data)
{
    VimgTask *task = data;
    VimgScheduler *scheduler = task->scheduler;
    VimgSchedulerKind kind = task->kind; /* it may free the task */

    task->func(task->data);
    VIMG_LOCK_GUARD(&scheduler->lock);
    scheduler->n_long[kind]--;
    vimg_cond_broadcast(&scheduler->changed);
}

static gboolean
throw_full(VimgSchedulerKind kind, GError **error)
{
    return vimg_throw(
        error, VIMG_ERROR_BUSY,
        kind == VIMG_SCHEDULER_IMPORT
            ? _("%d imports are running: one of them must end first")
            : _("%d cleanups, verifications or reports are running: one of them must end first"),
        VIMG_SCHEDULER_LONG_MAX);
}

gboolean
vimg_scheduler_push_long(VimgScheduler *scheduler, VimgSchedulerKind kind, VimgTask *task,
                         GError **error)
{
    VIMG_LOCK_GUARD(&scheduler->lock);
    if (scheduler->n_long[kind] == VIMG_SCHEDULER_LONG_MAX)
        return throw_full(kind, error);
    task->kind = kind;
    task->line = NULL;
    task->scheduler = scheduler;
    if (!vimg_thread_start_detached("long-call", long_main, task, error))
        return FALSE;
    scheduler->n_long[kind]++;
    return TRUE;
}

gboolean
vimg_scheduler_remove(VimgScheduler *scheduler, VimgTask *task)
{
    Line *line;

    VIMG_LOCK_GUARD(&scheduler->lock);
    line = task->line;
    if (!line)
        return FALSE;
    unlink_task(task);
    update_line(scheduler, line);
    return TRUE;
}
