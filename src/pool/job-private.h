/*
 * job-private.h: jobs as the job*.c files see them; for them alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_JOB_PRIVATE_H
#define VIMG_POOL_JOB_PRIVATE_H

#include "pool/job.h"
#include "pool/metrics.h"
#include "util/thread.h"

struct _VimgJobs {
    VimgMutex lock;
    GQueue jobs;      /* of VimgJob, oldest first; under lock */
    guint64 last_id;  /* under lock */
    gboolean ending;  /* under lock */
    GArray *left;     /* of guint64, under lock: callers that are gone, with what they began */
    VimgTally *tally; /* under lock */

    VimgJobSink sink;
    gpointer sink_data;
    VimgThread teller; /* exists if @telling */
    VimgCond news;     /* there are events, or watchers, or none any more */
    GQueue events;     /* of VimgJobEvent, to be told; under lock */
    guint watchers;    /* under lock; without any nothing is kept to be told */
    gboolean telling;  /* under lock */
    gboolean closing;  /* under lock */
};

struct _VimgPluginJob {
    VimgJobs *jobs;
    GList link;       /* in jobs->jobs */
    VimgJobInfo info; /* id, kind, started constant, the others under the lock */
    char *error;      /* under lock; NULL: all is well so far */
    guint64 bytes;    /* under lock: of content, not yet in the tally */
    gint64 counted;   /* under lock: until when its time is in the tally; monotonic */
    gboolean moved;   /* under lock: since its progress was told */
    char *other;      /* under lock: a pool it is a job of too; may be NULL */
    VimgJob *link_to; /* under lock: what ends it as well; may be NULL */
    char *part;       /* under lock: its phase, of which it tells the rest; may be NULL */
    guint64 base;     /* under lock: done before this part */
    guint64 whole;    /* under lock: total of all parts */
};

/* ---- job-watch.c ------------------------------------------------------------------------ */

void vimg_jobs_watch_init(VimgJobs *jobs);
void vimg_jobs_watch_clear(VimgJobs *jobs);
/* With the lock held: whoever watches hears of @job as it is. */
void vimg_job_tell(VimgJob *job, gboolean ended);

#endif
