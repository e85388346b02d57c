/*
 * race.c: the tasks of a worker pool count in one variable, with a lock or, built with RACY,
 * without
 *
 * Shows that ThreadSanitizer sees our locks and queues: the racy build must be reported, the other
 * one must not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "util/thread.h"

#define TASKS 64

static VimgMutex lock = VIMG_MUTEX_INIT;
static guint counter;
static pthread_barrier_t pair; /* two tasks meet, so that no worker runs them all */

static void
count(gpointer data)
{
    guint *number = data;

    pthread_barrier_wait(&pair);
#ifndef RACY
    VIMG_LOCK_GUARD(&lock);
#endif
    counter += *number;
    *number = 0;
}

int
main(void)
{
    g_autoptr(GError) error = NULL;
    VimgWorkers *workers = vimg_workers_new("race", 4, &error);
    guint numbers[TASKS];
    guint i;

    if (!workers)
        g_error("%s", error->message);
    pthread_barrier_init(&pair, NULL, 2);
    for (i = 0; i < TASKS; i++) {
        numbers[i] = 1; /* handed over by the queue: never a race */
        vimg_workers_push(workers, count, &numbers[i]);
    }
    vimg_workers_free(workers);
    vimg_mutex_lock(&lock);
    g_print("%u\n", counter);
    vimg_mutex_unlock(&lock);
    return 0;
}
