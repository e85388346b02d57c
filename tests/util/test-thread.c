/*
 * test-thread.c: threads, conditions and worker pools
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <signal.h>
#include <string.h>

#include "util/thread.h"

typedef struct {
    VimgMutex lock;
    VimgCond changed;
    guint n;               /* under lock */
    guint order[1000];     /* under lock: who came when */
    guint inside, at_once; /* under lock: threads in rendezvous() now, and the most ever */
} Shared;

typedef struct {
    Shared *shared;
    guint number;
} Task;

static Shared *
shared_new(void)
{
    Shared *shared = g_new0(Shared, 1);

    vimg_mutex_init(&shared->lock);
    vimg_cond_init(&shared->changed);
    return shared;
}

static void
shared_free(Shared *shared)
{
    vimg_cond_clear(&shared->changed);
    vimg_mutex_clear(&shared->lock);
    g_free(shared);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Shared, shared_free)

static void
note(gpointer data)
{
    g_autofree Task *task = data;

    VIMG_LOCK_GUARD(&task->shared->lock);
    task->shared->order[task->shared->n++] = task->number;
}

static void
push(VimgWorkers *workers, Shared *shared, void (*func)(gpointer data), guint number)
{
    Task *task = g_new(Task, 1);

    task->shared = shared;
    task->number = number;
    vimg_workers_push(workers, func, task);
}

/* Freeing runs what is queued; one worker keeps the order. */
static void
test_order(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Shared) shared = shared_new();
    VimgWorkers *workers = vimg_workers_new("one", 1, &error);
    guint i;

    g_assert_no_error(error);
    for (i = 0; i < G_N_ELEMENTS(shared->order); i++)
        push(workers, shared, note, i);
    vimg_workers_free(workers);
    g_assert_cmpuint(shared->n, ==, G_N_ELEMENTS(shared->order));
    for (i = 0; i < shared->n; i++)
        g_assert_cmpuint(shared->order[i], ==, i);
}

/* Waits until as many others are inside as the task says. */
static void
rendezvous(gpointer data)
{
    g_autofree Task *task = data;
    Shared *shared = task->shared;

    VIMG_LOCK_GUARD(&shared->lock);
    shared->inside++;
    shared->at_once = MAX(shared->at_once, shared->inside);
    vimg_cond_broadcast(&shared->changed);
    while (shared->at_once < task->number)
        vimg_cond_wait(&shared->changed, &shared->lock);
    shared->inside--;
    shared->n++;
}

static void
test_together(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Shared) shared = shared_new();
    VimgWorkers *workers = vimg_workers_new("four", 4, &error);
    guint i;

    g_assert_no_error(error);
    for (i = 0; i < 100; i++)
        push(workers, shared, rendezvous, 4);
    vimg_workers_free(workers);
    g_assert_cmpuint(shared->at_once, ==, 4);
    g_assert_cmpuint(shared->n, ==, 100);
    vimg_workers_free(NULL);
}

typedef struct {
    char name[16];
    gboolean blocked; /* every signal that can be */
} Seen;

static void
look(gpointer data)
{
    Seen *seen = data;
    sigset_t mask;

    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1 &&
                    sigismember(&mask, SIGCHLD) == 1;
}

static void
test_thread(void)
{
    g_autoptr(GError) error = NULL;
    Seen seen = {"", FALSE};
    VimgThread thread;
    sigset_t mask;

    g_assert_true(vimg_thread_start(&thread, "a-name-that-is-too-long", look, &seen, &error));
    vimg_thread_join(thread);
    g_assert_cmpstr(seen.name, ==, "a-name-that-is-");
    g_assert_true(seen.blocked);
    /* and ours are as they were */
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    g_assert_cmpint(sigismember(&mask, SIGTERM), ==, 0);
}

static void
raise_flag(gpointer data)
{
    Shared *shared = data;

    VIMG_LOCK_GUARD(&shared->lock);
    shared->n = 1;
    vimg_cond_signal(&shared->changed);
}

static void
test_detached(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Shared) shared = shared_new();

    g_assert_true(vimg_thread_start_detached("flag", raise_flag, shared, &error));
    vimg_mutex_lock(&shared->lock);
    while (!shared->n)
        vimg_cond_wait(&shared->changed, &shared->lock);
    vimg_mutex_unlock(&shared->lock);
}

/* The clock of a deadline is that of g_get_monotonic_time(). */
static void
test_deadline(void)
{
    g_autoptr(Shared) shared = shared_new();
    gint64 deadline = g_get_monotonic_time() + 1000;

    VIMG_LOCK_GUARD(&shared->lock);
    g_assert_false(vimg_cond_wait_until(&shared->changed, &shared->lock, 0));
    while (vimg_cond_wait_until(&shared->changed, &shared->lock, deadline))
        ;
    g_assert_cmpint(g_get_monotonic_time(), >=, deadline);
}

static void
test_guard(void)
{
    VimgMutex lock = VIMG_MUTEX_INIT;

    {
        VIMG_LOCK_GUARD(&lock);
        g_assert_cmpint(pthread_mutex_trylock(&lock), !=, 0);
    }
    g_assert_cmpint(pthread_mutex_trylock(&lock), ==, 0);
    vimg_mutex_unlock(&lock);
    vimg_mutex_clear(&lock);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/thread/workers-order", test_order);
    g_test_add_func("/thread/workers-together", test_together);
    g_test_add_func("/thread/start", test_thread);
    g_test_add_func("/thread/detached", test_detached);
    g_test_add_func("/thread/deadline", test_deadline);
    g_test_add_func("/thread/guard", test_guard);
    return g_test_run();
}
