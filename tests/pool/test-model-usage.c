/*
 * test-model-usage.c: what images take, in what they differ, and the way to a storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>

#include "test-model-fixture.h"
#include "util/error.h"

#define MEASURED                                                                                   \
    "<image:unique unit='bytes' asOf='2026-01-02T03:04:05Z'>4096</image:unique>\n"                 \
    "    <image:shared unit='bytes' asOf='2026-01-02T03:04:05Z'>7</image:shared>\n"

/* "images" with two complete images, "a" and "b". */
static void
set_up(Fixture *fixture)
{
    define_and_start(fixture, "images");
    create_vol(fixture, "images", "a", "raw", 4096);
    upload_all(fixture, "images", "a", 4096, 'a');
    create_vol(fixture, "images", "b", "raw", 8192);
    upload_all(fixture, "images", "b", 8192, 'b');
}

static char *
usage(Fixture *fixture, const char *pool, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_pool_usage(fixture->model, &id, error);
}

static char *
diff(Fixture *fixture, const char *pool, const char *from, const char *to, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_vol_diff(fixture->model, &id, from, to, error);
}

static char *
doctor(Fixture *fixture, const char *pool)
{
    VimgPoolId id = pool_id(fixture, pool);
    g_autoptr(GError) error = NULL;
    char *report = vimg_model_pool_doctor(fixture->model, &id, &error);

    g_assert_no_error(error);
    return report;
}

static void
assert_xml(Fixture *fixture, const char *name, const char *text, gboolean has)
{
    VimgVolId id = vol_id("images", name);
    g_autofree char *xml = vimg_model_vol_xml(fixture->model, &id, 0, NULL);

    g_assert_cmpint(strstr(xml, text) != NULL, ==, has);
}

static void
lose(Fixture *fixture)
{
    g_autoptr(GError) error = g_error_new(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "cable cut");

    fixture->memory->fail("/mem/images", "probe", VIMG_ERROR_DISCONNECTED, "cable cut", -1);
    fixture->memory->report("/mem/images", error);
    fixture_wait_state(fixture, "images", VIR_STORAGE_POOL_INACCESSIBLE);
}

/* ---- usage ------------------------------------------------------------------------------ */

/* Volumes show what was counted last, after a refresh too, and forget it with the pool. */
static void
test_usage(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    g_autofree char *report = NULL;
    g_autoptr(GError) error = NULL;

    set_up(fixture);
    g_assert_true(delete_vol(fixture, "images", "b", NULL));
    assert_xml(fixture, "a", "image:unique", FALSE);
    report = usage(fixture, "images", &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(report, "\"unique\": 8192"));
    assert_xml(fixture, "a", MEASURED, TRUE);
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    assert_xml(fixture, "a", MEASURED, TRUE);
    create_vol(fixture, "images", "c", "raw", 4096);
    assert_xml(fixture, "c", "image:unique", FALSE);
    g_assert_true(destroy_pool(fixture, "images", NULL));
    start_pool(fixture, "images");
    assert_xml(fixture, "a", "image:unique", FALSE);
}

typedef struct {
    Fixture *fixture;
    char *report;
    GError *error;
} Call;

static void
count_slowly(gpointer data)
{
    Call *call = data;

    call->report = usage(call->fixture, "images", &call->error);
}

/* A cleanup goes on beside it, the pool cannot be stopped, and it can be cancelled. */
static void
test_meanwhile(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    Call call = {.fixture = fixture};
    g_autofree char *cleaned = NULL;
    g_autoptr(GPtrArray) jobs = NULL;
    g_autoptr(GError) error = NULL;
    VimgThread thread;

    set_up(fixture);
    id = pool_id(fixture, "images");
    fixture->memory->block("/mem/images", "usage");
    g_assert_true(vimg_thread_start(&thread, "count", count_slowly, &call, NULL));
    fixture->memory->wait_blocked("/mem/images", "usage");
    cleaned = vimg_model_pool_cleanup(fixture->model, &id, FALSE, &error);
    g_assert_no_error(error);
    g_assert_false(destroy_pool(fixture, "images", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: pool 'images' has jobs running: usage");
    jobs = vimg_model_job_list(fixture->model);
    g_assert_cmpuint(jobs->len, ==, 1);
    g_assert_true(vimg_model_job_cancel(fixture->model, ((VimgJobInfo *)jobs->pdata[0])->id, NULL));
    vimg_thread_join(thread);
    g_assert_null(call.report);
    g_assert_error(call.error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&call.error);
    assert_xml(fixture, "a", "image:unique", FALSE);
}

/* It says how well the storage saves space, and nothing of what is damaged. */
static void
test_totals(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    g_autofree char *report = NULL;
    g_autofree char *counted = NULL;
    g_autofree char *verified = NULL;

    set_up(fixture);
    id = pool_id(fixture, "images");
    g_free(usage(fixture, "images", NULL));
    counted = vimg_model_status(fixture->model, "images", NULL);
    g_assert_nonnull(strstr(counted, "\"stored\":6144,\"dedup_ratio\":2.0,"
                                     "\"compression_ratio\":3.0,\"damaged_slices\":null"));
    report = vimg_model_pool_verify(fixture->model, &id, NULL, NULL);
    verified = vimg_model_status(fixture->model, "images", NULL);
    g_assert_nonnull(strstr(verified, "\"damaged_slices\":0"));
}

/* ---- differences ------------------------------------------------------------------------ */

static void
test_diff(Fixture *fixture, gconstpointer data)
{
    g_autofree char *report = NULL;
    g_autofree char *same = NULL;
    g_autoptr(GError) error = NULL;

    set_up(fixture);
    create_vol(fixture, "images", "saving", "raw", 4096);
    report = diff(fixture, "images", "a", "b", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(report, ==, "{\"from\": \"a\", \"to\": \"b\"}");
    same = diff(fixture, "images", "a", "a", &error);
    g_assert_no_error(error);
    g_assert_null(diff(fixture, "images", "a", "none", &error));
    assert_error_text(&error, VIMG_ERROR_NO_VOL,
                      "Storage volume not found: no storage vol with matching name 'none'");
    g_assert_null(diff(fixture, "images", "saving", "a", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: volume 'saving' is still being saved: it "
                      "can be read once its upload is complete");
    g_assert_null(diff(fixture, "images", "a", "saving", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    fixture->memory->fail("/mem/images", "diff", VIMG_ERROR_DAMAGED, "no index", 1);
    g_assert_null(diff(fixture, "images", "a", "b", &error));
    assert_error_text(&error, VIMG_ERROR_DAMAGED, "operation failed: volume 'b': no index");
    g_assert_true(delete_vol(fixture, "images", "a", &error)); /* nothing holds it any more */
    g_assert_no_error(error);
}

static void
compare(gpointer data)
{
    Call *call = data;

    call->report = diff(call->fixture, "images", "a", "b", &call->error);
}

/* It is one job, of the second image, and who cancels that ends it. */
static void
test_diff_cancelled(Fixture *fixture, gconstpointer data)
{
    Call call = {.fixture = fixture};
    g_autoptr(GPtrArray) jobs = NULL;
    const VimgJobInfo *job;
    VimgThread thread;

    set_up(fixture);
    fixture->memory->block("/mem/images", "diff");
    g_assert_true(vimg_thread_start(&thread, "diff", compare, &call, NULL));
    fixture->memory->wait_blocked("/mem/images", "diff");
    jobs = vimg_model_job_list(fixture->model);
    g_assert_cmpuint(jobs->len, ==, 1);
    job = jobs->pdata[0];
    g_assert_cmpstr(job->kind, ==, "diff");
    g_assert_cmpstr(job->volume, ==, "b");
    g_assert_true(vimg_model_job_cancel(fixture->model, job->id, NULL));
    vimg_thread_join(thread);
    g_assert_null(call.report);
    g_assert_error(call.error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&call.error);
}

/* ---- the way to a storage --------------------------------------------------------------- */

static void
assert_step(Fixture *fixture, const char *step, const char *verdict, const char *detail)
{
    g_autofree char *report = doctor(fixture, "images");
    g_autofree char *expected = g_strdup_printf(
        "{\"step\":\"%s\",\"verdict\":\"%s\",\"detail\":\"%s", step, verdict, detail);

    g_test_message("%s", report);
    g_assert_nonnull(strstr(report, expected));
}

static void
test_doctor(Fixture *fixture, gconstpointer data)
{
    g_autofree char *report = NULL;

    define_pool(fixture, "images");
    report = doctor(fixture, "images");
    g_assert_true(g_str_has_prefix(report, "{\"pool\":\"images\","));
    g_assert_nonnull(strstr(report, "\"verdict\":\"ok\"}"));
    assert_step(fixture, "backend", "ok", "storages in memory");
    assert_step(fixture, "definition", "ok", "");
    assert_step(fixture, "zone", "ok", "");
    assert_step(fixture, "connection", "ok", "the pool is not active");
    assert_step(fixture, "memory", "ok", "new");
    start_pool(fixture, "images");
    assert_step(fixture, "connection", "ok", "the pool is connected");
    lose(fixture);
    fixture->memory->fail("/mem/images", "diagnose", VIMG_ERROR_SYSTEM, "no cable", -1);
    assert_step(fixture, "connection", "failed", "cable cut");
    assert_step(fixture, "memory", "failed", "no cable\",\"remedy\":\"mend it");
    g_clear_pointer(&report, g_free);
    report = doctor(fixture, "images");
    g_assert_nonnull(strstr(report, "\"verdict\":\"failed\"}"));
}

static void
test_doctor_zone(Fixture *fixture, gconstpointer data)
{
    static const char *const zones[] = {"here", NULL};
    g_autofree char *xml = pool_xml("images", UUID(1), "<image:zone name='there'/>");

    fixture_stop(fixture);
    fixture->zones = zones;
    fixture_start(fixture);
    g_assert_true(fixture_define(fixture, xml, NULL));
    assert_step(fixture, "zone", "failed",
                "storage pool 'images' is attached to 'there', which is no zone of this host");
    assert_step(fixture, "memory", "ok", "");
}

/* A record of its storage that cannot be read is a step of its own. */
static void
test_doctor_record(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", UUID(1), NULL);
    g_autofree char *path = fixture_path(fixture, "state/stores/" UUID(1));

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_cmpint(g_remove(path), ==, 0);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    assert_step(fixture, "record", "failed", "");
    g_rmdir(path);
}

static void
consult(gpointer data)
{
    Call *call = data;

    call->report = doctor(call->fixture, "images");
}

/* It stands in nobody's way, however long its storage hangs. */
static void
test_doctor_beside(Fixture *fixture, gconstpointer data)
{
    Call call = {.fixture = fixture};
    const char *uuid = UUID(1);
    g_autofree char *xml = pool_xml("images", UUID(1), "<image:zone name='far'/>");
    g_autoptr(GError) error = NULL;
    VimgThread thread;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    fixture->memory->block("/mem/images", "diagnose");
    g_assert_true(vimg_thread_start(&thread, "doctor", consult, &call, NULL));
    fixture->memory->wait_blocked("/mem/images", "diagnose");
    g_assert_true(destroy_pool(fixture, "images", &error));
    start_pool(fixture, "images");
    g_assert_true(vimg_model_zone_delete(fixture->model, "far", &uuid, 1, &error));
    g_assert_no_error(error);
    fixture->memory->release("/mem/images", "diagnose");
    vimg_thread_join(thread);
    g_assert_true(g_str_has_prefix(call.report, "{\"pool\":\"images\","));
    g_free(call.report);
}

#define RENAMES 2000

typedef struct {
    Fixture *fixture;
    VimgPoolId id;
    gint ending; /* atomic */
} Renames;

static void
consult_always(gpointer data)
{
    Renames *renames = data;

    while (!__atomic_load_n(&renames->ending, __ATOMIC_ACQUIRE)) {
        g_autofree char *report =
            vimg_model_pool_doctor(renames->fixture->model, &renames->id, NULL);

        g_assert_nonnull(report);
    }
}

/* Its job is never listed by a name that the pool had before. */
static void
test_doctor_renamed(Fixture *fixture, gconstpointer data)
{
    static const char *const names[] = {"images", "golden"};
    Renames renames = {.fixture = fixture};
    VimgThread thread;

    define_pool(fixture, "images");
    renames.id = pool_id(fixture, "images");
    g_assert_true(vimg_thread_start(&thread, "doctor", consult_always, &renames, NULL));
    for (guint i = 1; i <= RENAMES; i++) {
        g_autoptr(GPtrArray) jobs = NULL;

        g_assert_true(vimg_model_pool_rename(fixture->model, &renames.id, names[i % 2], NULL));
        jobs = vimg_model_job_list(fixture->model);
        for (guint k = 0; k < jobs->len; k++)
            g_assert_cmpstr(((VimgJobInfo *)jobs->pdata[k])->pool, ==, names[i % 2]);
    }
    __atomic_store_n(&renames.ending, TRUE, __ATOMIC_RELEASE);
    vimg_thread_join(thread);
}

/* ---- backends that cannot --------------------------------------------------------------- */

static void
test_without(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml_full("memcopy", "plain", NULL, "/mem/plain", NULL);
    g_autofree char *report = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "plain");
    create_vol(fixture, "plain", "a", "raw", 4096);
    upload_all(fixture, "plain", "a", 4096, 'a');
    g_assert_null(usage(fixture, "plain", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
    g_clear_error(&error);
    g_assert_null(diff(fixture, "plain", "a", "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
    report = doctor(fixture, "plain");
    g_assert_nonnull(strstr(report, "{\"step\":\"storage\",\"verdict\":\"skipped\""));
    g_assert_nonnull(strstr(report, "\"verdict\":\"ok\"}"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/usage/shown", NULL, test_usage);
    FIXTURE_ADD("/usage/totals", NULL, test_totals);
    FIXTURE_ADD("/usage/meanwhile", NULL, test_meanwhile);
    FIXTURE_ADD("/diff", NULL, test_diff);
    FIXTURE_ADD("/diff/cancelled", NULL, test_diff_cancelled);
    FIXTURE_ADD("/doctor/steps", NULL, test_doctor);
    FIXTURE_ADD("/doctor/zone", NULL, test_doctor_zone);
    FIXTURE_ADD("/doctor/record", NULL, test_doctor_record);
    FIXTURE_ADD("/doctor/beside", NULL, test_doctor_beside);
    FIXTURE_ADD("/doctor/renamed", NULL, test_doctor_renamed);
    FIXTURE_ADD("/usage/without", NULL, test_without);
    return g_test_run();
}
