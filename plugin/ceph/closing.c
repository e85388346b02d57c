/*
 * closing.c: closing an RBD image whose cluster may have stalled
 *
 * Each of the messages with which RBD gives up locks and watches waits for its own timeout then,
 * one after the other, and none of them can be called off.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "closing.h"
#include "../thread.h"

#define PATIENCE (5 * G_USEC_PER_SEC)
#define GRACE 100000 /* microseconds; see vimg_ceph_close_early() */

typedef struct {
    VimgCluster *cluster;
    rbd_image_t image;
    VimgCephFlow *flow;
    VimgCephStream *stream;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    gboolean done;
    guint users; /* the thread and whoever waits for it */
} Closing;

static void
leave(Closing *closing, gboolean done)
{
    guint left;

    thread_must(pthread_mutex_lock(&closing->lock));
    closing->done |= done;
    left = --closing->users;
    pthread_cond_broadcast(&closing->changed);
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
    rbd_close(closing->image);
    vimg_cluster_unref(closing->cluster);
    leave(closing, TRUE);
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

void
vimg_ceph_close_early(rbd_image_t image)
{
    guint64 overlap = 0;

    if (rbd_get_overlap(image, &overlap) == 0 && overlap > 0)
        g_usleep(GRACE);
    rbd_close(image);
}

void
vimg_ceph_closing(VimgCluster *cluster, rbd_image_t image, VimgCephFlow *flow,
                  VimgCephStream *stream)
{
    Closing *closing = g_new0(Closing, 1);
    pthread_t thread;

    closing->cluster = vimg_cluster_ref(cluster);
    closing->image = image;
    closing->flow = flow;
    closing->stream = stream;
    closing->users = 2;
    thread_must(pthread_mutex_init(&closing->lock, NULL));
    cond_init(&closing->changed);
    if (thread_start(&thread, close_all, closing) == 0) {
        pthread_detach(thread);
        wait_for(closing);
    } else {
        close_all(closing);
    }
    leave(closing, TRUE);
}
