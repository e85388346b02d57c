/*
 * test-job-watch.c: who watches jobs is told how they get on
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/job.h"
#include "util/thread.h"

typedef struct {
    VimgJobs *jobs;
    VimgMutex lock;
    VimgCond changed;
    GString *heard; /* "begun a, moved a 5, ended a: why"; under lock */
    guint n;        /* events; under lock */
    gint64 last;    /* when the last one moved; the sink's alone */
    gboolean hung;  /* under lock: the sink waits until it is not */
} Fixture;

static void
hear(const VimgJobEvent *event, gpointer data)
{
    static const char *const steps[] = {
        [VIMG_JOB_BEGUN] = "begun", [VIMG_JOB_MOVED] = "moved", [VIMG_JOB_ENDED] = "ended"};
    Fixture *f = data;

    VIMG_LOCK_GUARD(&f->lock);
    while (f->hung)
        vimg_cond_wait(&f->changed, &f->lock);
    if (event->step == VIMG_JOB_MOVED) {
        gint64 now = g_get_monotonic_time();

        g_assert_cmpint(now - f->last, >, G_USEC_PER_SEC / 10); /* or as late as it is told */
        f->last = now;
    }
    g_string_append_printf(f->heard, "%s%s %s", f->heard->len > 0 ? ", " : "", steps[event->step],
                           event->job->volume);
    if (event->step == VIMG_JOB_MOVED)
        g_string_append_printf(f->heard, " %s %" G_GUINT64_FORMAT, event->job->phase,
                               event->job->done);
    if (event->error)
        g_string_append_printf(f->heard, ": %s%s", event->error,
                               event->job->cancelled ? " (cancelled)" : "");
    f->n++;
    vimg_cond_broadcast(&f->changed);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    vimg_mutex_init(&f->lock);
    vimg_cond_init(&f->changed);
    f->heard = g_string_new(NULL);
    f->jobs = vimg_jobs_new();
    vimg_jobs_set_sink(f->jobs, hear, f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vimg_jobs_free(f->jobs);
    g_string_free(f->heard, TRUE);
    vimg_cond_clear(&f->changed);
    vimg_mutex_clear(&f->lock);
}

/* Returns when @n events were heard, which were @expected. */
static void
assert_heard(Fixture *f, guint n, const char *expected)
{
    VIMG_LOCK_GUARD(&f->lock);
    while (f->n < n)
        vimg_cond_wait(&f->changed, &f->lock);
    g_assert_cmpstr(f->heard->str, ==, expected);
    g_string_truncate(f->heard, 0);
    f->n = 0;
}

static void
watch(Fixture *f, gboolean on)
{
    g_assert_true(vimg_jobs_watch(f->jobs, on, NULL));
}

static void
test_all(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DAMAGED, "why");
    VimgJob *before = vimg_job_begin(f->jobs, "upload", "p", "before", 0);
    VimgJob *job;

    watch(f, TRUE);
    job = vimg_job_begin(f->jobs, "upload", "p", "a", 0);
    assert_heard(f, 1, "begun a");
    vimg_job_progress(job, "sending", 5, 10);
    assert_heard(f, 1, "moved a sending 5");
    vimg_job_add(before, 0);
    vimg_job_add(job, 1);
    assert_heard(f, 1, "moved a sending 6");
    vimg_job_add(before, 1);
    assert_heard(f, 1, "moved before  1");
    g_assert_true(vimg_job_fail(job, error));
    g_assert_false(vimg_job_fail(job, error));
    vimg_job_end(job);
    assert_heard(f, 1, "ended a: operation failed: why");
    vimg_job_cancel(before);
    vimg_job_fail(before, error);
    vimg_job_end(before);
    assert_heard(f, 1, "ended before: operation failed: why (cancelled)");
}

/* However short, it has a beginning and an end. */
static void
test_short(Fixture *f, gconstpointer data)
{
    watch(f, TRUE);
    for (guint i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);
        VimgJob *job = vimg_job_begin(f->jobs, "delete", "p", name, 0);

        vimg_job_add(job, 1);
        vimg_job_end(job);
    }
    assert_heard(f, 6, "begun 0, ended 0, begun 1, ended 1, begun 2, ended 2");
}

/* A sink that takes its time delays no job, and nothing is lost. */
static void
test_hung(Fixture *f, gconstpointer data)
{
    guint i;

    watch(f, TRUE);
    vimg_mutex_lock(&f->lock);
    f->hung = TRUE;
    vimg_mutex_unlock(&f->lock);
    for (i = 0; i < 1000; i++)
        vimg_job_end(vimg_job_begin(f->jobs, "delete", "p", "a", 0));
    vimg_mutex_lock(&f->lock);
    f->hung = FALSE;
    vimg_cond_broadcast(&f->changed);
    while (f->n < 2000)
        vimg_cond_wait(&f->changed, &f->lock);
    vimg_mutex_unlock(&f->lock);
}

/* Two watch until both do no more; then nothing is kept. */
static void
test_watchers(Fixture *f, gconstpointer data)
{
    vimg_job_end(vimg_job_begin(f->jobs, "delete", "p", "nobody", 0));
    watch(f, TRUE);
    watch(f, TRUE);
    watch(f, FALSE);
    vimg_job_end(vimg_job_begin(f->jobs, "delete", "p", "one", 0));
    assert_heard(f, 2, "begun one, ended one");
    watch(f, FALSE);
    vimg_job_end(vimg_job_begin(f->jobs, "delete", "p", "nobody", 0));
    watch(f, TRUE);
    vimg_job_end(vimg_job_begin(f->jobs, "delete", "p", "again", 0));
    assert_heard(f, 2, "begun again, ended again");
}

static void
test_metrics(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DAMAGED, "why");
    g_autoptr(GString) out = g_string_new(NULL);
    VimgJob *job = vimg_job_begin(f->jobs, "upload", "p", "a", 0);

    vimg_job_add(job, 10);
    vimg_job_end(job);
    job = vimg_job_begin(f->jobs, "upload", "p", "a", 0);
    vimg_job_fail(job, error);
    vimg_job_end(job);
    job = vimg_job_begin(f->jobs, "upload", "p", "a", 0);
    vimg_job_cancel(job); /* too late: it is complete all the same */
    vimg_job_end(job);
    job = vimg_job_begin(f->jobs, "upload", "p", "a", 0);
    vimg_job_progress(job, "sending", 1, 10); /* no content */
    vimg_job_add(job, 5);
    vimg_jobs_format_metrics(f->jobs, out);
    g_assert_nonnull(strstr(out->str, "{kind=\"upload\",state=\"running\"} 1\n"));
    g_assert_nonnull(strstr(out->str, "{kind=\"upload\",state=\"completed\"} 2\n"));
    g_assert_nonnull(strstr(out->str, "{kind=\"upload\",state=\"failed\"} 1\n"));
    g_assert_nonnull(strstr(out->str, "{kind=\"upload\",state=\"cancelled\"} 0\n"));
    g_assert_nonnull(strstr(out->str, "{operation=\"upload\"} 15\n"));
    g_assert_nonnull(strstr(out->str, "{kind=\"upload\",phase=\"sending\"} "));
    g_string_truncate(out, 0);
    vimg_job_end(job);
    vimg_jobs_format_metrics(f->jobs, out);
    g_assert_nonnull(strstr(out->str, "{kind=\"upload\",state=\"running\"} 0\n"));
    g_assert_nonnull(strstr(out->str, "{operation=\"upload\"} 15\n"));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/job-watch/all", test_all},         {"/job-watch/short", test_short},
        {"/job-watch/hung", test_hung},       {"/job-watch/watchers", test_watchers},
        {"/job-watch/metrics", test_metrics},
    };
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].func, tear_down);
    return g_test_run();
}
