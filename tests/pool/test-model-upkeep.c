/*
 * test-model-upkeep.c: cleaning up, verifying, and the trash
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "pool/model-private.h"
#include "util/error.h"

#define KEEP_NOTHING "<image:cleanup keepDeleted='0' keepTemporary='0'/>"

static void
define_xml(Fixture *fixture, const char *name, const char *uuid, const char *options)
{
    g_autofree char *xml = pool_xml(name, uuid, options);
    g_auto(VimgPoolId) id = {0};
    g_autoptr(GError) error = NULL;

    vimg_model_pool_define(fixture->model, xml, 0, &id, &error);
    g_assert_no_error(error);
}

/* "images" with one complete image, "a". */
static void
set_up(Fixture *fixture, const char *options)
{
    define_xml(fixture, "images", UUID(1), options);
    start_pool(fixture, "images");
    create_vol(fixture, "images", "a", "raw", 4096);
    upload_all(fixture, "images", "a", 4096, 'a');
    g_free(fixture_events(fixture));
}

static char *
cleanup(Fixture *fixture, const char *pool, gboolean dry_run, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_pool_cleanup(fixture->model, &id, dry_run, error);
}

static gboolean
build(Fixture *fixture, const char *pool, guint flags, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_pool_build(fixture->model, &id, flags, error);
}

static char *
verify(Fixture *fixture, const char *pool, const char *volume, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_pool_verify(fixture->model, &id, volume, error);
}

static GPtrArray *
trash(Fixture *fixture, const char *after, guint max)
{
    VimgPoolId id = pool_id(fixture, "images");
    g_autoptr(GError) error = NULL;
    GPtrArray *list = vimg_model_trash_list(fixture->model, &id, after, max, &error);

    g_assert_no_error(error);
    return list;
}

/* Deletes @name.  Returns: (transfer full) its uuid. */
static char *
throw_away(Fixture *fixture, const char *name)
{
    VimgVolId id = vol_id("images", name);
    g_autofree char *xml = vimg_model_vol_xml(fixture->model, &id, 0, NULL);
    char *uuid = g_strndup(strstr(xml, "<image:uuid>") + strlen("<image:uuid>"), 36);

    g_assert_true(delete_vol(fixture, "images", name, NULL));
    return uuid;
}

static gboolean
restore(Fixture *fixture, const char *uuid, const char *name, VimgVolId *out, GError **error)
{
    VimgPoolId id = pool_id(fixture, "images");

    return vimg_model_trash_restore(fixture->model, &id, uuid, name, out, error);
}

static gboolean
purge(Fixture *fixture, const char *uuid, GError **error)
{
    VimgPoolId id = pool_id(fixture, "images");

    return vimg_model_trash_purge(fixture->model, &id, uuid, error);
}

static void
assert_events(Fixture *fixture, const char *expected)
{
    g_autofree char *heard = fixture_events(fixture);

    g_assert_cmpstr(heard, ==, expected);
}

/* ---- cleanup ---------------------------------------------------------------------------- */

/* What goes is no longer listed, and the sizes are those of now. */
static void
test_cleanup(Fixture *fixture, gconstpointer data)
{
    const guint flags = GPOINTER_TO_UINT(data);
    g_autofree char *uuid = NULL;
    g_autofree char *report = NULL;
    g_autofree char *names = NULL;
    g_autofree char *none = NULL;
    g_autoptr(GError) error = NULL;
    VimgPoolInfo info = {0};
    VimgPoolId id;

    set_up(fixture, KEEP_NOTHING);
    uuid = throw_away(fixture, "a");
    create_vol(fixture, "images", "abandoned", "raw", 4096);
    report = cleanup(fixture, "images", TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(report, ==,
                    "{\"freed\": 4096, \"removed\": [{\"name\": \"a\", \"reason\": \"deleted\"}, "
                    "{\"name\": \"abandoned\", \"reason\": \"abandoned\"}], \"kept\": []}");
    assert_events(fixture, "");
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "abandoned");
    g_assert_false(fixture_exists(fixture, "state/cleanups/" UUID(1)));

    g_assert_true(build(fixture, "images", flags, &error));
    g_assert_no_error(error);
    assert_events(fixture, "images:refreshed");
    none = vol_names(fixture, "images");
    g_assert_cmpstr(none, ==, "");
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_info(fixture->model, &id, &info, NULL));
    g_assert_cmpuint(info.allocation, ==, 0);
    g_assert_true(fixture_exists(fixture, "state/cleanups/" UUID(1)));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_true(vimg_model_pool_undefine(fixture->model, &id, NULL));
    g_assert_false(fixture_exists(fixture, "state/cleanups/" UUID(1)));
}

typedef struct {
    Fixture *fixture;
    char *report;
    GError *error;
} Call;

static void
clean_slowly(gpointer data)
{
    Call *call = data;

    call->report = cleanup(call->fixture, "images", FALSE, &call->error);
}

static void
begin_slowly(Fixture *fixture, Call *call, VimgThread *thread)
{
    call->fixture = fixture;
    fixture->memory->block("/mem/images", "cleanup");
    g_assert_true(vimg_thread_start(thread, "clean", clean_slowly, call, NULL));
    fixture->memory->wait_blocked("/mem/images", "cleanup");
}

static guint64
only_job(Fixture *fixture)
{
    g_autoptr(GPtrArray) jobs = vimg_model_job_list(fixture->model);
    const VimgJobInfo *job;

    g_assert_cmpuint(jobs->len, ==, 1);
    job = jobs->pdata[0];
    g_assert_cmpstr(job->kind, ==, "cleanup");
    g_assert_cmpstr(job->pool, ==, "images");
    g_assert_null(job->volume);
    g_assert_cmpstr(job->phase, ==, "sweeping");
    g_assert_false(job->cancelled);
    return job->id;
}

/* Images come and go meanwhile; another one must wait, and so must the end of the pool. */
static void
test_one_at_a_time(Fixture *fixture, gconstpointer data)
{
    g_autofree char *extents = NULL;
    g_autoptr(GError) error = NULL;
    VimgThread thread;
    Call call = {0};
    guint64 id;

    set_up(fixture, NULL);
    begin_slowly(fixture, &call, &thread);
    g_assert_null(cleanup(fixture, "images", TRUE, &error));
    assert_error_text(&error, VIMG_ERROR_BUSY,
                      "resource busy: storage pool 'images' has a job running that must end first: "
                      "cleanup");
    g_assert_null(verify(fixture, "images", "a", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_false(destroy_pool(fixture, "images", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: pool 'images' has jobs running: cleanup");
    extents = download_all(fixture, "images", "a", 0, 0);
    g_assert_cmpstr(extents, ==, "d4096");
    create_vol(fixture, "images", "b", "raw", 4096);
    upload_all(fixture, "images", "b", 4096, 'b');

    id = only_job(fixture);
    g_assert_true(vimg_model_job_cancel(fixture->model, id, NULL));
    vimg_thread_join(thread);
    g_assert_null(call.report);
    g_assert_error(call.error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&call.error);
    g_assert_false(vimg_model_job_cancel(fixture->model, id, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    fixture->memory->release("/mem/images", "cleanup");
    g_assert_true(build(fixture, "images", 0, NULL));
}

static void
test_daemon_ends(Fixture *fixture, gconstpointer data)
{
    VimgThread thread;
    Call call = {0};

    set_up(fixture, NULL);
    begin_slowly(fixture, &call, &thread);
    vimg_model_cancel_jobs(fixture->model);
    vimg_thread_join(thread);
    g_assert_error(call.error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&call.error);
}

static guint
count_jobs(Fixture *fixture)
{
    g_autoptr(GPtrArray) jobs = vimg_model_job_list(fixture->model);

    return jobs->len;
}

/* A storage that was lost is told of before the job that found it so has ended. */
static void
stop(Fixture *fixture)
{
    while (count_jobs(fixture) > 0)
        g_thread_yield();
    g_assert_true(destroy_pool(fixture, "images", NULL));
}

/* ---- schedules -------------------------------------------------------------------------- */

#define DAY 86400
#define LATER G_GINT64_CONSTANT(4102444800) /* 2100-01-01T00:00:00Z */

static guint
tick(Fixture *fixture, gint64 now)
{
    g_autoptr(GTimeZone) zone = g_time_zone_new_utc();

    return vimg_upkeep_tick(fixture->model, now, zone);
}

/* One that begins is waited for. */
static void
assert_cleans(Fixture *fixture, gint64 now, gboolean cleans)
{
    g_assert_cmpuint(tick(fixture, now), ==, cleans ? 1 : 0);
    if (cleans)
        fixture_wait_event(fixture, "images:refreshed");
    g_free(fixture_events(fixture));
}

static void
test_daily(Fixture *fixture, gconstpointer data)
{
    set_up(fixture, "<image:cleanup schedule='03:30'/>");
    assert_cleans(fixture, LATER + 4 * 3600, FALSE); /* seen first behind it */
    assert_cleans(fixture, LATER + 12 * 3600, FALSE);
    assert_cleans(fixture, LATER + DAY + 12600 - 1, FALSE);
    assert_cleans(fixture, LATER + DAY + 12600 + 7, TRUE);
    assert_cleans(fixture, LATER + DAY + 12600 + 27, FALSE);

    /* another time holds at once, none at all too */
    define_xml(fixture, "images", UUID(1), "<image:cleanup schedule='04:00'/>");
    assert_cleans(fixture, LATER + DAY + 14400, TRUE);
    define_xml(fixture, "images", UUID(1), NULL);
    assert_cleans(fixture, LATER + 2 * DAY + 14400, FALSE);
    define_xml(fixture, "images", UUID(1), "<image:cleanup schedule='03:30'/>");
    assert_cleans(fixture, LATER + 2 * DAY + 14420, FALSE);

    /* who cannot be cleaned up then waits for the next day */
    define_xml(fixture, "images", UUID(1),
               "<image:state>disabled</image:state><image:cleanup schedule='03:30'/>");
    assert_cleans(fixture, LATER + 3 * DAY + 12600, FALSE);
    define_xml(fixture, "images", UUID(1), "<image:cleanup schedule='03:30'/>");
    assert_cleans(fixture, LATER + 3 * DAY + 12620, FALSE);
    assert_cleans(fixture, LATER + 4 * DAY + 12600, TRUE);
}

/* Counts from the last one, or from when it was first seen, over restarts too. */
static void
test_interval(Fixture *fixture, gconstpointer data)
{
    g_autofree char *now = g_strdup_printf("%" G_GINT64_FORMAT "\n", LATER + DAY);

    set_up(fixture, "<image:cleanup schedule='2d'/>");
    assert_cleans(fixture, LATER, FALSE);
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    assert_cleans(fixture, LATER + 2 * DAY - 1, FALSE);
    stop(fixture);
    assert_cleans(fixture, LATER + 3 * DAY, FALSE);
    start_pool(fixture, "images");
    assert_cleans(fixture, LATER + 3 * DAY, TRUE); /* as soon as it can be */

    fixture_stop(fixture);
    fixture_write(fixture, "state/cleanups/" UUID(1), now);
    fixture_start(fixture);
    fixture_wait_active(fixture, "images");
    assert_cleans(fixture, LATER + 3 * DAY - 1, FALSE);
    assert_cleans(fixture, LATER + 3 * DAY, TRUE); /* missed while the daemon was down */

    /* by hand counts as well; a clock that was set back is no reason to wait for ever */
    g_assert_true(build(fixture, "images", 0, NULL));
    g_free(fixture_events(fixture));
    fixture_stop(fixture);
    fixture_write(fixture, "state/cleanups/" UUID(1), "9223372036854775807\n");
    fixture_start(fixture);
    fixture_wait_active(fixture, "images");
    assert_cleans(fixture, LATER, FALSE);
    assert_cleans(fixture, LATER + 2 * DAY, TRUE);
}

static const struct {
    const char *name;
    VimgErrorCode code;
    gboolean due; /* still */
} failures[] = {
    {"busy", VIMG_ERROR_BUSY, TRUE},
    {"aborted", VIMG_ERROR_ABORTED, FALSE}, /* somebody wanted it */
    {"damaged", VIMG_ERROR_DAMAGED, FALSE},
    {"disconnected", VIMG_ERROR_DISCONNECTED, TRUE},
};

/* What was not done for a reason that passes is not noted as done. */
static void
test_failed(Fixture *fixture, gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autofree char *path = fixture_path(fixture, "state/cleanups/" UUID(1));
    g_autofree char *noted = NULL;
    g_autofree char *first = g_strdup_printf("%" G_GINT64_FORMAT "\n", LATER);

    set_up(fixture, "<image:cleanup schedule='2d'/>");
    assert_cleans(fixture, LATER, FALSE);
    fixture->memory->fail("/mem/images", "cleanup", failures[i].code, "not now", 1);
    assert_cleans(fixture, LATER + 2 * DAY, TRUE);
    stop(fixture); /* nothing runs any more */
    g_assert_true(g_file_get_contents(path, &noted, NULL, NULL));
    g_assert_cmpint(strcmp(noted, first) == 0, ==, failures[i].due);
    if (!failures[i].due)
        return;
    start_pool(fixture, "images");
    g_free(fixture_events(fixture));
    assert_cleans(fixture, LATER + 2 * DAY + 20, FALSE); /* not all the time */
    assert_cleans(fixture, LATER + 2 * DAY + 600, TRUE);
}

/* One that waits for a worker is not asked for again. */
static void
test_queued(Fixture *fixture, gconstpointer data)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"}; /* one more than workers */
    const char *options = "<image:cleanup schedule='2d'/>";
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *dir = g_strconcat("/mem/", names[i], NULL);

        define_xml(fixture, names[i], NULL, options);
        start_pool(fixture, names[i]);
        fixture->memory->block(dir, "cleanup");
    }
    g_assert_cmpuint(tick(fixture, LATER), ==, 0);
    g_assert_cmpuint(tick(fixture, LATER + 2 * DAY), ==, 5);
    while (count_jobs(fixture) < 4)
        g_thread_yield();
    g_assert_cmpuint(tick(fixture, LATER + 4 * DAY), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *dir = g_strconcat("/mem/", names[i], NULL);

        fixture->memory->release(dir, "cleanup");
    }
}

/* ---- refusals --------------------------------------------------------------------------- */

static void
disable(Fixture *fixture)
{
    define_xml(fixture, "images", UUID(1), "<image:state>disabled</image:state>");
}

static void
make_read_only(Fixture *fixture)
{
    VimgPoolId id = pool_id(fixture, "images");

    fixture->memory->make_read_only("/mem/images");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
}

static void
lose(Fixture *fixture)
{
    g_autoptr(GError) error = g_error_new(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "cable cut");

    fixture->memory->fail("/mem/images", "probe", VIMG_ERROR_DISCONNECTED, "cable cut", -1);
    fixture->memory->report("/mem/images", error);
    fixture_wait_state(fixture, "images", VIR_STORAGE_POOL_INACCESSIBLE);
}

static const struct {
    const char *name;
    void (*change)(Fixture *fixture);
    VimgErrorCode code;
    const char *text; /* of the cleanup, in the middle */
    gboolean verifies;
} states[] = {
    {"disabled", disable, VIMG_ERROR_OPERATION_INVALID,
     "storage pool 'images' is disabled: its volumes can be read only", TRUE},
    {"read-only", make_read_only, VIMG_ERROR_OPERATION_INVALID,
     "the storage of pool 'images' is read-only", TRUE},
    {"lost", lose, VIMG_ERROR_DISCONNECTED, "storage pool 'images' has lost its storage", FALSE},
    {"stopped", stop, VIMG_ERROR_OPERATION_INVALID, "storage pool 'images' is not active", FALSE},
};

/* Who may not delete may neither clean up, purge nor restore. */
static void
test_state(Fixture *fixture, gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autofree char *uuid = NULL;
    g_autofree char *checked = NULL;
    g_auto(VimgVolId) out = {0};
    g_autoptr(GError) error = NULL;

    set_up(fixture, NULL);
    uuid = throw_away(fixture, "a");
    states[i].change(fixture);
    g_assert_null(cleanup(fixture, "images", FALSE, &error));
    g_assert_error(error, VIMG_ERROR, (gint)states[i].code);
    g_assert_nonnull(strstr(error->message, states[i].text));
    g_clear_error(&error);
    g_assert_false(purge(fixture, uuid, &error));
    g_assert_error(error, VIMG_ERROR, (gint)states[i].code);
    g_clear_error(&error);
    g_assert_false(restore(fixture, uuid, "a", &out, &error));
    g_assert_error(error, VIMG_ERROR, (gint)states[i].code);
    g_clear_error(&error);
    checked = verify(fixture, "images", NULL, &error);
    g_assert_cmpint(checked != NULL, ==, states[i].verifies);
    g_assert_cmpuint(fixture->memory->calls("/mem/images", "cleanup"), ==, 0);
}

/* A backend that has none of it answers as before. */
static void
test_without(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml_full("memcopy", "plain", NULL, "/mem/plain", NULL);
    g_auto(VimgPoolId) id = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_model_pool_create_xml(fixture->model, xml, 0, &id, NULL));
    g_assert_false(build(fixture, "plain", 0, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: storage pool 'plain' is already active");
    g_assert_null(cleanup(fixture, "plain", FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
    g_clear_error(&error);
    g_assert_null(vimg_model_trash_list(fixture->model, &id, NULL, 1, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
}

/* ---- verification ----------------------------------------------------------------------- */

static void
test_verify(Fixture *fixture, gconstpointer data)
{
    g_autofree char *one = NULL;
    g_autofree char *all = NULL;
    g_autoptr(GError) error = NULL;

    set_up(fixture, NULL);
    fixture->memory->put_image("/mem/images", "damaged", NULL, 100);
    create_vol(fixture, "images", "saving", "raw", 4096);
    one = verify(fixture, "images", "a", &error);
    g_assert_cmpstr(one, ==, "{\"checked\": 4096, \"damaged\": []}");
    all = verify(fixture, "images", NULL, &error);
    g_assert_nonnull(strstr(all, "\"checked\": 4196"));
    g_assert_nonnull(strstr(all, "\"name\": \"damaged\""));
    g_assert_null(verify(fixture, "images", "saving", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    g_assert_null(verify(fixture, "images", "nothing", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_clear_error(&error);

    /* also one that failed may have found some that are unusable */
    g_free(fixture_events(fixture));
    fixture->memory->fail("/mem/images", "verify", VIMG_ERROR_ABORTED, "enough", 1);
    g_assert_null(verify(fixture, "images", NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    assert_events(fixture, "images:refreshed");
}

/* ---- the trash -------------------------------------------------------------------------- */

static void
test_trash_list(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) none = NULL;
    g_autoptr(GPtrArray) all = NULL;
    g_autofree char *after = NULL;
    guint i;

    set_up(fixture, "<image:cleanup keepDeleted='1000'/>");
    none = trash(fixture, NULL, 10);
    g_assert_cmpuint(none->len, ==, 0);
    for (i = 0; i < 5; i++) { /* all of one name */
        g_free(throw_away(fixture, "a"));
        create_vol(fixture, "images", "a", "raw", 4096);
        upload_all(fixture, "images", "a", 4096, 'a');
    }
    all = trash(fixture, NULL, 10);
    g_assert_cmpuint(all->len, ==, 5);
    for (i = 0; i < 5; i++) {
        g_autoptr(GPtrArray) page = trash(fixture, after, 1);
        const VimgTrashEntry *entry = page->pdata[0];

        g_assert_cmpuint(page->len, ==, 1);
        g_assert_cmpstr(entry->uuid, ==, ((VimgTrashEntry *)all->pdata[i])->uuid);
        g_assert_cmpstr(entry->name, ==, "a");
        g_assert_cmpstr(entry->format, ==, "raw");
        g_assert_cmpuint(entry->capacity, ==, 4096);
        g_assert_cmpuint(entry->allocation, ==, 4096);
        g_assert_cmpuint(entry->physical, ==, 4096);
        g_assert_cmpint(entry->deleted, >=, entry->created);
        g_assert_cmpint(entry->expires, ==, entry->deleted + 1000);
        g_free(after);
        after = g_strdup(entry->uuid);
    }
    g_clear_pointer(&none, g_ptr_array_unref);
    none = trash(fixture, after, 1);
    g_assert_cmpuint(none->len, ==, 0);
}

static void
test_restore(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = NULL;
    g_autofree char *extents = NULL;
    g_auto(VimgVolId) out = {0};
    g_auto(VimgVolId) found = {0};
    g_autoptr(GError) error = NULL;

    set_up(fixture, NULL);
    uuid = throw_away(fixture, "a");
    create_vol(fixture, "images", "a", "raw", 1);
    g_free(fixture_events(fixture));
    g_assert_false(restore(fixture, uuid, NULL, &out, &error));
    assert_error_text(&error, VIMG_ERROR_VOL_EXISTS, "storage volume 'a' exists already");
    g_assert_false(restore(fixture, uuid, "a/b", &out, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_clear_error(&error);
    g_assert_true(restore(fixture, uuid, "b", &out, &error));
    g_assert_cmpstr(out.name, ==, "b");
    g_assert_nonnull(strstr(out.key, uuid));
    assert_events(fixture, "images:refreshed");
    g_assert_true(vimg_model_vol_by_key(fixture->model, out.key, &found, NULL));
    extents = download_all(fixture, "images", "b", 0, 0);
    g_assert_cmpstr(extents, ==, "d4096");
    g_assert_false(restore(fixture, uuid, NULL, &out, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_clear_error(&error);
    g_assert_false(restore(fixture, "a", NULL, &out, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_clear_error(&error);

    /* by the name it has, which is given back with it */
    g_free(throw_away(fixture, "b"));
    vimg_vol_id_clear(&out);
    g_assert_true(restore(fixture, uuid, NULL, &out, &error));
    g_assert_cmpstr(out.name, ==, "b");
}

static void
test_purge(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = NULL;
    VimgVolId id = vol_id("images", "a");
    g_autoptr(VimgTransfer) transfer = NULL;
    g_autoptr(GPtrArray) left = NULL;
    g_autoptr(GError) error = NULL;
    VimgExtent extent = {0};

    set_up(fixture, NULL);
    transfer = vimg_model_download(fixture->model, &id, 0, 0, &error);
    g_assert_no_error(error);
    uuid = throw_away(fixture, "a");
    g_assert_false(purge(fixture, uuid, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      "Requested operation is not valid: volume 'a' is still in use: download");
    g_assert_true(vimg_transfer_next(transfer, &extent, &error));
    g_assert_cmpuint(extent.length, ==, 4096);
    vimg_buffer_unref(extent.data);
    g_assert_true(vimg_transfer_finish(transfer, &error));
    g_assert_true(purge(fixture, uuid, &error));
    g_assert_no_error(error);
    left = trash(fixture, NULL, 1);
    g_assert_cmpuint(left->len, ==, 0);
    g_assert_false(purge(fixture, uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* What is kept how long reaches an open storage at once. */
static void
test_keep(Fixture *fixture, gconstpointer data)
{
    guint64 deleted = 0;
    guint64 temporary = 0;

    set_up(fixture, NULL);
    fixture->memory->keeps("/mem/images", &deleted, &temporary);
    g_assert_cmpuint(deleted, ==, 259200);
    g_assert_cmpuint(temporary, ==, 86400);
    define_xml(fixture, "images", UUID(1), "<image:cleanup keepDeleted='5' keepTemporary='6'/>");
    fixture->memory->keeps("/mem/images", &deleted, &temporary);
    g_assert_cmpuint(deleted, ==, 5);
    g_assert_cmpuint(temporary, ==, 6);
}

int
main(int argc, char **argv)
{
    guint i;

    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/upkeep/build", GUINT_TO_POINTER(0), test_cleanup);
    FIXTURE_ADD("/upkeep/repair", GUINT_TO_POINTER(VIR_STORAGE_POOL_BUILD_REPAIR), test_cleanup);
    FIXTURE_ADD("/upkeep/one-at-a-time", NULL, test_one_at_a_time);
    FIXTURE_ADD("/upkeep/daemon-ends", NULL, test_daemon_ends);
    FIXTURE_ADD("/upkeep/daily", NULL, test_daily);
    FIXTURE_ADD("/upkeep/interval", NULL, test_interval);
    FIXTURE_ADD("/upkeep/queued", NULL, test_queued);
    for (i = 0; i < G_N_ELEMENTS(failures); i++) {
        g_autofree char *path = g_strconcat("/upkeep/failed/", failures[i].name, NULL);

        FIXTURE_ADD(path, GUINT_TO_POINTER(i), test_failed);
    }
    for (i = 0; i < G_N_ELEMENTS(states); i++) {
        g_autofree char *path = g_strconcat("/upkeep/state/", states[i].name, NULL);

        FIXTURE_ADD(path, GUINT_TO_POINTER(i), test_state);
    }
    FIXTURE_ADD("/upkeep/without", NULL, test_without);
    FIXTURE_ADD("/upkeep/verify", NULL, test_verify);
    FIXTURE_ADD("/trash/list", NULL, test_trash_list);
    FIXTURE_ADD("/trash/restore", NULL, test_restore);
    FIXTURE_ADD("/trash/purge", NULL, test_purge);
    FIXTURE_ADD("/upkeep/keep", NULL, test_keep);
    return g_test_run();
}
