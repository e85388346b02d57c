/*
 * scheduler.h: which call runs next, and on which worker
 *
 * Two kinds of workers.  Fast ones take only what is answered from memory, so they are always
 * there. Slow ones take what may wait for a storage, at most so many at a time for one pool, so
 * that a storage that hangs leaves workers to the others.  Pools take turns.  What is known to take
 * hours gets a thread of its own, or is refused; imports, which wait for servers that nobody knows,
 * are counted by themselves.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_SCHEDULER_H
#define VIMG_RPC_SCHEDULER_H

#include <glib.h>

/* Of each kind. */
#define VIMG_SCHEDULER_LONG_MAX 16

typedef enum {
    VIMG_SCHEDULER_UPKEEP,
    VIMG_SCHEDULER_IMPORT,
    VIMG_SCHEDULER_N_KINDS,
} VimgSchedulerKind;

typedef struct _VimgScheduler VimgScheduler;
typedef struct _VimgSchedulerLine VimgSchedulerLine;

/* Belongs to whoever pushes it, who sets the first two; it lies still until @func runs. */
typedef struct _VimgTask VimgTask;
struct _VimgTask {
    void (*func)(gpointer data); /* may free the task */
    gpointer data;
    VimgTask *next, *prev; /* the rest is the scheduler's */
    VimgSchedulerLine *line;
    VimgScheduler *scheduler;
    VimgSchedulerKind kind;
};

/*
 * @max_pool is lowered to @n_slow - 1 if it is more.  What has no pool counts as one pool that may
 * have half of the slow workers.  Numbers below 1 are taken as 1.
 */
VimgScheduler *vimg_scheduler_new(guint n_fast, guint n_slow, guint max_pool, GError **error);
/* Runs what is queued, then ends the threads; nothing may be pushed meanwhile.  Accepts NULL. */
void vimg_scheduler_free(VimgScheduler *scheduler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgScheduler, vimg_scheduler_free)

/* Any thread.  Tasks of one pool begin in order. */
void vimg_scheduler_push_fast(VimgScheduler *scheduler, void (*func)(gpointer data), gpointer data);
/* @pool is copied; NULL: none. */
void vimg_scheduler_push_slow(VimgScheduler *scheduler, const char *pool, VimgTask *task);
/* Returns: FALSE with VIMG_ERROR_BUSY if VIMG_SCHEDULER_LONG_MAX of @kind run already. */
gboolean vimg_scheduler_push_long(VimgScheduler *scheduler, VimgSchedulerKind kind, VimgTask *task,
                                  GError **error);
/* Returns: TRUE if @task, zeroed or pushed by push_slow(), was queued: it will not run. */
gboolean vimg_scheduler_remove(VimgScheduler *scheduler, VimgTask *task);

#endif
