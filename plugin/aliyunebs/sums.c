/*
 * sums.c: the MD5 of parts on their way, of as many at a time as there are
 *
 * Eight parts side by side are summed in the time of one or two, and parts come one after the
 * other. So whoever sent one leaves it behind and goes on, until enough are there; what is still on
 * its way is summed with it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "sums.h"
#include "../thread.h"

#define LEFT_MOST (G_USEC_PER_SEC / 5) /* one that was left is summed after that at the latest */

enum {
    NEW,
    OFFERED,
    ASKED, /* and offered */
    TAKEN, /* by the thread */
    DONE,
};

struct _VimgSums {
    pthread_t thread;
    gboolean threaded; /* FALSE: whoever needs a sum makes it */
    VimgSumFunc func;
    gpointer data;
    pthread_mutex_t lock; /* guards what follows and the states; not held while summing */
    pthread_cond_t work;  /* somebody asks, or it is the end */
    pthread_cond_t done;
    guint enough;   /* offered ones to begin without being asked */
    GQueue offered; /* of VimgSum, also those that are asked for */
    guint asked;    /* of them */
    guint left;     /* of them */
    guint owed;     /* left ones, until the function returned */
    gboolean hurry;
    gint64 due; /* when one that was left is to be summed; 0: none was */
    gboolean closing;
};

/* ---- the thread ------------------------------------------------------------------------- */

/* One of the offered is no more; with the lock. */
static void
remove_offered(VimgSums *sums, VimgSum *sum, guint8 state)
{
    if (sum->state == ASKED)
        sums->asked--;
    if (sum->left)
        sums->left--;
    sum->state = state;
}

/* With the lock. */
static gboolean
has_work(const VimgSums *sums)
{
    return sums->asked > 0 || sums->offered.length >= sums->enough ||
           (sums->hurry && sums->left > 0) ||
           (sums->left > 0 && g_get_monotonic_time() >= sums->due);
}

/* With the lock. */
static void
wait_for_work(VimgSums *sums)
{
    while (!sums->closing && !has_work(sums)) {
        if (sums->left > 0)
            cond_wait_until(&sums->work, &sums->lock, sums->due);
        else
            thread_must(pthread_cond_wait(&sums->work, &sums->lock));
    }
}

/* Returns: how many are in @batch; 0: it is over. */
static guint
take(VimgSums *sums, VimgSum **batch)
{
    LOCK_GUARD(&sums->lock);
    guint n = 0;

    wait_for_work(sums);
    if (sums->closing && sums->left == 0)
        return 0;
    while (n < VIMG_MD5_LANES && sums->offered.length > 0) {
        batch[n] = g_queue_pop_head(&sums->offered);
        remove_offered(sums, batch[n++], TAKEN);
    }
    return n;
}

/* Returns: how many of @batch were left; these are in front now. */
static guint
finish(VimgSums *sums, VimgSum **batch, const VimgMd5Lane *lanes, guint n)
{
    LOCK_GUARD(&sums->lock);
    guint left = 0;
    guint i;

    for (i = 0; i < n; i++) {
        batch[i]->lane = lanes[i];
        batch[i]->state = DONE;
        if (batch[i]->left)
            batch[left++] = batch[i];
    }
    /* whoever is in one still after these says so again */
    sums->hurry = FALSE;
    thread_must(pthread_cond_broadcast(&sums->done));
    return left;
}

/* @n left ones are done with. */
static void
pay(VimgSums *sums, guint n)
{
    LOCK_GUARD(&sums->lock);

    sums->owed -= n;
    thread_must(pthread_cond_broadcast(&sums->done));
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
        n = finish(sums, batch, lanes, n);
        for (i = 0; i < n; i++)
            sums->func(sums->data, batch[i]);
        pay(sums, n);
    }
    return NULL;
}

VimgSums *
vimg_sums_new(guint many, VimgSumFunc func, gpointer data)
{
    VimgSums *sums = g_new0(VimgSums, 1);

    sums->enough = CLAMP(many, 1, VIMG_MD5_LANES);
    sums->func = func;
    sums->data = data;
    thread_must(pthread_mutex_init(&sums->lock, NULL));
    cond_init(&sums->work);
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

gboolean
vimg_sums_leave(VimgSums *sums, VimgSum *sum)
{
    {
        LOCK_GUARD(&sums->lock);

        sum->left = sum->state == OFFERED || sum->state == TAKEN;
        if (sum->state == OFFERED) {
            if (sums->left++ == 0)
                sums->due = g_get_monotonic_time() + LEFT_MOST;
            thread_must(pthread_cond_signal(&sums->work));
        }
        sums->owed += sum->left ? 1 : 0;
        if (sum->left)
            return FALSE;
    }
    vimg_sums_wait(sums, sum);
    return TRUE;
}

void
vimg_sums_hurry(VimgSums *sums)
{
    LOCK_GUARD(&sums->lock);

    sums->hurry = TRUE;
    thread_must(pthread_cond_signal(&sums->work));
}

void
vimg_sums_settle(VimgSums *sums)
{
    LOCK_GUARD(&sums->lock);

    while (sums->owed > 0) {
        sums->hurry = TRUE;
        thread_must(pthread_cond_signal(&sums->work));
        thread_must(pthread_cond_wait(&sums->done, &sums->lock));
    }
}

void
vimg_sums_withdraw(VimgSums *sums, VimgSum *sum)
{
    LOCK_GUARD(&sums->lock);

    while (sum->state == TAKEN)
        thread_must(pthread_cond_wait(&sums->done, &sums->lock));
    if (sum->state == DONE || sum->state == NEW)
        return;
    remove_offered(sums, sum, NEW);
    g_queue_remove(&sums->offered, sum);
}
