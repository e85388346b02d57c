/*
 * test-model-adopt.c: plain files beside a storage become images, whatever comes between
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "test-model-fixture.h"
#include "pool/model-private.h"
#include "util/log.h"

#define DIR "/mem/images"
#define RETRIEVE "<image:retrieve existing='yes'/>"
#define SIZE 4096

/* ---- helpers ---------------------------------------------------------------------------- */

static void
define(Fixture *fixture, const char *options)
{
    g_autofree char *xml = pool_xml("images", UUID(1), options);
    g_autoptr(GError) error = NULL;

    fixture_define(fixture, xml, &error);
    g_assert_no_error(error);
}

static void
put(Fixture *fixture, const char *name, char byte, gsize size)
{
    g_autofree char *content = g_strnfill(size, byte);

    fixture->memory->put_file(DIR, name, content, size);
}

static guint
calls(Fixture *fixture, const char *callback)
{
    return fixture->memory->calls(DIR, callback);
}

/* A round has its job before the call that began it returns. */
static void
wait_idle(Fixture *fixture)
{
    for (;;) {
        g_autoptr(GPtrArray) jobs = vimg_model_job_list(fixture->model);

        if (jobs->len == 0)
            return;
        g_usleep(1000);
    }
}

static void
start(Fixture *fixture)
{
    define(fixture, RETRIEVE);
    start_pool(fixture, "images");
}

static void
refresh(Fixture *fixture)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autoptr(GError) error = NULL;

    vimg_model_pool_refresh(fixture->model, &id, 0, &error);
    g_assert_no_error(error);
    wait_idle(fixture);
}

/* Starts the pool; the round hangs in @callback. */
static void
start_until(Fixture *fixture, const char *callback)
{
    fixture->memory->block(DIR, callback);
    start(fixture);
    fixture->memory->wait_blocked(DIR, callback);
}

static void
go_on(Fixture *fixture, const char *callback)
{
    fixture->memory->release(DIR, callback);
    wait_idle(fixture);
}

static void
assert_names(Fixture *fixture, const char *expected)
{
    g_autofree char *names = vol_names(fixture, "images");

    g_assert_cmpstr(names, ==, expected);
}

static void
assert_state(Fixture *fixture, const char *name, const char *expected)
{
    g_autofree char *state = vol_state(fixture, "images", name);

    g_assert_cmpstr(state, ==, expected);
}

/* Cancels the one job there is.  Returns: (transfer full) what it was. */
static VimgJobInfo *
cancel(Fixture *fixture)
{
    g_autoptr(GPtrArray) jobs = vimg_model_job_list(fixture->model);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(jobs->len, ==, 1);
    vimg_model_job_cancel(fixture->model, ((VimgJobInfo *)jobs->pdata[0])->id, &error);
    g_assert_no_error(error);
    return g_ptr_array_steal_index(jobs, 0);
}

/* a.img is half made. */
static void
make_half(Fixture *fixture)
{
    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "writer_write");
    vimg_job_info_free(cancel(fixture));
    go_on(fixture, "writer_write");
    assert_state(fixture, "a.img", "saving");
}

/* ---- tests ------------------------------------------------------------------------------ */

static void
test_once(Fixture *fixture, gconstpointer data)
{
    g_autofree char *extents = NULL;
    guint opened;

    put(fixture, "a.img", 'a', 2 * SIZE);
    start(fixture);
    wait_idle(fixture);
    assert_state(fixture, "a.img", "active");
    extents = download_all(fixture, "images", "a.img", 0, 0);
    g_assert_cmpstr(extents, ==, "d4096 d4096");
    opened = calls(fixture, "file_open");
    refresh(fixture);
    g_assert_cmpuint(calls(fixture, "file_open"), ==, opened);
    g_assert_true(delete_vol(fixture, "images", "a.img", NULL));
    refresh(fixture);
    assert_names(fixture, "");
}

static void
test_cancel(Fixture *fixture, gconstpointer data)
{
    VimgJobInfo *job;

    put(fixture, "a.img", 'a', SIZE);
    put(fixture, "b.img", 'b', SIZE);
    start_until(fixture, "writer_write");
    job = cancel(fixture);
    g_assert_cmpstr(job->kind, ==, "adopt");
    g_assert_cmpstr(job->phase, ==, "adopting");
    g_assert_cmpstr(job->volume, ==, "a.img");
    g_assert_cmpuint(job->total, ==, 2 * SIZE);
    vimg_job_info_free(job);
    wait_idle(fixture);
    assert_names(fixture, "a.img");
    assert_state(fixture, "a.img", "saving");
    go_on(fixture, "writer_write");
    refresh(fixture);
    assert_names(fixture, "a.img b.img");
    assert_state(fixture, "a.img", "active");
    g_assert_cmpuint(calls(fixture, "create"), ==, 2);
}

static void
test_cancel_listing(Fixture *fixture, gconstpointer data)
{
    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "file_list");
    vimg_job_info_free(cancel(fixture));
    wait_idle(fixture);
    go_on(fixture, "file_list");
    assert_names(fixture, "");
}

/* A storage that is gone is asked for no other file. */
static void
test_lost(Fixture *fixture, gconstpointer data)
{
    static const char *const callbacks[] = {"file_open", "create", "writer_write"};
    gsize i;

    put(fixture, "a.img", 'a', SIZE);
    put(fixture, "b.img", 'b', SIZE);
    define(fixture, RETRIEVE "<image:reconnect enabled='no'/>");
    for (i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        guint before = calls(fixture, callbacks[i]);

        fixture->memory->fail(DIR, callbacks[i], VIMG_ERROR_DISCONNECTED, "unplugged", -1);
        if (i == 0)
            start_pool(fixture, "images");
        else
            refresh(fixture);
        wait_idle(fixture);
        g_assert_cmpuint(calls(fixture, callbacks[i]), ==, before + 1);
        g_assert_cmpint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
        fixture->memory->fail(DIR, callbacks[i], VIMG_ERROR_DISCONNECTED, "unplugged", 0);
    }
    refresh(fixture);
    assert_state(fixture, "a.img", "active");
    assert_state(fixture, "b.img", "active");
}

/* It is tried again when there is more room than when it failed, and not before. */
static void
test_no_space(Fixture *fixture, gconstpointer data)
{
    put(fixture, "a.img", 'a', SIZE);
    define(fixture, RETRIEVE);
    fixture->memory->set_room(DIR, SIZE / 4);
    start_pool(fixture, "images");
    wait_idle(fixture);
    assert_names(fixture, "");
    g_assert_cmpuint(calls(fixture, "writer_open"), ==, 1);
    refresh(fixture);
    g_assert_cmpuint(calls(fixture, "writer_open"), ==, 1);
    fixture->memory->set_room(DIR, SIZE / 2);
    refresh(fixture);
    g_assert_cmpuint(calls(fixture, "writer_open"), ==, 2);
    g_assert_cmpuint(calls(fixture, "writer_write"), ==, 0);
    fixture->memory->set_room(DIR, SIZE);
    refresh(fixture);
    assert_state(fixture, "a.img", "active");
}

static void
test_busy(Fixture *fixture, gconstpointer data)
{
    put(fixture, "a.img", 'a', SIZE);
    fixture->memory->fail(DIR, "writer_open", VIMG_ERROR_BUSY, "another host writes it", 1);
    start(fixture);
    wait_idle(fixture);
    assert_state(fixture, "a.img", "saving");
    refresh(fixture);
    assert_state(fixture, "a.img", "active");
}

/* A client puts an image of its own in the place of one that is to be taken up. */
static void
test_replaced(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    g_autofree char *extents = NULL;

    make_half(fixture);
    id = pool_id(fixture, "images");
    fixture->memory->block(DIR, "file_open");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    fixture->memory->wait_blocked(DIR, "file_open");
    g_assert_true(delete_vol(fixture, "images", "a.img", NULL));
    create_vol(fixture, "images", "a.img", "raw", SIZE);
    go_on(fixture, "file_open");
    assert_state(fixture, "a.img", "saving");
    extents = fixture->memory->extents(DIR, "a.img");
    g_assert_cmpstr(extents, ==, "");
    refresh(fixture);
    assert_state(fixture, "a.img", "saving");
    g_assert_cmpuint(calls(fixture, "file_open"), ==, 3); /* none for a name that is taken */
}

static void
test_another_file(Fixture *fixture, gconstpointer data)
{
    g_autofree char *extents = NULL;

    make_half(fixture);
    put(fixture, "a.img", 'z', 2 * SIZE);
    refresh(fixture);
    assert_state(fixture, "a.img", "active");
    extents = download_all(fixture, "images", "a.img", 0, 0);
    g_assert_cmpstr(extents, ==, "d4096 d4096");
}

/* What nobody can see yet has images all the same. */
static void
test_hidden_pool(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgPool) pool = NULL;
    VimgPoolId id;

    make_half(fixture);
    id = pool_id(fixture, "images");
    pool = vimg_registry_get(fixture->model, &id, NULL);
    fixture->memory->block(DIR, "file_open");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    fixture->memory->wait_blocked(DIR, "file_open");
    vimg_mutex_lock(&fixture->model->lock);
    pool->hidden = TRUE;
    vimg_mutex_unlock(&fixture->model->lock);
    go_on(fixture, "file_open");
    vimg_registry_show(pool);
    assert_state(fixture, "a.img", "active");
}

/* A storage that hangs keeps the pool, but not whoever wants to stop it; then it goes on. */
static void
test_hung_stop(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "create");
    g_assert_false(destroy_pool(fixture, "images", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: pool 'images' has jobs running: adopt");
    go_on(fixture, "create");
    assert_state(fixture, "a.img", "active");
    g_assert_true(destroy_pool(fixture, "images", &error));
}

/* Who is to end first, is named; the adoption ends by itself and so is not. */
static void
test_others_keep_the_pool(Fixture *fixture, gconstpointer data)
{
    VimgVolId id = vol_id("images", "x");
    g_autoptr(VimgTransfer) transfer = NULL;
    g_autoptr(GError) error = NULL;

    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "file_open");
    create_vol(fixture, "images", "x", "raw", SIZE);
    transfer = vimg_model_upload(fixture->model, &id, 0, 0, FALSE, &error);
    g_assert_no_error(error);
    g_assert_false(destroy_pool(fixture, "images", &error));
    assert_error_text(
        &error, VIMG_ERROR_OPERATION_INVALID,
        "Requested operation is not valid: pool 'images' has jobs running: upload of 'x'");
    g_clear_pointer(&transfer, vimg_transfer_free);
    go_on(fixture, "file_open");
    assert_state(fixture, "a.img", "active");
}

static void
test_stopped(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "writer_write");
    g_assert_true(destroy_pool(fixture, "images", &error));
    fixture->memory->release(DIR, "writer_write");
    start_pool(fixture, "images");
    wait_idle(fixture);
    assert_state(fixture, "a.img", "active");
    g_assert_cmpuint(calls(fixture, "create"), ==, 1);
}

static void
hear_step(const VimgJobEvent *event, gpointer data)
{
    if (event->step != VIMG_JOB_MOVED)
        g_string_append(data, event->step == VIMG_JOB_BEGUN ? "(" : ")");
}

/* Between a round and the one asked for meanwhile, nobody sees a moment without a job. */
static void
test_no_gap(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) steps = g_string_new(NULL);
    VimgPoolId id;

    vimg_model_set_job_sink(fixture->model, hear_step, steps);
    g_assert_true(vimg_model_watch_jobs(fixture->model, TRUE, NULL));
    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "file_open");
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    go_on(fixture, "file_open");
    assert_state(fixture, "a.img", "active");
    fixture_stop(fixture); /* all is told */
    g_assert_cmpstr(steps->str, ==, "(())");
}

/* When the definition is in force, nothing is made by the former one. */
static void
test_disabled(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) jobs = NULL;

    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "writer_finish");
    define(fixture, RETRIEVE "<image:state>disabled</image:state>");
    jobs = vimg_model_job_list(fixture->model);
    g_assert_cmpuint(jobs->len, ==, 0);
    assert_state(fixture, "a.img", "saving");
    fixture->memory->release(DIR, "writer_finish");
    define(fixture, RETRIEVE);
    wait_idle(fixture);
    assert_state(fixture, "a.img", "active");
}

/* Nothing is stored of what its ends say is no image. */
static void
test_refused_early(Fixture *fixture, gconstpointer data)
{
    put(fixture, "odd.img", 'a', 1000);
    put(fixture, "notes.txt", 'a', 1024);
    put(fixture, "no-disc.iso", 'a', 1024 * 1024);
    put(fixture, "short.iso", 'a', 100);
    put(fixture, "disk.vhd", 'a', 1024 * 1024);
    start(fixture);
    wait_idle(fixture);
    assert_names(fixture, "");
    g_assert_cmpuint(calls(fixture, "create"), ==, 0);
    g_assert_cmpuint(calls(fixture, "file_next"), <, 3 * 1024 * 1024 / SIZE / 2);
    fixture->memory->put_file(DIR, "disc.iso", iso_image(), ISO_SIZE);
    refresh(fixture);
    assert_names(fixture, "disc.iso");
    assert_state(fixture, "disc.iso", "active");
}

/* Another host makes the image first. */
static void
test_other_host(Fixture *fixture, gconstpointer data)
{
    put(fixture, "a.img", 'a', SIZE);
    start_until(fixture, "file_open");
    fixture->memory->adopt_file(DIR, "a.img");
    go_on(fixture, "file_open");
    assert_names(fixture, "a.img");
    assert_state(fixture, "a.img", "active");
}

/* Those that are no images do not keep the others from their turn. */
static void
test_many(Fixture *fixture, gconstpointer data)
{
    guint i;

    for (i = 0; i < VIMG_POOL_MAX_VOLUMES; i++) {
        g_autofree char *name = g_strdup_printf("note-%u", i);

        put(fixture, name, 'a', 1);
    }
    put(fixture, "z.img", 'z', SIZE);
    start(fixture);
    wait_idle(fixture);
    assert_names(fixture, "");
    refresh(fixture);
    assert_names(fixture, "z.img");
    g_assert_cmpuint(calls(fixture, "create"), ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vimg_log_set_level(VIMG_LOG_ERROR); /* thousands of files are refused */
    FIXTURE_ADD("/model/adopt/once", NULL, test_once);
    FIXTURE_ADD("/model/adopt/cancel", NULL, test_cancel);
    FIXTURE_ADD("/model/adopt/cancel-listing", NULL, test_cancel_listing);
    FIXTURE_ADD("/model/adopt/lost", NULL, test_lost);
    FIXTURE_ADD("/model/adopt/no-space", NULL, test_no_space);
    FIXTURE_ADD("/model/adopt/busy", NULL, test_busy);
    FIXTURE_ADD("/model/adopt/replaced", NULL, test_replaced);
    FIXTURE_ADD("/model/adopt/another-file", NULL, test_another_file);
    FIXTURE_ADD("/model/adopt/hidden-pool", NULL, test_hidden_pool);
    FIXTURE_ADD("/model/adopt/hung-stop", NULL, test_hung_stop);
    FIXTURE_ADD("/model/adopt/others-keep-the-pool", NULL, test_others_keep_the_pool);
    FIXTURE_ADD("/model/adopt/stopped", NULL, test_stopped);
    FIXTURE_ADD("/model/adopt/no-gap", NULL, test_no_gap);
    FIXTURE_ADD("/model/adopt/disabled", NULL, test_disabled);
    FIXTURE_ADD("/model/adopt/refused-early", NULL, test_refused_early);
    FIXTURE_ADD("/model/adopt/other-host", NULL, test_other_host);
    FIXTURE_ADD("/model/adopt/many", NULL, test_many);
    return g_test_run();
}
