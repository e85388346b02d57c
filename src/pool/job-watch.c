/*
 * job-watch.c: telling whoever watches how jobs get on
 *
 * A thread of its own tells, so that no job waits for it: begin and end at once, and twice a second
 * those that moved meanwhile.  It exists from the first watcher on.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/job-private.h"

#define INTERVAL (G_USEC_PER_SEC / 2)

static void
event_free(gpointer data)
{
    VimgJobEvent *event = data;

    vimg_job_info_free(event->job);
    g_free(event->error);
    g_free(event);
}

void
vimg_jobs_watch_init(VimgJobs *jobs)
{
    vimg_cond_init(&jobs->news);
    g_queue_init(&jobs->events);
}

void
vimg_jobs_watch_clear(VimgJobs *jobs)
{
    vimg_mutex_lock(&jobs->lock);
    jobs->closing = TRUE;
    vimg_cond_broadcast(&jobs->news);
    vimg_mutex_unlock(&jobs->lock);
    if (jobs->telling)
        vimg_thread_join(jobs->teller);
    g_queue_clear_full(&jobs->events, event_free);
    vimg_cond_clear(&jobs->news);
}

/* ---- events, with the lock held --------------------------------------------------------- */

static void
push(VimgJob *job, VimgJobStep step)
{
    VimgJobEvent *event = g_new0(VimgJobEvent, 1);

    event->job = vimg_job_info_copy(&job->info);
    event->step = step;
    event->error = step == VIMG_JOB_ENDED ? g_strdup(job->error) : NULL;
    g_queue_push_tail(&job->jobs->events, event);
    job->moved = FALSE;
}

void
vimg_job_tell(VimgJob *job, gboolean ended)
{
    if (job->jobs->watchers == 0)
        return;
    push(job, ended ? VIMG_JOB_ENDED : VIMG_JOB_BEGUN);
    vimg_cond_broadcast(&job->jobs->news);
}

static void
push_moved(VimgJobs *jobs)
{
    GList *link;

    for (link = jobs->jobs.head; link; link = link->next) {
        VimgJob *job = link->data;

        if (job->moved)
            push(job, VIMG_JOB_MOVED);
    }
}

/* Until there is something to tell, or @due. */
static void
wait_for_news(VimgJobs *jobs, gint64 due)
{
    while (!jobs->closing && g_queue_is_empty(&jobs->events)) {
        if (jobs->watchers == 0 || g_queue_is_empty(&jobs->jobs))
            vimg_cond_wait(&jobs->news, &jobs->lock);
        else if (!vimg_cond_wait_until(&jobs->news, &jobs->lock, due))
            return;
    }
}

/* ---- telling ---------------------------------------------------------------------------- */

static void
tell(VimgJobs *jobs, GQueue *events)
{
    VimgJobEvent *event;

    while ((event = g_queue_pop_head(events))) {
        if (jobs->sink)
            jobs->sink(event, jobs->sink_data);
        event_free(event);
    }
}

static void
tell_main(gpointer data)
{
    VimgJobs *jobs = data;
    gint64 due = 0;

    for (;;) {
        GQueue events;
        gboolean closing;

        vimg_mutex_lock(&jobs->lock);
        wait_for_news(jobs, due);
        closing = jobs->closing;
        if (jobs->watchers > 0 && g_get_monotonic_time() >= due) {
            push_moved(jobs);
            due = g_get_monotonic_time() + INTERVAL;
        }
        events = jobs->events;
        g_queue_init(&jobs->events);
        vimg_mutex_unlock(&jobs->lock);
        tell(jobs, &events);
        if (closing)
            return;
    }
}

void
vimg_jobs_set_sink(VimgJobs *jobs, VimgJobSink sink, gpointer data)
{
    jobs->sink = sink;
    jobs->sink_data = data;
}

gboolean
vimg_jobs_watch(VimgJobs *jobs, gboolean on, GError **error)
{
    VIMG_LOCK_GUARD(&jobs->lock);
    if (!on) {
        jobs->watchers--;
        return TRUE;
    }
    if (!jobs->telling && !vimg_thread_start(&jobs->teller, "vimg-tell", tell_main, jobs, error))
        return FALSE;
    jobs->telling = TRUE;
    jobs->watchers++;
    vimg_cond_broadcast(&jobs->news);
    return TRUE;
}
