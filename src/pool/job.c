/*
 * job.c: what runs for a long time: who, on what, how far, and may it go on
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/job-private.h"
#include "util/i18n.h"

/* Jobs named in one message; a refused pool-destroy may face hundreds. */
#define DESCRIBED_MAX 8

VimgJobs *
vimg_jobs_new(void)
{
    VimgJobs *jobs = g_new0(VimgJobs, 1);

    vimg_mutex_init(&jobs->lock);
    g_queue_init(&jobs->jobs);
    jobs->left = g_array_new(FALSE, FALSE, sizeof(guint64));
    jobs->tally = vimg_tally_new();
    vimg_jobs_watch_init(jobs);
    return jobs;
}

void
vimg_jobs_free(VimgJobs *jobs)
{
    if (!jobs)
        return;
    g_assert(g_queue_is_empty(&jobs->jobs));
    vimg_jobs_watch_clear(jobs);
    vimg_tally_free(jobs->tally);
    g_array_unref(jobs->left);
    vimg_mutex_clear(&jobs->lock);
    g_free(jobs);
}

static void
info_clear(VimgJobInfo *info)
{
    g_free(info->pool);
    g_free(info->volume);
    g_free(info->kind);
    g_free(info->phase);
}

void
vimg_job_info_free(VimgJobInfo *info)
{
    if (!info)
        return;
    info_clear(info);
    g_free(info);
}

VimgJobInfo *
vimg_job_info_copy(const VimgJobInfo *info)
{
    VimgJobInfo *copy = g_memdup2(info, sizeof(*info));

    copy->pool = g_strdup(info->pool);
    copy->volume = g_strdup(info->volume);
    copy->kind = g_strdup(info->kind);
    copy->phase = g_strdup(info->phase);
    return copy;
}

/* ---- one job ---------------------------------------------------------------------------- */

/* With the lock held: what went on since the last time is counted. */
static void
count(VimgJob *job)
{
    VimgTally *tally = job->jobs->tally;
    gint64 now = g_get_monotonic_time();

    vimg_tally_add_phase(tally, job->info.kind, job->info.phase, now - job->counted);
    vimg_tally_add_bytes(tally, job->info.kind, job->bytes);
    job->counted = now;
    job->bytes = 0;
}

/* With the lock held: whether @caller is gone.  Returns: its index, or -1. */
static int
find_left(VimgJobs *jobs, guint64 caller)
{
    for (guint i = 0; i < jobs->left->len; i++)
        if (g_array_index(jobs->left, guint64, i) == caller)
            return (int)i;
    return -1;
}

/* Nobody wants to have taken away less. */
static gboolean
makes(const VimgJob *job)
{
    return strcmp(job->info.kind, "delete") != 0;
}

VimgJob *
vimg_job_begin(VimgJobs *jobs, const char *kind, const char *pool, const char *volume,
               guint64 total)
{
    VimgJob *job = g_new0(VimgJob, 1);

    job->jobs = jobs;
    job->link.data = job;
    job->info.kind = g_strdup(kind);
    job->info.pool = g_strdup(pool);
    job->info.volume = g_strdup(volume);
    job->info.phase = g_strdup("");
    job->info.total = total;
    job->info.caller = vimg_thread_caller();
    job->info.started = g_get_real_time() / G_USEC_PER_SEC;
    job->counted = g_get_monotonic_time();
    VIMG_LOCK_GUARD(&jobs->lock);
    job->info.id = ++jobs->last_id;
    job->info.cancelled = jobs->ending || (makes(job) && find_left(jobs, job->info.caller) >= 0);
    g_queue_push_tail_link(&jobs->jobs, &job->link);
    vimg_job_tell(job, FALSE);
    return job;
}

static VimgJobEnd
end_of(const VimgJob *job)
{
    if (!job->error)
        return VIMG_JOB_COMPLETED;
    return job->info.cancelled ? VIMG_JOB_CANCELLED : VIMG_JOB_FAILED;
}

void
vimg_job_end(VimgJob *job)
{
    if (!job)
        return;
    vimg_mutex_lock(&job->jobs->lock);
    g_queue_unlink(&job->jobs->jobs, &job->link);
    count(job);
    vimg_tally_add_end(job->jobs->tally, job->info.kind, end_of(job));
    vimg_job_tell(job, TRUE);
    vimg_mutex_unlock(&job->jobs->lock);
    info_clear(&job->info);
    g_free(job->error);
    g_free(job->other);
    g_free(job->part);
    g_free(job);
}

guint64
vimg_job_id(const VimgJob *job)
{
    return job->info.id;
}

void
vimg_job_progress(VimgJob *job, const char *phase, guint64 done, guint64 total)
{
    g_autofree char *valid = g_utf8_make_valid(phase ? phase : "", -1);
    char *old;

    vimg_mutex_lock(&job->jobs->lock);
    if (job->part) {
        g_free(valid);
        valid = g_strdup(job->part);
        /* what does not know its total does not go back */
        done = total > 0 ? MIN(job->base + MIN(done, job->whole), job->whole)
                         : MAX(job->info.done, job->base);
        total = job->whole;
    }
    if (strcmp(job->info.phase, valid) != 0)
        count(job);
    old = job->info.phase;
    job->info.phase = g_steal_pointer(&valid);
    job->info.done = done;
    job->info.total = total;
    job->moved = TRUE;
    vimg_mutex_unlock(&job->jobs->lock);
    g_free(old);
}

void
vimg_job_turn_to(VimgJob *job, const char *volume)
{
    VIMG_LOCK_GUARD(&job->jobs->lock);
    g_free(job->info.volume);
    job->info.volume = g_strdup(volume);
    job->moved = TRUE;
}

void
vimg_job_add(VimgJob *job, guint64 bytes)
{
    VIMG_LOCK_GUARD(&job->jobs->lock);
    job->info.done += bytes;
    if (job->part)
        job->info.done = MIN(job->info.done, job->whole);
    job->bytes += bytes;
    job->moved |= bytes > 0;
}

void
vimg_job_part(VimgJob *job, const char *phase, guint64 base, guint64 whole)
{
    vimg_mutex_lock(&job->jobs->lock);
    g_free(job->part);
    job->part = g_strdup(phase);
    job->base = base;
    job->whole = whole;
    vimg_mutex_unlock(&job->jobs->lock);
    vimg_job_progress(job, phase, 0, 0);
}

void
vimg_job_beside(VimgJob *job, const char *other)
{
    VIMG_LOCK_GUARD(&job->jobs->lock);
    g_free(job->other);
    job->other = g_strdup(other);
}

void
vimg_job_link(VimgJob *job, VimgJob *to)
{
    VIMG_LOCK_GUARD(&job->jobs->lock);
    job->link_to = to;
}

gboolean
vimg_job_fail(VimgJob *job, const GError *error)
{
    g_autofree char *text = vimg_error_text(error);

    VIMG_LOCK_GUARD(&job->jobs->lock);
    if (job->error)
        return FALSE;
    job->error = g_utf8_make_valid(text, -1);
    return TRUE;
}

gboolean
vimg_job_cancelled(VimgJob *job)
{
    VIMG_LOCK_GUARD(&job->jobs->lock);
    return job->info.cancelled || (job->link_to && job->link_to->info.cancelled);
}

void
vimg_job_cancel(VimgJob *job)
{
    VIMG_LOCK_GUARD(&job->jobs->lock);
    job->info.cancelled = TRUE;
}

/* ---- all of them ------------------------------------------------------------------------ */

gboolean
vimg_jobs_cancel(VimgJobs *jobs, guint64 id)
{
    GList *link;

    VIMG_LOCK_GUARD(&jobs->lock);
    for (link = jobs->jobs.head; link; link = link->next) {
        VimgJob *job = link->data;

        if (job->info.id == id) {
            job->info.cancelled = TRUE;
            return TRUE;
        }
    }
    return FALSE;
}

void
vimg_jobs_cancel_all(VimgJobs *jobs)
{
    GList *link;

    VIMG_LOCK_GUARD(&jobs->lock);
    jobs->ending = TRUE;
    for (link = jobs->jobs.head; link; link = link->next) {
        VimgJob *job = link->data;

        job->info.cancelled = TRUE;
    }
}

void
vimg_jobs_leave(VimgJobs *jobs, guint64 caller)
{
    VIMG_LOCK_GUARD(&jobs->lock);
    g_array_append_val(jobs->left, caller);
    for (GList *link = jobs->jobs.head; link; link = link->next) {
        VimgJob *job = link->data;

        if (job->info.caller == caller && makes(job))
            job->info.cancelled = TRUE;
    }
}

void
vimg_jobs_forget(VimgJobs *jobs, guint64 caller)
{
    int at;

    VIMG_LOCK_GUARD(&jobs->lock);
    at = find_left(jobs, caller);
    if (at >= 0)
        g_array_remove_index_fast(jobs->left, (guint)at);
}

gboolean
vimg_jobs_ending(VimgJobs *jobs)
{
    VIMG_LOCK_GUARD(&jobs->lock);
    return jobs->ending;
}

void
vimg_jobs_rename(VimgJobs *jobs, const char *pool, const char *name)
{
    GList *link;

    VIMG_LOCK_GUARD(&jobs->lock);
    for (link = jobs->jobs.head; link; link = link->next) {
        VimgJob *job = link->data;

        char **called = g_strcmp0(job->other, pool) == 0 ? &job->other : &job->info.pool;

        if (strcmp(*called, pool) != 0)
            continue;
        g_free(*called);
        *called = g_strdup(name);
    }
}

guint
vimg_jobs_count(VimgJobs *jobs)
{
    VIMG_LOCK_GUARD(&jobs->lock);
    return g_queue_get_length(&jobs->jobs);
}

GPtrArray *
vimg_jobs_list(VimgJobs *jobs, const char *pool)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_job_info_free);
    GList *link;

    VIMG_LOCK_GUARD(&jobs->lock);
    for (link = jobs->jobs.head; link; link = link->next) {
        const VimgJob *job = link->data;

        if (!pool || strcmp(job->info.pool, pool) == 0 || g_strcmp0(job->other, pool) == 0)
            g_ptr_array_add(list, vimg_job_info_copy(&job->info));
    }
    return list;
}

char *
vimg_jobs_describe(VimgJobs *jobs, const char *pool, const char *volume, const char *const *but)
{
    g_autoptr(GPtrArray) list = vimg_jobs_list(jobs, pool);
    g_autoptr(GString) text = g_string_new(NULL);
    guint n = 0;
    guint i;

    for (i = 0; i < list->len; i++) {
        const VimgJobInfo *info = g_ptr_array_index(list, i);

        if ((volume && g_strcmp0(info->volume, volume) != 0) ||
            (but && g_strv_contains(but, info->kind)))
            continue;
        if (++n > DESCRIBED_MAX)
            continue;
        if (n > 1)
            g_string_append(text, ", ");
        if (info->volume)
            g_string_append_printf(text, _("%1$s of '%2$s'"), info->kind, info->volume);
        else
            g_string_append(text, info->kind);
    }
    if (n == 0)
        return NULL;
    if (n > DESCRIBED_MAX)
        g_string_append_printf(text, _(" and %u more"), n - DESCRIBED_MAX);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void
vimg_jobs_format_metrics(VimgJobs *jobs, GString *out)
{
    GList *link;

    VIMG_LOCK_GUARD(&jobs->lock);
    vimg_tally_begin_running(jobs->tally);
    for (link = jobs->jobs.head; link; link = link->next) {
        VimgJob *job = link->data;

        count(job);
        vimg_tally_add_running(jobs->tally, job->info.kind);
    }
    vimg_tally_format(jobs->tally, out);
}
