/*
 * test-model-status.c: what pools and images say of themselves, from memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "test-model-fixture.h"
#include "util/error.h"

/* ---- reading documents ------------------------------------------------------------------ */

static JsonNode *
parse(char *text)
{
    g_autofree char *owned = text;
    g_autoptr(GError) error = NULL;
    JsonNode *node = json_from_string(owned, &error);

    g_assert_no_error(error);
    return node;
}

/* Returns: (transfer full) the answer for the pool @name. */
static JsonNode *
status(Fixture *fixture, const char *name)
{
    g_autoptr(GError) error = NULL;
    char *text = vimg_model_status(fixture->model, name, &error);

    g_assert_no_error(error);
    return parse(text);
}

/* Of its only pool, as JSON. */
static void
assert_member(JsonNode *root, const char *name, const char *expected)
{
    JsonArray *pools = json_object_get_array_member(json_node_get_object(root), "pools");
    JsonNode *member;
    g_autofree char *text = NULL;

    g_assert_cmpuint(json_array_get_length(pools), ==, 1);
    member = json_object_get_member(json_array_get_object_element(pools, 0), name);
    g_assert_nonnull(member);
    text = json_to_string(member, FALSE);
    if (strcmp(text, expected) != 0)
        g_test_message("%s", name);
    g_assert_cmpstr(text, ==, expected);
}

/* @...: names and values, NULL */
static void G_GNUC_NULL_TERMINATED
assert_status(Fixture *fixture, const char *pool, ...)
{
    g_autoptr(JsonNode) root = status(fixture, pool);
    const char *name;
    va_list members;

    va_start(members, pool);
    while ((name = va_arg(members, const char *)))
        assert_member(root, name, va_arg(members, const char *));
    va_end(members);
}

static void
define(Fixture *fixture, const char *options)
{
    g_autofree char *xml = pool_xml("images", UUID(1), options);
    g_autoptr(GError) error = NULL;

    fixture_define(fixture, xml, &error);
    g_assert_no_error(error);
}

/* ---- pools ------------------------------------------------------------------------------ */

static void
test_inactive(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    define(fixture, NULL);
    assert_status(fixture, "images", "name", "\"images\"", "uuid", "\"" UUID(1) "\"", "type",
                  "\"memory\"", "active", "false", "persistent", "true", "autostart", "false",
                  "read_only", "false", "state", "\"enabled\"", "status", "\"inactive\"", "error",
                  "null", "error_time", "null", "retry_in", "null", "reconnects", "0", "capacity",
                  "null", "images", "null", "stored", "null", "dedup_ratio", "null",
                  "compression_ratio", "null", "as_of", "null", "jobs", "[]", NULL);
    g_assert_null(vimg_model_status(fixture->model, "nothing", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_POOL);
}

static void
test_all(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JsonNode) root = NULL;
    JsonArray *pools;

    define_pool(fixture, "b");
    define_pool(fixture, "c\"\\\xe9\x95\x9c");
    define_pool(fixture, "a");
    root = status(fixture, NULL);
    pools = json_object_get_array_member(json_node_get_object(root), "pools");
    g_assert_cmpuint(json_array_get_length(pools), ==, 3);
    g_assert_cmpstr(json_object_get_string_member(json_array_get_object_element(pools, 0), "name"),
                    ==, "a");
    g_assert_cmpstr(json_object_get_string_member(json_array_get_object_element(pools, 2), "name"),
                    ==, "c\"\\\xe9\x95\x9c");
}

static void
test_images(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    g_autofree char *report = NULL;

    define(fixture, "<image:state>disabled</image:state>");
    assert_status(fixture, "images", "state", "\"disabled\"", NULL);
    define(fixture, NULL);
    start_pool(fixture, "images");
    create_vol(fixture, "images", "damaged", "raw", 4096);
    upload_all(fixture, "images", "damaged", 4096, 'a');
    create_vol(fixture, "images", "b", "raw", 8192);
    upload_all(fixture, "images", "b", 8192, 'b');
    create_vol(fixture, "images", "c", "raw", 100);
    assert_status(fixture, "images", "status", "\"connected\"", "images", "3", "saving", "1",
                  "damaged", "0", "logical", "12288", "stored", "null", NULL);
    id = pool_id(fixture, "images");
    report = vimg_model_pool_verify(fixture->model, &id, "b", NULL); /* one says nothing of all */
    assert_status(fixture, "images", "stored", "null", NULL);
    g_free(report);
    report = vimg_model_pool_verify(fixture->model, &id, NULL, NULL);
    assert_status(fixture, "images", "stored", "6144", "dedup_ratio", "2.0", "compression_ratio",
                  "3.0", "damaged_slices", "1", NULL);
    /* of then, whatever comes */
    create_vol(fixture, "images", "d", "raw", 8192);
    upload_all(fixture, "images", "d", 8192, 'd');
    assert_status(fixture, "images", "logical", "20480", "dedup_ratio", "2.0", NULL);
}

/* What happened stays known when all is well again. */
static void
test_lost(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) gone =
        g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "link is \"down\"\xff");
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    define(fixture, "<image:reconnect enabled='yes' interval='1000'/>");
    start_pool(fixture, "images");
    fixture->memory->fail("/mem/images", "open", VIMG_ERROR_DISCONNECTED, "no route", -1);
    fixture->memory->report("/mem/images", gone);
    assert_status(fixture, "images", "status", "\"disconnected\"", "error",
                  "\"link is \\\"down\\\"\xef\xbf\xbd\"", "active", "true", NULL);
    fixture->memory->fail("/mem/images", "open", 0, "", 0);
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    assert_status(fixture, "images", "status", "\"connected\"", "error",
                  "\"link is \\\"down\\\"\xef\xbf\xbd\"", "retry_in", "null", "reconnects", "1",
                  NULL);
    /* a pool that could not be started says so too */
    g_assert_true(destroy_pool(fixture, "images", NULL));
    fixture->memory->fail("/mem/images", "open", VIMG_ERROR_DISCONNECTED, "no route", 1);
    g_assert_false(vimg_model_pool_create(fixture->model, &id, 0, &error));
    assert_status(fixture, "images", "status", "\"inactive\"", "error", "\"no route\"", NULL);
}

static void
test_jobs(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "a");
    VimgTransfer *transfer;
    g_autoptr(JsonNode) root = NULL;
    JsonArray *pools;
    JsonObject *job;

    define(fixture, NULL);
    start_pool(fixture, "images");
    create_vol(fixture, "images", "a", "raw", 4096);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    g_assert_true(push(transfer, 1000, 'a', NULL));
    root = status(fixture, NULL);
    pools = json_object_get_array_member(json_node_get_object(root), "pools");
    job = json_array_get_object_element(
        json_object_get_array_member(json_array_get_object_element(pools, 0), "jobs"), 0);
    g_assert_cmpstr(json_object_get_string_member(job, "kind"), ==, "upload");
    g_assert_cmpstr(json_object_get_string_member(job, "volume"), ==, "a");
    g_assert_cmpint(json_object_get_int_member(job, "done"), ==, 1000);
    g_assert_cmpint(json_object_get_int_member(job, "total"), ==, 4096);
    vimg_transfer_free(transfer);
    assert_status(fixture, "images", "jobs", "[]", NULL);
}

/* ---- images ----------------------------------------------------------------------------- */

/* The names of a page, joined by spaces. */
static char *
page(Fixture *fixture, const char *after, guint max)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) volumes = vimg_model_volume_page(fixture->model, &id, after, max, &error);
    GString *names = g_string_new(NULL);
    guint i;

    g_assert_no_error(error);
    for (i = 0; i < volumes->len; i++)
        g_string_append_printf(names, "%s%s", i > 0 ? " " : "",
                               ((VimgVolumeInfo *)g_ptr_array_index(volumes, i))->name);
    return g_string_free(names, FALSE);
}

static const struct {
    const char *after;
    guint max;
    const char *names;
} pages[] = {
    {NULL, 1024, "B a aa b"}, {NULL, 2, "B a"}, {"a", 2, "aa b"}, {"a", 1, "aa"},
    {"Z", 2, "a aa"},         {"b", 2, ""},     {"aaaa", 9, "b"}, {"", 1, "B"},
};

static void
test_page(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    g_autoptr(GError) error = NULL;
    gsize i;

    define(fixture, NULL);
    id = pool_id(fixture, "images");
    g_assert_null(vimg_model_volume_page(fixture->model, &id, NULL, 1, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: storage pool 'images' is not active");
    start_pool(fixture, "images");
    create_vol(fixture, "images", "b", "raw", 1);
    create_vol(fixture, "images", "aa", "raw", 1);
    create_vol(fixture, "images", "B", "raw", 1);
    create_vol(fixture, "images", "a", "raw", 1);
    for (i = 0; i < G_N_ELEMENTS(pages); i++) {
        g_autofree char *names = page(fixture, pages[i].after, pages[i].max);

        g_assert_cmpstr(names, ==, pages[i].names);
    }
}

static void
test_show(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "a");
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = NULL;
    VimgTransfer *transfer;
    JsonObject *image;
    VimgPoolId id;

    define(fixture, NULL);
    start_pool(fixture, "images");
    id = pool_id(fixture, "images");
    create_vol(fixture, "images", "a", "raw", 4096);
    create_vol(fixture, "images", "other", "raw", 4096);
    upload_all(fixture, "images", "a", 4096, 'a');
    transfer = vimg_model_download(fixture->model, &vol, 0, 0, NULL);
    root = parse(vimg_model_volume_show(fixture->model, &id, "a", NULL));
    image = json_node_get_object(root);
    g_assert_cmpstr(json_object_get_string_member(image, "name"), ==, "a");
    g_assert_cmpstr(json_object_get_string_member(image, "state"), ==, "active");
    g_assert_cmpstr(json_object_get_string_member(image, "path"), ==, "memory://images/a");
    g_assert_cmpint(json_object_get_int_member(image, "physical"), ==, 4096);
    g_assert_cmpint(json_object_get_int_member(image, "readers"), ==, 1);
    g_assert_true(json_object_get_null_member(image, "position"));
    g_assert_true(json_object_get_null_member(image, "changing"));
    g_assert_true(json_object_get_null_member(image, "os"));
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(image, "jobs")), ==, 1);
    vimg_transfer_free(transfer);
    g_assert_null(vimg_model_volume_show(fixture->model, &id, "nothing", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* ---- under another name ----------------------------------------------------------------- */

#define RENAMES 1000

typedef struct {
    Fixture *fixture;
    VimgPoolId id;
    gint ending; /* atomic */
} Renames;

static void
rename_always(gpointer data)
{
    static const char *const names[] = {"images", "golden"};
    Renames *renames = data;

    for (guint i = 1; i <= RENAMES; i++)
        g_assert_true(
            vimg_model_pool_rename(renames->fixture->model, &renames->id, names[i % 2], NULL));
    __atomic_store_n(&renames->ending, TRUE, __ATOMIC_RELEASE);
}

static void
assert_one_name(Fixture *fixture)
{
    g_autofree char *metrics = vimg_model_metrics(fixture->model);
    g_autoptr(JsonNode) root = status(fixture, NULL);
    JsonObject *pool = json_array_get_object_element(
        json_object_get_array_member(json_node_get_object(root), "pools"), 0);
    JsonArray *jobs = json_object_get_array_member(pool, "jobs");

    g_assert_true(!strstr(metrics, "\"images\"") || !strstr(metrics, "\"golden\""));
    g_assert_cmpuint(json_array_get_length(jobs), ==, 1);
    g_assert_cmpstr(json_object_get_string_member(json_array_get_object_element(jobs, 0), "pool"),
                    ==, json_object_get_string_member(pool, "name"));
}

/* A pool that is renamed meanwhile has one name in each answer, and is never not there. */
static void
test_renamed(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "a");
    Renames renames = {.fixture = fixture};
    VimgTransfer *transfer;
    VimgThread thread;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "a", "raw", 4096);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    renames.id = pool_id(fixture, "images");
    g_assert_true(vimg_thread_start(&thread, "rename", rename_always, &renames, NULL));
    while (!__atomic_load_n(&renames.ending, __ATOMIC_ACQUIRE)) {
        g_autofree char *image = vimg_model_volume_show(fixture->model, &renames.id, "a", NULL);

        g_assert_nonnull(image);
        assert_one_name(fixture);
    }
    vimg_thread_join(thread);
    vimg_transfer_free(transfer);
}

/* ---- how jobs end ----------------------------------------------------------------------- */

typedef struct {
    VimgMutex lock;
    VimgCond changed;
    GString *ended; /* "[upload: why]", of each; under lock */
} Ends;

static void
hear_end(const VimgJobEvent *event, gpointer data)
{
    Ends *ends = data;

    if (event->step != VIMG_JOB_ENDED)
        return;
    VIMG_LOCK_GUARD(&ends->lock);
    g_string_append_printf(ends->ended, "[%s%s: %s]", event->job->cancelled ? "cancelled " : "",
                           event->job->kind, event->error ? event->error : "");
    vimg_cond_broadcast(&ends->changed);
}

/* All that ended since the last time, once it was told. */
static void
assert_ended(Ends *ends, const char *expected)
{
    VIMG_LOCK_GUARD(&ends->lock);
    while (ends->ended->len < strlen(expected))
        vimg_cond_wait(&ends->changed, &ends->lock);
    g_assert_cmpstr(ends->ended->str, ==, expected);
    g_string_truncate(ends->ended, 0);
}

static void
check_uploads(Fixture *fixture, Ends *ends)
{
    VimgVolId vol = vol_id("images", "a");
    g_autoptr(GError) error = NULL;
    VimgTransfer *transfer;

    g_assert_null(vimg_model_upload(fixture->model, &vol, 5000, 0, FALSE, &error));
    g_clear_error(&error);
    assert_ended(ends, "[upload: invalid argument: 0 bytes at offset 5000 go beyond the capacity"
                       " of 4096 bytes of volume 'a']");
    vimg_transfer_free(vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL));
    assert_ended(ends, "[cancelled upload: operation aborted: the transfer was cancelled]");
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    fixture->memory->fail("/mem/images", "writer_write", VIMG_ERROR_DAMAGED, "broken", 1);
    g_assert_false(push(transfer, 1000, 'a', &error));
    g_clear_error(&error);
    vimg_transfer_free(transfer);
    assert_ended(ends, "[upload: operation failed: volume 'a': broken]");
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    vimg_transfer_cancel(transfer);
    g_assert_false(push(transfer, 1000, 'a', &error));
    vimg_transfer_free(transfer);
    assert_ended(ends, "[cancelled upload: operation aborted: the transfer was cancelled]");
    upload_all(fixture, "images", "a", 4096, 'a');
    assert_ended(ends, "[upload: ]");
}

static void
check_others(Fixture *fixture, Ends *ends)
{
    VimgPoolId id = pool_id(fixture, "images");
    VimgVolId vol = vol_id("images", "a");
    g_autofree char *copy = vol_xml("b", "qcow2", 4096);
    g_autofree char *clone = vol_xml("b", "raw", 4096);
    g_auto(VimgVolId) out = {0};
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_model_vol_create_from(fixture->model, &id, copy, &vol, 0, &out, &error));
    g_clear_error(&error);
#define WHY                                                                                        \
    ": Operation not supported: a copy of volume 'a' must have its format 'raw', not 'qcow2']"
    assert_ended(ends, "[clone" WHY "[copy" WHY);
    g_assert_true(vimg_model_vol_create_from(fixture->model, &id, clone, &vol, 0, &out, &error));
    assert_ended(ends, "[clone: ][copy: ]");
    fixture->memory->fail("/mem/images", "cleanup", VIMG_ERROR_DAMAGED, "broken", 1);
    g_assert_null(vimg_model_pool_cleanup(fixture->model, &id, FALSE, &error));
    g_clear_error(&error);
    assert_ended(ends, "[cleanup: operation failed: broken]");
    fixture->memory->fail("/mem/images", "remove_image", VIMG_ERROR_DAMAGED, "broken", 1);
    g_assert_false(delete_vol(fixture, "images", "a", &error));
    assert_ended(ends, "[delete: operation failed: volume 'a': broken]");
    g_assert_true(delete_vol(fixture, "images", "a", NULL));
    assert_ended(ends, "[delete: ]");
}

/* Whoever watches is told what whoever waited was. */
static void
test_ends(Fixture *fixture, gconstpointer data)
{
    Ends ends = {.ended = g_string_new(NULL)};
    g_autofree char *metrics = NULL;

    vimg_mutex_init(&ends.lock);
    vimg_cond_init(&ends.changed);
    vimg_model_set_job_sink(fixture->model, hear_end, &ends);
    define(fixture, NULL);
    start_pool(fixture, "images");
    g_assert_true(vimg_model_watch_jobs(fixture->model, TRUE, NULL));
    create_vol(fixture, "images", "a", "raw", 4096);
    assert_ended(&ends, "[create: ]");
    check_uploads(fixture, &ends);
    check_others(fixture, &ends);
    metrics = vimg_model_metrics(fixture->model);
    g_assert_nonnull(strstr(metrics, "{kind=\"upload\",state=\"completed\"} 1\n"));
    g_assert_nonnull(strstr(metrics, "{kind=\"upload\",state=\"failed\"} 2\n"));
    g_assert_nonnull(strstr(metrics, "{kind=\"upload\",state=\"cancelled\"} 2\n"));
    g_assert_nonnull(strstr(metrics, "{operation=\"upload\"} 4096\n"));
    g_assert_nonnull(strstr(metrics, "{operation=\"clone\"} 4096\n"));
    fixture_stop(fixture); /* nobody tells any more */
    g_string_free(ends.ended, TRUE);
    vimg_cond_clear(&ends.changed);
    vimg_mutex_clear(&ends.lock);
}

/* ---- the file --------------------------------------------------------------------------- */

static void
test_file(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = fixture_path(fixture, "m.prom");
    g_autofree char *text = NULL;

    fixture_stop(fixture);
    fixture->metrics_file = path;
    fixture_start(fixture);
    define(fixture, NULL);
    while (!g_file_get_contents(path, &text, NULL, NULL))
        g_usleep(1000);
    g_assert_true(g_str_has_prefix(text, "# TYPE virtimage_pools gauge\n"));
    g_assert_true(g_str_has_suffix(text, "\n# EOF\n"));
    fixture_stop(fixture);
    g_assert_false(fixture_exists(fixture, "m.prom"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/model/status/inactive", NULL, test_inactive);
    FIXTURE_ADD("/model/status/all", NULL, test_all);
    FIXTURE_ADD("/model/status/images", NULL, test_images);
    FIXTURE_ADD("/model/status/lost", NULL, test_lost);
    FIXTURE_ADD("/model/status/jobs", NULL, test_jobs);
    FIXTURE_ADD("/model/status/page", NULL, test_page);
    FIXTURE_ADD("/model/status/show", NULL, test_show);
    FIXTURE_ADD("/model/status/renamed", NULL, test_renamed);
    FIXTURE_ADD("/model/status/ends", NULL, test_ends);
    FIXTURE_ADD("/model/status/file", NULL, test_file);
    return g_test_run();
}
