/*
 * thread.h: locks and conditions on pthreads, which ThreadSanitizer can see
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_THREAD_H
#define VIMG_PLUGIN_THREAD_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <glib.h>

/* A lock that cannot be taken is a bug that must not go on silently. */
static inline void
thread_must(int result)
{
    if (G_UNLIKELY(result != 0))
        g_error("pthread: %s", g_strerror(result));
}

static inline pthread_mutex_t *
lock_guard_enter(pthread_mutex_t *mutex)
{
    thread_must(pthread_mutex_lock(mutex));
    return mutex;
}

static inline void
lock_guard_leave(pthread_mutex_t **mutex)
{
    thread_must(pthread_mutex_unlock(*mutex));
}

/* Held until the end of the enclosing block. */
#define LOCK_GUARD(mutex)                                                                          \
    __attribute__((cleanup(lock_guard_leave), unused)) pthread_mutex_t *G_PASTE(                   \
        guard_, __LINE__) = lock_guard_enter(mutex)

/* The condition uses the monotonic clock. */
static inline void
cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    thread_must(pthread_condattr_init(&attr));
    thread_must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    thread_must(pthread_cond_init(cond, &attr));
    pthread_condattr_destroy(&attr);
}

/* @deadline as g_get_monotonic_time().  Returns: FALSE if it passed. */
static inline gboolean
cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, gint64 deadline)
{
    struct timespec at = {.tv_sec = deadline / G_USEC_PER_SEC,
                          .tv_nsec = deadline % G_USEC_PER_SEC * 1000};
    int result = pthread_cond_timedwait(cond, mutex, &at);

    if (result == ETIMEDOUT)
        return FALSE;
    thread_must(result);
    return TRUE;
}

/*
 * Signals are the daemon's main loop's: threads start with all of them blocked, but for those that
 * a fault raises, which would then end the process without a word of its own.
 */
static inline void
thread_signals(sigset_t *out)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    gsize i;

    sigfillset(out);
    for (i = 0; i < G_N_ELEMENTS(faults); i++)
        sigdelset(out, faults[i]);
}

static inline int
thread_start(pthread_t *thread, void *(*func)(void *), void *data)
{
    sigset_t blocked;
    sigset_t before;
    int result;

    thread_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    result = pthread_create(thread, NULL, func, data);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

#endif
