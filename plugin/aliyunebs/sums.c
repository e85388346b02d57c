/*
 * sums.c: the MD5 of parts on their way, of as many at a time as there are
 *
 * Eight parts side by side are summed in the time of one or two, and parts come one after the
 * other, so none is summed before somebody needs it: then all that are complete by then are summed
 * with it.  Where a network is what parts wait for, that is as many as are in flight.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "sums.h"
#include "../thread.h"

enum {
    NEW,
    OFFERED,
    ASKED, /* and offered */
    TAKEN, /* by the thread */
    DONE,
};

struct _VimgSums {
    pthread_t thread;
    gboolean threaded;    /* FALSE: whoever waits for a sum makes it */
    pthread_mutex_t lock; /* guards what follows and the states; not held while summing */
    pthread_cond_t work;  /* somebody asks, or it is the end */
    pthread_cond_t done;
    guint enough;   /* offered ones to begin without being asked */
    GQueue offered; /* of VimgSum, also those that are asked for */
    guint asked;    /* of them */
    gboolean closing;
};

/* ---- the thread ------------------------------------------------------------------------- */

/* One of the offered is no more; with the lock. */
static void
leave(VimgSums *sums, VimgSum *sum, guint8 state)
{
    if (sum->state == ASKED)
        sums->asked--;
    sum->state = state;
}

/* With the lock. */
static gboolean
has_work(const VimgSums *sums)
{
    return sums->asked > 0 || g_queue_get_length((GQueue *)&sums->offered) >= sums->enough;
}

/* Waits for somebody who asks, or for enough.  Returns: how many are in @batch; 0: it is over. */
static guint
take(VimgSums *sums, VimgSum **batch)
{
    LOCK_GUARD(&sums->lock);
    guint n = 0;

    while (!has_work(sums) && !sums->closing)
        thread_must(pthread_cond_wait(&sums->work, &sums->lock));
    while (!sums->closing && n < VIMG_MD5_LANES && !g_queue_is_empty(&sums->offered)) {
        batch[n] = g_queue_pop_head(&sums->offered);
        leave(sums, batch[n++], TAKEN);
    }
    return n;
}

static void *
run(void *data)
{
    VimgSums *sums = data;
    VimgSum *batch[VIMG_MD5_LANES];
    VimgMd5Lane lanes[VIMG_MD5_LANES];
    guint n;
    guint i;

    while ((n = take(sums, batch)) > 0) {
        for (i = 0; i < n; i++)
            lanes[i] = batch[i]->lane;
        vimg_md5_lanes(lanes, n);
        {
            LOCK_GUARD(&sums->lock);

            for (i = 0; i < n; i++) {
                batch[i]->lane = lanes[i];
                batch[i]->state = DONE;
            }
            thread_must(pthread_cond_broadcast(&sums->done));
        }
    }
    return NULL;
}

VimgSums *
vimg_sums_new(guint many)
{
    VimgSums *sums = g_new0(VimgSums, 1);

    sums->enough = CLAMP(many, 1, VIMG_MD5_LANES);
    thread_must(pthread_mutex_init(&sums->lock, NULL));
    thread_must(pthread_cond_init(&sums->work, NULL));
    thread_must(pthread_cond_init(&sums->done, NULL));
    sums->threaded = vimg_md5_width() > 1 && thread_start(&sums->thread, run, sums) == 0;
    return sums;
}

void
vimg_sums_free(VimgSums *sums)
{
    if (!sums)
        return;
    {
        LOCK_GUARD(&sums->lock);

        sums->closing = TRUE;
        thread_must(pthread_cond_signal(&sums->work));
    }
    if (sums->threaded)
        thread_must(pthread_join(sums->thread, NULL));
    g_queue_clear(&sums->offered);
    pthread_cond_destroy(&sums->work);
    pthread_cond_destroy(&sums->done);
    pthread_mutex_destroy(&sums->lock);
    g_free(sums);
}

/* ---- those who have parts --------------------------------------------------------------- */

void
vimg_sums_offer(VimgSums *sums, VimgSum *sum)
{
    LOCK_GUARD(&sums->lock);

    if (!sums->threaded || sum->state != NEW)
        return;
    sum->state = OFFERED;
    g_queue_push_tail(&sums->offered, sum);
    if (has_work(sums))
        thread_must(pthread_cond_signal(&sums->work));
}

/* With the lock. */
static void
ask(VimgSums *sums, VimgSum *sum)
{
    if (sum->state != OFFERED)
        return;
    sum->state = ASKED;
    sums->asked++;
    /* it is in the next batch, however many are offered */
    g_queue_remove(&sums->offered, sum);
    g_queue_push_head(&sums->offered, sum);
    thread_must(pthread_cond_signal(&sums->work));
}

void
vimg_sums_ask(VimgSums *sums, VimgSum *sum)
{
    LOCK_GUARD(&sums->lock);

    ask(sums, sum);
}

void
vimg_sums_wait(VimgSums *sums, VimgSum *sum)
{
    {
        LOCK_GUARD(&sums->lock);

        ask(sums, sum);
        while (sum->state == ASKED || sum->state == TAKEN)
            thread_must(pthread_cond_wait(&sums->done, &sums->lock));
        if (sum->state == DONE)
            return;
    }
    /* it was not offered, so nobody else knows of it */
    vimg_md5_lanes(&sum->lane, 1);
    sum->state = DONE;
}

void
vimg_sums_withdraw(VimgSums *sums, VimgSum *sum)
{
    LOCK_GUARD(&sums->lock);

    while (sum->state == TAKEN)
        thread_must(pthread_cond_wait(&sums->done, &sums->lock));
    if (sum->state == DONE || sum->state == NEW)
        return;
    leave(sums, sum, NEW);
    g_queue_remove(&sums->offered, sum);
}
