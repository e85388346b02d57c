/*
 * test-model-transfer.c: uploads and downloads: what holds, what ends
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

#define INVALID "Requested operation is not valid: "

/* ---- ends
 * ---------------------------------------------------------------------------------------- */

static void
test_abort(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(GError) error = NULL;
    g_autofree char *state = NULL;
    g_autofree char *xml = NULL;
    g_autofree char *events = NULL;
    VimgTransfer *transfer;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    g_free(fixture_events(fixture));
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, &error);
    g_assert_true(push(transfer, 1000, 'a', NULL));
    vimg_transfer_free(transfer);
    state = vol_state(fixture, "images", "v");
    g_assert_cmpstr(state, ==, "saving");
    events = fixture_events(fixture);
    g_assert_cmpstr(events, ==, "images:refreshed");
    xml = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    g_assert_nonnull(strstr(xml, "<image:position unit='bytes'>1000</image:position>"));
    upload_all(fixture, "images", "v", 4096, 'a');
}

/* What the storage took after the last byte came shows too. */
static void
test_pauses(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    VimgTransfer *transfer;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    g_assert_true(push(transfer, 1000, 'a', NULL));
    fixture->memory->grow("/mem/images", "v", 7);
    before = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    g_assert_nonnull(strstr(before, "<allocation unit='bytes'>1000</allocation>"));
    vimg_transfer_idle(transfer);
    after = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    g_assert_nonnull(strstr(after, "<allocation unit='bytes'>1007</allocation>"));
    vimg_transfer_free(transfer);
}

static void
test_fails(Fixture *fixture, gconstpointer data)
{
    static const char *const callbacks[] = {"writer_open", "writer_write", "writer_finish"};
    VimgVolId vol = vol_id("images", "v");
    gsize i;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    for (i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgTransfer) transfer = NULL;
        g_autofree char *state = NULL;

        fixture->memory->fail("/mem/images", callbacks[i], VIMG_ERROR_NO_SPACE, "disk full", 1);
        transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, &error);
        if (transfer && push(transfer, 4096, 'a', &error))
            g_assert_false(vimg_transfer_finish(transfer, &error));
        assert_error_text(&error, VIMG_ERROR_NO_SPACE, "volume 'v': disk full");
        g_clear_pointer(&transfer, vimg_transfer_free);
        state = vol_state(fixture, "images", "v");
        g_assert_cmpstr(state, ==, "saving");
    }
    upload_all(fixture, "images", "v", 4096, 'a');
}

/* Once the storage is known to be lost nobody waits for what else it does not answer. */
static void
test_lost(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", UUID(1), "<image:reconnect enabled='no'/>");
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(GError) error = NULL;
    VimgTransfer *transfer;
    VimgPoolId pool;

    g_assert_true(fixture_define(fixture, xml, NULL));
    start_pool(fixture, "images");
    pool = pool_id(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    fixture->memory->fail("/mem/images", "writer_write", VIMG_ERROR_DISCONNECTED, "cable cut", 1);
    fixture->memory->fail("/mem/images", "stat", VIMG_ERROR_DISCONNECTED, "asked at last", 1);
    fixture->memory->fail("/mem/images", "probe", VIMG_ERROR_SYSTEM, "asked just now", 2);
    g_assert_false(push(transfer, 4096, 'a', &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    vimg_transfer_free(transfer);
    g_assert_false(vimg_model_pool_refresh(fixture->model, &pool, 0, &error));
    assert_error_text(&error, VIMG_ERROR_SYSTEM, "asked just now");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &pool, 0, &error));
    g_assert_no_error(error);
    fixture->memory->fail("/mem/images", "writer_write", VIMG_ERROR_NO_SPACE, "disk full", 1);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    g_assert_false(push(transfer, 4096, 'a', NULL));
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_RUNNING);
    vimg_transfer_free(transfer);
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACCESSIBLE);
}

typedef struct {
    VimgTransfer *transfer;
    gboolean ok;
    GError *error;
} Call;

static void
push_blocked(gpointer data)
{
    Call *call = data;

    call->ok = push(call->transfer, 1000, 'a', &call->error);
}

static void
test_cancel(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autofree char *state = NULL;
    Call call = {0};
    VimgThread thread;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    call.transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    fixture->memory->block("/mem/images", "writer_write");
    g_assert_true(vimg_thread_start(&thread, "push", push_blocked, &call, NULL));
    fixture->memory->wait_blocked("/mem/images", "writer_write");
    vimg_transfer_cancel(call.transfer);
    vimg_thread_join(thread);
    g_assert_false(call.ok);
    g_assert_error(call.error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&call.error);
    vimg_transfer_cancel(call.transfer);
    vimg_transfer_free(call.transfer);
    state = vol_state(fixture, "images", "v");
    g_assert_cmpstr(state, ==, "saving");
}

static void
push_until_end(gpointer data)
{
    Call *call = data;

    call->ok = push(call->transfer, 1000, 'a', &call->error);
    g_clear_pointer(&call->transfer, vimg_transfer_free);
}

/* While one upload hangs, nothing else does; the end of the daemon ends it too. */
static void
test_hang(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    VimgPoolId id;
    VimgVolInfo info = {0};
    g_autofree char *names = NULL;
    g_autofree char *xml = NULL;
    g_autofree char *state = NULL;
    g_autoptr(GError) error = NULL;
    Call call = {0};
    VimgThread thread;

    define_and_start(fixture, "images");
    define_and_start(fixture, "other");
    id = pool_id(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    call.transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    fixture->memory->block("/mem/images", "writer_write");
    g_assert_true(vimg_thread_start(&thread, "push", push_until_end, &call, NULL));
    fixture->memory->wait_blocked("/mem/images", "writer_write");

    g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
    xml = vimg_model_vol_xml(fixture->model, &vol, 0, NULL);
    g_assert_nonnull(xml);
    create_vol(fixture, "images", "w", "raw", 0);
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "v w");
    create_vol(fixture, "other", "v", "raw", 4096);
    upload_all(fixture, "other", "v", 4096, 'a');
    g_assert_true(destroy_pool(fixture, "other", NULL));
    g_assert_false(destroy_pool(fixture, "images", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);

    fixture_stop(fixture);
    vimg_thread_join(thread);
    g_assert_false(call.ok);
    g_assert_error(call.error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&call.error);
    fixture->memory->release("/mem/images", "writer_write");
    fixture_start(fixture);
    fixture_wait_active(fixture, "images");
    state = vol_state(fixture, "images", "v");
    g_assert_cmpstr(state, ==, "saving");
}

/* Ended, a transfer holds nothing, though it was not freed; it may be cancelled all the same. */
static void
test_ended(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    VimgTransfer *upload;
    VimgTransfer *download;
    VimgExtent extent = {0};

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    upload = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    g_assert_true(vimg_transfer_finish(upload, NULL));
    download = vimg_model_download(fixture->model, &vol, 0, 0, NULL);
    do {
        g_assert_true(vimg_transfer_next(download, &extent, NULL));
        vimg_buffer_unref(extent.data);
    } while (extent.length > 0);
    g_assert_true(vimg_transfer_next(download, &extent, NULL));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_false(fixture->memory->is_open("/mem/images"));
    vimg_transfer_cancel(upload);
    vimg_transfer_cancel(download);
    vimg_transfer_free(upload);
    vimg_transfer_free(download);
}

/* ---- who holds what
 * ---------------------------------------------------------------------------------- */

static void
test_held(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    VimgPoolId id;
    VimgVolInfo info = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgTransfer) transfer = NULL;
    const char *held = INVALID "volume 'v' is still in use: upload of 'v'";

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    id = pool_id(fixture, "images");
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 2);
    g_assert_true(push(transfer, 1000, 'a', NULL));
    g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
    g_assert_cmpuint(info.allocation, ==, 1000);
    g_assert_true(push(transfer, 1000, 'a', NULL));
    g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
    g_assert_cmpuint(info.allocation, ==, 2000);

    g_assert_null(vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, held);
    g_assert_false(delete_vol(fixture, "images", "v", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, held);
    g_assert_false(vimg_model_vol_resize(fixture->model, &vol, 8192, 0, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, held);
    g_assert_false(vimg_model_vol_wipe(fixture->model, &vol, 0, 0, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, held);
    g_assert_false(destroy_pool(fixture, "images", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "pool 'images' has jobs running: upload of 'v'");
    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL)); /* always allowed */
    g_assert_true(vimg_model_vol_info(fixture->model, &vol, &info, NULL));
    g_assert_cmpuint(info.allocation, ==, 2000);
    g_assert_true(vimg_transfer_finish(transfer, NULL));
    g_assert_true(destroy_pool(fixture, "images", NULL));
}

/* Any number of readers, and deleting what they read is allowed. */
static void
test_readers(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(VimgTransfer) first = NULL;
    g_autoptr(VimgTransfer) second = NULL;
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 4096);
    upload_all(fixture, "images", "v", 4096, 'a');
    first = vimg_model_download(fixture->model, &vol, 0, 0, NULL);
    second = vimg_model_download(fixture->model, &vol, 0, 0, NULL);
    g_assert_nonnull(first);
    g_assert_nonnull(second);
    g_assert_false(destroy_pool(fixture, "images", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "pool 'images' has jobs running: download of 'v', download of 'v'");
    g_assert_true(delete_vol(fixture, "images", "v", NULL));
    names = vol_names(fixture, "images");
    g_assert_cmpstr(names, ==, "");
    create_vol(fixture, "images", "v", "raw", 4096); /* the name is free at once */
    g_assert_true(vimg_transfer_finish(first, NULL));
    g_assert_true(vimg_transfer_finish(second, NULL));
    g_assert_true(destroy_pool(fixture, "images", NULL));
}

/* ---- downloads
 * ------------------------------------------------------------------------------------------ */

static const struct {
    guint64 offset;
    guint64 length;
    const char *extents;
} downloads[] = {
    {0, 0, "d40 h50 d10"},
    {0, 40, "d40"},
    {0, 41, "d40 h1"},
    {10, 0, "d30 h50 d10"},
    {40, 50, "h50"},
    {45, 10, "h10"},
    {95, 0, "d5"},
    {95, 100, "d5"},
    {100, 0, ""},
    {101, 0, ""},
    {G_MAXUINT64, 0, ""},
    {99, G_MAXUINT64, "d1"},
    {0, G_MAXUINT64, "d40 h50 d10"},
};

static void
test_download(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(VimgTransfer) transfer = NULL;
    gsize i;

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 100);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    g_assert_true(push(transfer, 40, 'a', NULL));
    g_assert_true(vimg_transfer_hole(transfer, 50, NULL));
    g_assert_true(push(transfer, 10, 'b', NULL));
    g_assert_true(vimg_transfer_finish(transfer, NULL));
    for (i = 0; i < G_N_ELEMENTS(downloads); i++) {
        g_autofree char *extents =
            download_all(fixture, "images", "v", downloads[i].offset, downloads[i].length);

        g_assert_cmpstr(extents, ==, downloads[i].extents);
    }
}

static void
test_download_fails(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("images", "v");
    g_autoptr(VimgTransfer) transfer = NULL;
    g_autoptr(GError) error = NULL;
    VimgExtent extent = {0};

    define_and_start(fixture, "images");
    create_vol(fixture, "images", "v", "raw", 100);
    upload_all(fixture, "images", "v", 100, 'a');
    fixture->memory->fail("/mem/images", "reader_open", VIMG_ERROR_DAMAGED, "slice 7", 1);
    g_assert_null(vimg_model_download(fixture->model, &vol, 0, 0, &error));
    assert_error_text(&error, VIMG_ERROR_DAMAGED, "operation failed: volume 'v': slice 7");
    fixture->memory->fail("/mem/images", "reader_next", VIMG_ERROR_DAMAGED, "slice 7", 1);
    transfer = vimg_model_download(fixture->model, &vol, 0, 0, NULL);
    g_assert_false(vimg_transfer_next(transfer, &extent, &error));
    assert_error_text(&error, VIMG_ERROR_DAMAGED, "operation failed: volume 'v': slice 7");
}

/* ---- many at once
 * -------------------------------------------------------------------------------------------- */

#define THREADS 6
#define ROUNDS 40

typedef struct {
    Fixture *fixture;
    guint seed;
    VimgThread thread;
} Stress;

static void
stress_volume(Fixture *fixture, const char *pool, const char *name)
{
    g_autofree char *xml = vol_xml(name, "raw", 4096);
    g_autofree char *copy = g_strdup_printf("%s-copy", name);
    g_autofree char *copy_xml = g_strdup_printf("<volume><name>%s</name></volume>", copy);
    VimgPoolId id = pool_id(fixture, pool);
    VimgVolId vol = vol_id(pool, name);
    g_auto(VimgVolId) made = {0};
    g_auto(VimgVolId) copied = {0};
    g_autoptr(VimgTransfer) transfer = NULL;

    /* each of these may be refused, for another thread may be at it; none may break anything */
    vimg_model_vol_create(fixture->model, &id, xml, 0, &made, NULL);
    transfer = vimg_model_upload(fixture->model, &vol, 0, 0, FALSE, NULL);
    if (transfer && push(transfer, 4096, 'a', NULL))
        vimg_transfer_finish(transfer, NULL);
    vimg_model_vol_create_from(fixture->model, &id, copy_xml, &vol, 0, &copied, NULL);
    delete_vol(fixture, pool, copy, NULL);
    delete_vol(fixture, pool, name, NULL);
}

static void
stress_main(gpointer data)
{
    Stress *stress = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(stress->seed);
    guint i;

    for (i = 0; i < ROUNDS; i++) {
        static const char *const pools[] = {"a", "b"};
        static const char *const names[] = {"x", "y", "z"};
        const char *pool = pools[g_rand_int_range(rand, 0, 2)];
        VimgPoolId id = pool_id(stress->fixture, pool);
        g_autofree char *xml = NULL;
        g_autoptr(GPtrArray) volumes = NULL;

        switch (g_rand_int_range(rand, 0, 6)) {
        case 0:
            vimg_model_pool_refresh(stress->fixture->model, &id, 0, NULL);
            break;
        case 1:
            vimg_model_pool_destroy(stress->fixture->model, &id, NULL);
            vimg_model_pool_create(stress->fixture->model, &id, 0, NULL);
            break;
        case 2:
            xml = vimg_model_pool_xml(stress->fixture->model, &id, 0, NULL);
            volumes = vimg_model_pool_volumes(stress->fixture->model, &id, NULL);
            break;
        default:
            stress_volume(stress->fixture, pool, names[g_rand_int_range(rand, 0, 3)]);
            break;
        }
    }
}

static void
test_stress(Fixture *fixture, gconstpointer data)
{
    Stress threads[THREADS];
    gsize i;
    static const char *const pools[] = {"a", "b"};

    define_and_start(fixture, "a");
    define_and_start(fixture, "b");
    for (i = 0; i < THREADS; i++) {
        threads[i] = (Stress){.fixture = fixture, .seed = (guint)i};
        g_assert_true(
            vimg_thread_start(&threads[i].thread, "stress", stress_main, &threads[i], NULL));
    }
    for (i = 0; i < THREADS; i++)
        vimg_thread_join(threads[i].thread);
    for (i = 0; i < G_N_ELEMENTS(pools); i++) {
        g_autofree char *before = NULL;
        g_autofree char *after = NULL;
        VimgPoolId id = pool_id(fixture, pools[i]);

        vimg_model_pool_create(fixture->model, &id, 0, NULL);
        before = vol_names(fixture, pools[i]);
        g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
        after = vol_names(fixture, pools[i]);
        g_assert_cmpstr(before, ==, after); /* memory agreed with the storage */
        g_assert_true(destroy_pool(fixture, pools[i], NULL));
    }
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_ADD("/model/transfer/abort", NULL, test_abort);
    FIXTURE_ADD("/model/transfer/pauses", NULL, test_pauses);
    FIXTURE_ADD("/model/transfer/fails", NULL, test_fails);
    FIXTURE_ADD("/model/transfer/lost", NULL, test_lost);
    FIXTURE_ADD("/model/transfer/cancel", NULL, test_cancel);
    FIXTURE_ADD("/model/transfer/hang", NULL, test_hang);
    FIXTURE_ADD("/model/transfer/ended", NULL, test_ended);
    FIXTURE_ADD("/model/transfer/held", NULL, test_held);
    FIXTURE_ADD("/model/transfer/readers", NULL, test_readers);
    FIXTURE_ADD("/model/transfer/download", NULL, test_download);
    FIXTURE_ADD("/model/transfer/download-fails", NULL, test_download_fails);
    FIXTURE_ADD("/model/transfer/stress", NULL, test_stress);
    return g_test_run();
}
