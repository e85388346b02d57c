/*
 * crew.c: the threads that hash, compress and read for all uploads and downloads
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <malloc.h>

#include "crew.h"
#include "../thread.h"
#include "../throw.h"
#include "transport.h"

#define MAX_THREADS 16
#define IDLE_SECONDS 5

struct _VimgLane {
    VimgCrewFunc func;
    VimgPluginJob *job; /* that whoever made it worked for */
    GQueue tasks;
    guint running;
    gboolean queued; /* in crew.ready */
    /* of a lane with threads of its own */
    guint own; /* at most */
    guint idle;
    gboolean ending;
    GArray *threads; /* of pthread_t */
    pthread_cond_t work;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a lane is ready */
    pthread_cond_t done; /* a task ended */
    gboolean initialized;
    GQueue ready; /* lanes with tasks, in the order they are served */
    guint lanes;
    guint threads;
    guint idle;
} crew = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = G_QUEUE_INIT};

guint
vimg_crew_size(void)
{
    static guint size;
    guint known = __atomic_load_n(&size, __ATOMIC_RELAXED);

    /* looked up once: it opens a file in /sys, and every task asks */
    if (known == 0) {
        known = CLAMP(g_get_num_processors(), 2, MAX_THREADS);
        __atomic_store_n(&size, known, __ATOMIC_RELAXED);
    }
    return known;
}

/* The next task, or NULL if no lane needs this thread.  The lock is held. */
static gpointer
next_task(VimgLane **lane)
{
    gpointer task;

    while (crew.ready.length == 0) {
        gint64 deadline = g_get_monotonic_time() + IDLE_SECONDS * G_USEC_PER_SEC;
        gboolean woken;

        crew.idle++;
        woken = cond_wait_until(&crew.work, &crew.lock, deadline);
        crew.idle--;
        if (!woken && crew.ready.length == 0 && crew.lanes == 0)
            return NULL;
    }
    *lane = g_queue_pop_head(&crew.ready);
    task = g_queue_pop_head(&(*lane)->tasks);
    (*lane)->queued = (*lane)->tasks.length > 0;
    if ((*lane)->queued)
        g_queue_push_tail(&crew.ready, *lane);
    (*lane)->running++;
    return task;
}

static void
run_task(const VimgLane *lane, VimgSliceTools *tools, gpointer task)
{
    VIMG_TRANSPORT_PATIENCE(lane->job);

    lane->func(tools, task);
}

static void *
crew_main(void *data)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgLane *lane = NULL;
    gboolean last G_GNUC_UNUSED;
    gpointer task;

    pthread_setname_np(pthread_self(), "slices");
    thread_must(pthread_mutex_lock(&crew.lock));
    while ((task = next_task(&lane))) {
        thread_must(pthread_mutex_unlock(&crew.lock));
        run_task(lane, tools, task);
        thread_must(pthread_mutex_lock(&crew.lock));
        lane->running--;
        pthread_cond_broadcast(&crew.done);
    }
    last = --crew.threads == 0;
    thread_must(pthread_mutex_unlock(&crew.lock));
#ifdef __GLIBC__
    /* what a day's uploads took is not kept for the night */
    if (last)
        malloc_trim(0);
#endif
    return NULL;
}

/* Starts a thread unless there are enough.  Returns: 0 or why it could not.  The lock is held. */
static int
start_one(void)
{
    pthread_t thread;
    int result;

    if (crew.threads >= vimg_crew_size())
        return 0;
    result = thread_start(&thread, crew_main, NULL);
    if (result == 0) {
        pthread_detach(thread);
        crew.threads++;
    }
    return result;
}

/* ---- lanes with threads of their own ---------------------------------------------------- */

static void *
own_main(void *data)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    VimgLane *lane = data;
    gpointer task;

    pthread_setname_np(pthread_self(), "carry");
    thread_must(pthread_mutex_lock(&crew.lock));
    for (;;) {
        while (lane->tasks.length == 0 && !lane->ending) {
            lane->idle++;
            thread_must(pthread_cond_wait(&lane->work, &crew.lock));
            lane->idle--;
        }
        task = g_queue_pop_head(&lane->tasks);
        if (!task)
            break;
        thread_must(pthread_mutex_unlock(&crew.lock));
        run_task(lane, tools, task);
        thread_must(pthread_mutex_lock(&crew.lock));
    }
    thread_must(pthread_mutex_unlock(&crew.lock));
    return NULL;
}

/* As start_one(). */
static int
start_own(VimgLane *lane)
{
    pthread_t thread;
    int result;

    if (lane->threads->len >= lane->own)
        return 0;
    result = thread_start(&thread, own_main, lane);
    if (result == 0)
        g_array_append_val(lane->threads, thread);
    return result;
}

static void
end_own(VimgLane *lane)
{
    guint i;

    {
        LOCK_GUARD(&crew.lock);

        lane->ending = TRUE;
        pthread_cond_broadcast(&lane->work);
    }
    for (i = 0; i < lane->threads->len; i++)
        thread_must(pthread_join(g_array_index(lane->threads, pthread_t, i), NULL));
    g_array_unref(lane->threads);
    pthread_cond_destroy(&lane->work);
}

/* ---- all lanes -------------------------------------------------------------------------- */

VimgLane *
vimg_lane_new(VimgCrewFunc func, guint own, GError **error)
{
    VimgLane *lane = g_new0(VimgLane, 1);
    int result = 0;
    LOCK_GUARD(&crew.lock);

    if (!crew.initialized) {
        cond_init(&crew.work);
        cond_init(&crew.done);
        crew.initialized = TRUE;
    }
    lane->func = func;
    lane->own = own;
    lane->job = vimg_transport_job();
    g_queue_init(&lane->tasks);
    if (own > 0) {
        cond_init(&lane->work);
        lane->threads = g_array_new(FALSE, FALSE, sizeof(pthread_t));
        result = start_own(lane);
    } else if (crew.threads == 0) {
        result = start_one();
    }
    if (result == 0) {
        crew.lanes += own == 0;
        return lane;
    }
    throw_error(error, VIMG_ERROR_BUSY, _("cannot start a thread: %s"), g_strerror(result));
    if (own > 0) {
        g_array_unref(lane->threads);
        pthread_cond_destroy(&lane->work);
    }
    g_free(lane);
    return NULL;
}

void
vimg_lane_push(VimgLane *lane, gpointer task)
{
    LOCK_GUARD(&crew.lock);

    g_queue_push_tail(&lane->tasks, task);
    if (lane->own > 0) {
        if (lane->idle < lane->tasks.length)
            start_own(lane);
        pthread_cond_signal(&lane->work);
        return;
    }
    if (!lane->queued)
        g_queue_push_tail(&crew.ready, lane);
    lane->queued = TRUE;
    if (crew.idle < crew.ready.length)
        start_one();
    pthread_cond_signal(&crew.work);
}

void
vimg_lane_free(VimgLane *lane)
{
    if (!lane)
        return;
    if (lane->own > 0) {
        end_own(lane);
    } else {
        LOCK_GUARD(&crew.lock);

        while (lane->tasks.length > 0 || lane->running > 0)
            thread_must(pthread_cond_wait(&crew.done, &crew.lock));
        crew.lanes--;
    }
    g_free(lane);
}
