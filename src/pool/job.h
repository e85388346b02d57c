/*
 * job.h: what runs for a long time: who, on what, how far, and may it go on
 *
 * A job is counted by its owner (a transfer, a copy, a build) and listed in a table while it lives.
 * Thread-safe; the table's lock is a leaf: nothing else is taken under it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_JOB_H
#define VIMG_POOL_JOB_H

#include "pool/model.h"

typedef struct _VimgJobs VimgJobs;
typedef struct _VimgPluginJob VimgJob;

VimgJobs *vimg_jobs_new(void);
void vimg_jobs_free(VimgJobs *jobs); /* after every job ended */

/* Returns: (transfer full), in the table until vimg_job_end(). */
VimgJob *vimg_job_begin(VimgJobs *jobs, const char *kind, const char *pool, const char *volume,
                        guint64 total);
void vimg_job_end(VimgJob *job); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgJob, vimg_job_end)
guint64 vimg_job_id(const VimgJob *job); /* never 0, never used again */
void vimg_job_progress(VimgJob *job, const char *phase, guint64 done, guint64 total);
/* It is at @volume now, or at the pool itself (NULL). */
void vimg_job_turn_to(VimgJob *job, const char *volume);
void vimg_job_add(VimgJob *job, guint64 bytes); /* of content: done += bytes */
/*
 * From now on its progress is that of one part of several, which @phase names: @base was done
 * before, all of them are @whole.
 */
void vimg_job_part(VimgJob *job, const char *phase, guint64 base, guint64 whole);
/* It is a job of the pool @other too. */
void vimg_job_beside(VimgJob *job, const char *other);
/* Who cancels @to cancels @job; NULL: no more.  Before @to ends. */
void vimg_job_link(VimgJob *job, VimgJob *to);
/*
 * What whoever waits for it is told: once it ends it has failed, or was cancelled.  Returns: FALSE
 * if it had failed before, and nothing changed.
 */
gboolean vimg_job_fail(VimgJob *job, const GError *error);
gboolean vimg_job_cancelled(VimgJob *job);
void vimg_job_cancel(VimgJob *job);
gboolean vimg_jobs_cancel(VimgJobs *jobs, guint64 id); /* FALSE: no such job */
/* Those that run and every one that begins from now on. */
void vimg_jobs_cancel_all(VimgJobs *jobs);
/*
 * Those that @caller asked for, see vimg_thread_set_caller(), and from now on every one that it
 * begins, until vimg_jobs_forget(): which is when it begins none any more.  What deletes goes on.
 */
void vimg_jobs_leave(VimgJobs *jobs, guint64 caller);
void vimg_jobs_forget(VimgJobs *jobs, guint64 caller);
/* Whether all were cancelled, and all to come are. */
gboolean vimg_jobs_ending(VimgJobs *jobs);
/* Of @pool there are none any more: they are @name's. */
void vimg_jobs_rename(VimgJobs *jobs, const char *pool, const char *name);
guint vimg_jobs_count(VimgJobs *jobs);
/* Returns: (transfer full) of VimgJobInfo, oldest first; of one pool unless NULL. */
GPtrArray *vimg_jobs_list(VimgJobs *jobs, const char *pool);
/*
 * Returns: (transfer full) "upload of 'a', clone of 'b'", or NULL if the pool has none.  Of one
 * @volume unless NULL; those of the kinds @but, which may be NULL, are none.
 */
char *vimg_jobs_describe(VimgJobs *jobs, const char *pool, const char *volume,
                         const char *const *but);

/* Returns: (transfer full) */
VimgJobInfo *vimg_job_info_copy(const VimgJobInfo *info);

/* Of those that ran or run, as an OpenMetrics text. */
void vimg_jobs_format_metrics(VimgJobs *jobs, GString *out);

/* ---- job-watch.c ------------------------------------------------------------------------ */

/* Before the first one watches. */
void vimg_jobs_set_sink(VimgJobs *jobs, VimgJobSink sink, gpointer data);
/* One watches more, or less. */
gboolean vimg_jobs_watch(VimgJobs *jobs, gboolean on, GError **error);

#endif
