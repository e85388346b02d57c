/*
 * test-job.c: jobs while they run
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/job.h"
#include "util/thread.h"

typedef struct {
    VimgJobs *jobs;
    VimgJob *upload; /* of a in p */
    VimgJob *clone;  /* of b in p */
    VimgJob *build;  /* of q */
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->jobs = vimg_jobs_new();
    f->upload = vimg_job_begin(f->jobs, "upload", "p", "a", 1000);
    f->clone = vimg_job_begin(f->jobs, "clone", "p", "b", 0);
    f->build = vimg_job_begin(f->jobs, "build", "q", NULL, 0);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vimg_job_end(f->upload);
    vimg_job_end(f->clone);
    vimg_job_end(f->build);
    vimg_job_end(NULL);
    g_assert_cmpuint(vimg_jobs_count(f->jobs), ==, 0);
    vimg_jobs_free(f->jobs);
}

static void
test_list(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) all = vimg_jobs_list(f->jobs, NULL);
    g_autoptr(GPtrArray) of_p = NULL;
    const VimgJobInfo *info;

    g_assert_cmpuint(all->len, ==, 3);
    info = g_ptr_array_index(all, 2);
    g_assert_cmpstr(info->kind, ==, "build");
    g_assert_cmpstr(info->pool, ==, "q");
    g_assert_null(info->volume);
    vimg_job_progress(f->upload, "sending", 10, 2000);
    vimg_job_add(f->upload, 5);
    of_p = vimg_jobs_list(f->jobs, "p");
    g_assert_cmpuint(of_p->len, ==, 2);
    info = g_ptr_array_index(of_p, 0);
    g_assert_cmpstr(info->volume, ==, "a");
    g_assert_cmpstr(info->phase, ==, "sending");
    g_assert_cmpuint(info->done, ==, 15);
    g_assert_cmpuint(info->total, ==, 2000);
    g_assert_cmpint(info->started, >, 1600000000);
    /* what was listed before is as it was */
    info = g_ptr_array_index(all, 0);
    g_assert_cmpuint(info->done, ==, 0);
    g_assert_cmpuint(info->total, ==, 1000);
    g_assert_cmpstr(info->phase, ==, "");
}

static void
test_phase(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) list = NULL;

    vimg_job_progress(f->build,
                      "bl\xff"
                      "ah",
                      0, 0);
    list = vimg_jobs_list(f->jobs, "q");
    g_assert_true(g_utf8_validate(((VimgJobInfo *)g_ptr_array_index(list, 0))->phase, -1, NULL));
    vimg_job_progress(f->build, NULL, 0, 0);
}

/* One job may be at one volume after the other. */
static void
test_volume(Fixture *f, gconstpointer data)
{
    g_autofree char *of_it = NULL;
    g_autofree char *of_pool = NULL;

    vimg_job_turn_to(f->build, "v");
    of_it = vimg_jobs_describe(f->jobs, "q", "v", NULL);
    g_assert_cmpstr(of_it, ==, "build of 'v'");
    vimg_job_turn_to(f->build, NULL);
    g_assert_null(vimg_jobs_describe(f->jobs, "q", "v", NULL));
    of_pool = vimg_jobs_describe(f->jobs, "q", NULL, NULL);
    g_assert_cmpstr(of_pool, ==, "build");
}

/* One of two pools, whatever they are called. */
static void
test_beside(Fixture *f, gconstpointer data)
{
    g_autofree char *of_other = NULL;
    g_autofree char *renamed = NULL;

    vimg_job_beside(f->build, "r");
    of_other = vimg_jobs_describe(f->jobs, "r", NULL, NULL);
    g_assert_cmpstr(of_other, ==, "build");
    vimg_jobs_rename(f->jobs, "r", "s");
    vimg_jobs_rename(f->jobs, "q", "t");
    g_assert_null(vimg_jobs_describe(f->jobs, "r", NULL, NULL));
    renamed = vimg_jobs_describe(f->jobs, "s", NULL, NULL);
    g_assert_cmpstr(renamed, ==, "build");
    g_assert_null(vimg_jobs_describe(f->jobs, "q", NULL, NULL));
}

static void
assert_progress(Fixture *f, const char *phase, guint64 done)
{
    g_autoptr(GPtrArray) list = vimg_jobs_list(f->jobs, "q");
    const VimgJobInfo *info = g_ptr_array_index(list, 0);

    g_assert_cmpstr(info->phase, ==, phase);
    g_assert_cmpuint(info->done, ==, done);
    g_assert_cmpuint(info->total, ==, 1000);
}

/* What tells of a part is shown as of the whole, and goes neither back nor beyond. */
static void
test_part(Fixture *f, gconstpointer data)
{
    vimg_job_part(f->build, "one", 0, 1000);
    assert_progress(f, "one", 0);
    vimg_job_progress(f->build, "copying", 300, 400);
    assert_progress(f, "one", 300);
    vimg_job_progress(f->build, "finishing", 0, 0);
    assert_progress(f, "one", 300);
    vimg_job_part(f->build, "two", 400, 1000);
    assert_progress(f, "two", 400);
    vimg_job_progress(f->build, "copying", G_MAXUINT64, G_MAXUINT64);
    assert_progress(f, "two", 1000);
    vimg_job_add(f->build, 5);
    assert_progress(f, "two", 1000);
}

static void
test_link(Fixture *f, gconstpointer data)
{
    vimg_job_link(f->clone, f->upload);
    g_assert_false(vimg_job_cancelled(f->clone));
    vimg_job_cancel(f->upload);
    g_assert_true(vimg_job_cancelled(f->clone));
    vimg_job_link(f->clone, NULL);
    g_assert_false(vimg_job_cancelled(f->clone));
}

static void
test_cancel(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) list = vimg_jobs_list(f->jobs, NULL);
    guint64 first = ((VimgJobInfo *)g_ptr_array_index(list, 0))->id;
    guint64 second = ((VimgJobInfo *)g_ptr_array_index(list, 1))->id;
    g_autoptr(VimgJob) late = NULL;

    g_assert_cmpuint(first, !=, second);
    g_assert_false(vimg_jobs_cancel(f->jobs, 12345));
    g_assert_false(vimg_job_cancelled(f->clone));
    g_assert_true(vimg_jobs_cancel(f->jobs, second));
    g_assert_false(vimg_job_cancelled(f->upload));
    g_assert_true(vimg_job_cancelled(f->clone));
    vimg_job_cancel(f->upload);
    g_assert_true(vimg_job_cancelled(f->upload));
    g_assert_false(vimg_job_cancelled(f->build));
    vimg_jobs_cancel_all(f->jobs);
    g_assert_true(vimg_job_cancelled(f->build));
    late = vimg_job_begin(f->jobs, "upload", "p", "z", 0);
    g_assert_true(vimg_job_cancelled(late));
    g_clear_pointer(&f->clone, vimg_job_end);
    g_assert_false(vimg_jobs_cancel(f->jobs, second));
}

/* What a caller that is gone began and begins is cancelled, but what deletes; nobody else's is. */
static void
test_leave(Fixture *f, gconstpointer data)
{
    g_autoptr(VimgJob) mine = NULL, deletion = NULL, late = NULL, later = NULL, other = NULL;

    vimg_thread_set_caller(7);
    mine = vimg_job_begin(f->jobs, "clone", "p", "c", 0);
    deletion = vimg_job_begin(f->jobs, "delete", "p", "d", 0);
    vimg_jobs_leave(f->jobs, 7);
    g_assert_true(vimg_job_cancelled(mine));
    g_assert_false(vimg_job_cancelled(deletion));
    g_assert_false(vimg_job_cancelled(f->clone));
    late = vimg_job_begin(f->jobs, "upload", "p", "e", 0);
    g_assert_true(vimg_job_cancelled(late));
    g_clear_pointer(&deletion, vimg_job_end);
    deletion = vimg_job_begin(f->jobs, "delete", "p", "e", 0);
    g_assert_false(vimg_job_cancelled(deletion));
    vimg_thread_set_caller(8);
    other = vimg_job_begin(f->jobs, "upload", "p", "f", 0);
    g_assert_false(vimg_job_cancelled(other));
    vimg_thread_set_caller(7);
    vimg_jobs_forget(f->jobs, 8);
    vimg_jobs_forget(f->jobs, 7);
    later = vimg_job_begin(f->jobs, "upload", "p", "g", 0);
    g_assert_false(vimg_job_cancelled(later));
    vimg_thread_set_caller(0);
}

static void
test_describe(Fixture *f, gconstpointer data)
{
    static const char *const but[] = {"verify", "upload", NULL};
    g_autofree char *both = vimg_jobs_describe(f->jobs, "p", NULL, NULL);
    g_autofree char *one = vimg_jobs_describe(f->jobs, "p", "b", NULL);
    g_autofree char *pool = vimg_jobs_describe(f->jobs, "q", NULL, NULL);
    g_autofree char *rest = vimg_jobs_describe(f->jobs, "p", NULL, but);

    g_assert_cmpstr(rest, ==, "clone of 'b'");
    g_assert_cmpstr(both, ==, "upload of 'a', clone of 'b'");
    g_assert_cmpstr(one, ==, "clone of 'b'");
    g_assert_cmpstr(pool, ==, "build");
    g_assert_null(vimg_jobs_describe(f->jobs, "r", NULL, NULL));
    g_assert_null(vimg_jobs_describe(f->jobs, "p", "c", NULL));
    g_assert_null(vimg_jobs_describe(f->jobs, "q", "a", NULL));
}

static void
test_describe_many(Fixture *f, gconstpointer data)
{
    VimgJob *many[10];
    g_autofree char *text = NULL;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(many); i++)
        many[i] = vimg_job_begin(f->jobs, "download", "r", "x", 0);
    text = vimg_jobs_describe(f->jobs, "r", NULL, NULL);
    g_assert_true(g_str_has_suffix(text, "download of 'x' and 2 more"));
    for (i = 0; i < G_N_ELEMENTS(many); i++)
        vimg_job_end(many[i]);
}

#define ROUNDS 10000

static void
count(gpointer data)
{
    VimgJob *job = data;
    guint i;

    for (i = 0; i < ROUNDS && !vimg_job_cancelled(job); i++)
        vimg_job_add(job, 1);
}

static void
test_threads(Fixture *f, gconstpointer data)
{
    g_autoptr(VimgWorkers) workers = vimg_workers_new("count", 2, NULL);
    g_autoptr(GPtrArray) list = NULL;

    vimg_workers_push(workers, count, f->clone);
    vimg_workers_push(workers, count, f->clone);
    g_clear_pointer(&workers, vimg_workers_free);
    list = vimg_jobs_list(f->jobs, "p");
    g_assert_cmpuint(((VimgJobInfo *)g_ptr_array_index(list, 1))->done, ==, 2 * ROUNDS);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/job/list", test_list},         {"/job/phase", test_phase},
        {"/job/volume", test_volume},     {"/job/cancel", test_cancel},
        {"/job/describe", test_describe}, {"/job/describe-many", test_describe_many},
        {"/job/threads", test_threads},   {"/job/beside", test_beside},
        {"/job/part", test_part},         {"/job/link", test_link},
        {"/job/leave", test_leave},
    };
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].func, tear_down);
    return g_test_run();
}
