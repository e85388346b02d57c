/*
 * thread.c: locks, conditions, threads and a worker pool on pthreads
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "util/error.h"
#include "util/thread.h"

/* A lock that cannot be taken is a bug that must not go on silently. */
static void
must(int result, const char *what)
{
    if (G_UNLIKELY(result != 0))
        g_error("%s: %s", what, g_strerror(result));
}

void
vimg_mutex_init(VimgMutex *mutex)
{
    must(pthread_mutex_init(mutex, NULL), "pthread_mutex_init");
}

void
vimg_mutex_clear(VimgMutex *mutex)
{
    must(pthread_mutex_destroy(mutex), "pthread_mutex_destroy");
}

void
vimg_mutex_lock(VimgMutex *mutex)
{
    must(pthread_mutex_lock(mutex), "pthread_mutex_lock");
}

void
vimg_mutex_unlock(VimgMutex *mutex)
{
    must(pthread_mutex_unlock(mutex), "pthread_mutex_unlock");
}

void
vimg_cond_init(VimgCond *cond)
{
    pthread_condattr_t attr;

    must(pthread_condattr_init(&attr), "pthread_condattr_init");
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "pthread_condattr_setclock");
    must(pthread_cond_init(cond, &attr), "pthread_cond_init");
    pthread_condattr_destroy(&attr);
}

void
vimg_cond_clear(VimgCond *cond)
{
    must(pthread_cond_destroy(cond), "pthread_cond_destroy");
}

void
vimg_cond_wait(VimgCond *cond, VimgMutex *mutex)
{
    must(pthread_cond_wait(cond, mutex), "pthread_cond_wait");
}

gboolean
vimg_cond_wait_until(VimgCond *cond, VimgMutex *mutex, gint64 deadline)
{
    struct timespec at = {.tv_sec = deadline / G_USEC_PER_SEC,
                          .tv_nsec = deadline % G_USEC_PER_SEC * 1000};
    int result = pthread_cond_timedwait(cond, mutex, &at);

    if (result == ETIMEDOUT)
        return FALSE;
    must(result, "pthread_cond_timedwait");
    return TRUE;
}

void
vimg_cond_signal(VimgCond *cond)
{
    must(pthread_cond_signal(cond), "pthread_cond_signal");
}

void
vimg_cond_broadcast(VimgCond *cond)
{
    must(pthread_cond_broadcast(cond), "pthread_cond_broadcast");
}

typedef struct {
    void (*func)(gpointer data);
    gpointer data;
    char name[16];
} Start;

static void *
thread_main(void *data)
{
    g_autofree Start *start = data;

    pthread_setname_np(pthread_self(), start->name);
    start->func(start->data);
    return NULL;
}

/*
 * What GLib allocates at first use and publishes by an atomic of its own, which ThreadSanitizer
 * cannot see in Debian's build: the lock of its error domains, and the host's name.  Made before
 * there are threads, they are handed to them by their creation.
 */
static void
prepare_glib(void)
{
    g_error_free(g_error_new_literal(VIMG_ERROR, VIMG_ERROR_INTERNAL, ""));
    g_get_host_name();
}

/*
 * Signals are the main loop's: threads start with all of them blocked.  But for those that a fault
 * raises: blocked, they end the process without a word of its own, or of a sanitizer.
 */
static void
thread_signals(sigset_t *out)
{
    static const int faults[] = {VIMG_FAULT_SIGNALS};
    gsize i;

    sigfillset(out);
    for (i = 0; i < G_N_ELEMENTS(faults); i++)
        sigdelset(out, faults[i]);
}

static gboolean
start_thread(pthread_t *thread, gboolean detached, const char *name, void (*func)(gpointer data),
             gpointer data, GError **error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    Start *start = g_new0(Start, 1);
    sigset_t blocked;
    sigset_t before;
    int result;

    pthread_once(&once, prepare_glib);
    start->func = func;
    start->data = data;
    g_strlcpy(start->name, name, sizeof(start->name));
    thread_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    result = pthread_create(thread, NULL, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        g_free(start);
        return vimg_throw(error, VIMG_ERROR_BUSY, "cannot start a thread: %s", g_strerror(result));
    }
    if (detached)
        pthread_detach(*thread);
    return TRUE;
}

gboolean
vimg_thread_start(VimgThread *thread, const char *name, void (*func)(gpointer data), gpointer data,
                  GError **error)
{
    return start_thread(thread, FALSE, name, func, data, error);
}

static __thread guint64 this_caller;

void
vimg_thread_set_caller(guint64 caller)
{
    this_caller = caller;
}

guint64
vimg_thread_caller(void)
{
    return this_caller;
}

gboolean
vimg_thread_start_detached(const char *name, void (*func)(gpointer data), gpointer data,
                           GError **error)
{
    pthread_t thread;

    return start_thread(&thread, TRUE, name, func, data, error);
}

void
vimg_thread_join(VimgThread thread)
{
    must(pthread_join(thread, NULL), "pthread_join");
}

typedef struct {
    void (*func)(gpointer data);
    gpointer data;
} Task;

struct _VimgWorkers {
    VimgMutex lock;
    VimgCond changed;
    GQueue tasks;    /* of Task; under lock */
    gboolean ending; /* under lock */
    guint n_threads;
    VimgThread *threads;
};

static void
worker_main(gpointer data)
{
    VimgWorkers *workers = data;

    for (;;) {
        g_autofree Task *task = NULL;

        vimg_mutex_lock(&workers->lock);
        while (!workers->ending && g_queue_is_empty(&workers->tasks))
            vimg_cond_wait(&workers->changed, &workers->lock);
        task = g_queue_pop_head(&workers->tasks);
        vimg_mutex_unlock(&workers->lock);
        if (!task)
            return;
        task->func(task->data);
    }
}

VimgWorkers *
vimg_workers_new(const char *name, guint n, GError **error)
{
    g_autoptr(VimgWorkers) workers = g_new0(VimgWorkers, 1);

    vimg_mutex_init(&workers->lock);
    vimg_cond_init(&workers->changed);
    g_queue_init(&workers->tasks);
    workers->threads = g_new0(VimgThread, n);
    for (; workers->n_threads < n; workers->n_threads++) {
        if (!vimg_thread_start(&workers->threads[workers->n_threads], name, worker_main, workers,
                               error))
            return NULL;
    }
    return g_steal_pointer(&workers);
}

void
vimg_workers_push(VimgWorkers *workers, void (*func)(gpointer data), gpointer data)
{
    Task *task = g_new(Task, 1);

    task->func = func;
    task->data = data;
    VIMG_LOCK_GUARD(&workers->lock);
    g_queue_push_tail(&workers->tasks, task);
    vimg_cond_signal(&workers->changed);
}

void
vimg_workers_free(VimgWorkers *workers)
{
    guint i;

    if (!workers)
        return;
    vimg_mutex_lock(&workers->lock);
    workers->ending = TRUE;
    vimg_cond_broadcast(&workers->changed);
    vimg_mutex_unlock(&workers->lock);
    for (i = 0; i < workers->n_threads; i++)
        vimg_thread_join(workers->threads[i]);
    g_queue_clear_full(&workers->tasks, g_free);
    vimg_cond_clear(&workers->changed);
    vimg_mutex_clear(&workers->lock);
    g_free(workers->threads);
    g_free(workers);
}
