/*
 * closing.c: closing an RBD image whose cluster may have stalled
 *
 * Each of the messages with which RBD gives up locks and watches waits for its own timeout then,
 * one after the other, and none of them can be called off.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "closing.h"
#include "../thread.h"

#define PATIENCE (5 * G_USEC_PER_SEC)
#define GRACE 100000 /* microseconds; see vimg_ceph_closing_read() */

typedef struct {
    VimgCluster *cluster;
    rbd_image_t image;
    VimgCephFlow *flow;
    VimgCephStream *stream;
    gboolean reading;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    gboolean done;
    guint users; /* the thread and whoever waits for it */
} Closing;

/* Those that are still open though nobody reads them. */
static pthread_mutex_t lingering_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lingering_less = PTHREAD_COND_INITIALIZER;
static guint lingering;

static void
note_lingering(gint change)
{
    LOCK_GUARD(&lingering_lock);

    lingering += (guint)change;
    pthread_cond_broadcast(&lingering_less);
}

void
vimg_ceph_closing_settle(void)
{
    gint64 deadline = g_get_real_time() + PATIENCE;
    const struct timespec until = {.tv_sec = deadline / G_USEC_PER_SEC,
                                   .tv_nsec = deadline % G_USEC_PER_SEC * 1000};

    LOCK_GUARD(&lingering_lock);
    while (lingering > 0 &&
           pthread_cond_timedwait(&lingering_less, &lingering_lock, &until) != ETIMEDOUT)
        ;
}

static void
note_done(Closing *closing)
{
    LOCK_GUARD(&closing->lock);

    closing->done = TRUE;
    pthread_cond_broadcast(&closing->changed);
}

static void
leave(Closing *closing)
{
    guint left;

    thread_must(pthread_mutex_lock(&closing->lock));
    left = --closing->users;
    thread_must(pthread_mutex_unlock(&closing->lock));
    if (left > 0)
        return;
    pthread_cond_destroy(&closing->changed);
    pthread_mutex_destroy(&closing->lock);
    g_free(closing);
}

static void *
close_all(void *data)
{
    Closing *closing = data;

    vimg_ceph_stream_free(closing->stream);
    vimg_ceph_flow_free(closing->flow);
    if (closing->reading) {
        note_done(closing);
        g_usleep(GRACE);
    }
    rbd_close(closing->image);
    vimg_cluster_unref(closing->cluster);
    if (closing->reading)
        note_lingering(-1);
    else
        note_done(closing);
    leave(closing);
    return NULL;
}

static void
wait_for(Closing *closing)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;

    LOCK_GUARD(&closing->lock);
    while (!closing->done && cond_wait_until(&closing->changed, &closing->lock, deadline))
        continue;
}

/* What is named by @what, the rest of which is filled in here. */
static void
run(VimgCluster *cluster, const Closing *what)
{
    Closing *closing = g_new(Closing, 1);
    pthread_t thread;

    *closing = *what;
    closing->cluster = vimg_cluster_ref(cluster);
    closing->users = 2;
    if (closing->reading)
        note_lingering(1);
    thread_must(pthread_mutex_init(&closing->lock, NULL));
    cond_init(&closing->changed);
    if (thread_start(&thread, close_all, closing) == 0) {
        pthread_detach(thread);
        wait_for(closing);
    } else {
        close_all(closing);
    }
    leave(closing);
}

void
vimg_ceph_closing(VimgCluster *cluster, rbd_image_t image, VimgCephFlow *flow,
                  VimgCephStream *stream)
{
    run(cluster, &(Closing){.image = image, .flow = flow, .stream = stream});
}

void
vimg_ceph_closing_read(VimgCluster *cluster, rbd_image_t image, VimgCephStream *stream)
{
    run(cluster, &(Closing){.image = image, .stream = stream, .reading = TRUE});
}
