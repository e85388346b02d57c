/*
 * thread.h: locks, conditions, threads and a worker pool on pthreads
 *
 * GLib's own are futexes and lock bits that ThreadSanitizer cannot see in Debian's build; every
 * lock and hand-over between threads in this project goes through here instead.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_THREAD_H
#define VIMG_UTIL_THREAD_H

#include <pthread.h>
#include <glib.h>

typedef pthread_mutex_t VimgMutex;
typedef pthread_cond_t VimgCond;

#define VIMG_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER

/* Signals that a fault raises, the last but one g_error(): no thread of ours blocks them. */
#define VIMG_FAULT_SIGNALS SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS

void vimg_mutex_init(VimgMutex *mutex);
void vimg_mutex_clear(VimgMutex *mutex);
void vimg_mutex_lock(VimgMutex *mutex);
void vimg_mutex_unlock(VimgMutex *mutex);

/* The condition uses the monotonic clock. */
void vimg_cond_init(VimgCond *cond);
void vimg_cond_clear(VimgCond *cond);
void vimg_cond_wait(VimgCond *cond, VimgMutex *mutex);
/* @deadline as g_get_monotonic_time(), microseconds.  Returns: FALSE if it passed. */
gboolean vimg_cond_wait_until(VimgCond *cond, VimgMutex *mutex, gint64 deadline);
void vimg_cond_signal(VimgCond *cond);
void vimg_cond_broadcast(VimgCond *cond);

/* Held until the end of the enclosing block: VIMG_LOCK_GUARD(&pool->lock); */
static inline VimgMutex *
vimg_lock_guard_enter(VimgMutex *mutex)
{
    vimg_mutex_lock(mutex);
    return mutex;
}

static inline void
vimg_lock_guard_leave(VimgMutex **mutex)
{
    vimg_mutex_unlock(*mutex);
}

#define VIMG_LOCK_GUARD(mutex)                                                                     \
    __attribute__((cleanup(vimg_lock_guard_leave), unused)) VimgMutex *G_PASTE(                    \
        vimg_guard_, __LINE__) = vimg_lock_guard_enter(mutex)

/* A thread that must be joined; names show in debuggers (15 characters). */
typedef pthread_t VimgThread;
gboolean vimg_thread_start(VimgThread *thread, const char *name, void (*func)(gpointer data),
                           gpointer data, GError **error);
void vimg_thread_join(VimgThread thread);
/* Whom this thread works for from now on, by a number of its own; 0: nobody, as at first. */
void vimg_thread_set_caller(guint64 caller);
guint64 vimg_thread_caller(void);
/* As vimg_thread_start(), but nobody joins it. */
gboolean vimg_thread_start_detached(const char *name, void (*func)(gpointer data), gpointer data,
                                    GError **error);

/* VimgWorkers: @n threads that take tasks in order.  All functions from any thread. */
typedef struct _VimgWorkers VimgWorkers;

VimgWorkers *vimg_workers_new(const char *name, guint n, GError **error);
void vimg_workers_push(VimgWorkers *workers, void (*func)(gpointer data), gpointer data);
/* Runs what is queued, then ends the threads.  Accepts NULL. */
void vimg_workers_free(VimgWorkers *workers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgWorkers, vimg_workers_free)

#endif
