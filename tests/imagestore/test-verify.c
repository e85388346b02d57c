/*
 * test-verify.c: what is found when everything is read again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/resource.h>
#include <zstd.h>

#include "verify-helper.h"
#include "verify.h"

/* ---- finding ---------------------------------------------------------------------------- */

static void
test_clean(VerifyFixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;
    VerifyReport report;

    fixture->watch->zeros = TRUE;
    report = verify_run(fixture->store, uuid);
    /* the zero slices from 64 KiB to 64 MiB count too */
    g_assert_cmpuint(report.checked, ==, VERIFY_SLICES - 2 + 11);
    g_assert_cmpuint(report.bytes, >, 10 * 65536 / 4);
    g_assert_cmpuint(report.bad + report.missing + report.foreign + report.damaged, ==, 0);
    g_assert_cmpuint(verify_count(fixture->store, "pending"), ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, verify_content);
}

/* Frames that other writers of the format make are as good. */
static void
test_other_frames(VerifyFixture *fixture, gconstpointer data)
{
    gsize bound = ZSTD_compressBound(65536);
    g_autofree guint8 *frames = g_malloc(2 * bound);
    ZSTD_CCtx *tools = ZSTD_createCCtx();
    VimgSliceId id = verify_id(verify_content, 1);
    ZSTD_inBuffer in = {verify_content->data + 65536, 65536, 0};
    ZSTD_outBuffer out = {frames, bound, 0};
    gsize n;

    /* one that does not say how long it is */
    g_assert_cmpuint(ZSTD_compressStream2(tools, &out, &in, ZSTD_e_flush), ==, 0);
    g_assert_cmpuint(ZSTD_compressStream2(tools, &out, &in, ZSTD_e_end), ==, 0);
    g_assert_cmpuint(ZSTD_getFrameContentSize(frames, out.pos), ==, ZSTD_CONTENTSIZE_UNKNOWN);
    verify_replace(fixture, &id, frames, out.pos);
    /* two frames */
    id = verify_id(verify_content, 2);
    n = ZSTD_compress(frames, bound, verify_content->data + 2 * 65536, 30000, 1);
    n += ZSTD_compress(frames + n, bound, verify_content->data + 2 * 65536 + 30000, 35536, 1);
    verify_replace(fixture, &id, frames, n);
    g_assert_cmpuint(verify_run(fixture->store, NULL).bad, ==, 0);
    /* cut short */
    verify_replace(fixture, &id, frames, n - 1);
    id = verify_id(verify_content, 1);
    verify_replace(fixture, &id, frames, 20);
    g_assert_cmpuint(verify_run(fixture->store, NULL).bad, ==, 2);
    ZSTD_freeCCtx(tools);
}

/* More zeros than any slice has. */
static void
test_bomb(VerifyFixture *fixture, gconstpointer data)
{
    gsize size = 65 * MIB;
    g_autofree guint8 *zeros = g_malloc0(size);
    g_autofree guint8 *frame = g_malloc(ZSTD_compressBound(size));
    VimgSliceId id = verify_id(verify_content, 0);

    verify_replace(fixture, &id, frame,
                   ZSTD_compress(frame, ZSTD_compressBound(size), zeros, size, 1));
    g_assert_cmpuint(verify_run(fixture->store, NULL).bad, ==, 1);
}

static void
test_damage(VerifyFixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    g_autofree char *c = helper_create(fixture->store, "c", 0);
    VimgSliceId ids[] = {verify_id(verify_content, 0), verify_id(verify_content, 5),
                         verify_id(verify_content, 7)};
    g_autoptr(GError) error = NULL;
    char hex[VIMG_ID_HEX];
    g_autofree char *aside = NULL;
    VerifyReport report;

    verify_upload(fixture->store, b, verify_content);
    verify_upload(fixture->store, c, verify_foreign);
    verify_replace(fixture, &ids[0], "", 0);
    verify_replace(fixture, &ids[1], "garbage", 7);
    verify_replace(fixture, &ids[2], NULL, 0);
    vimg_transport_create(fixture->store->transport, "slices.castr/README", "?", 1, FALSE);
    vimg_id_to_hex(&ids[1], hex);
    aside = g_strdup_printf("slices.castr/%.4s/%s.tmp", hex, hex);
    vimg_transport_create(fixture->store->transport, aside, "?", 1, FALSE);
    report = verify_run(fixture->store, uuid);
    g_assert_cmpuint(report.bad, ==, 2);
    g_assert_cmpuint(report.missing, ==, 3);
    g_assert_cmpuint(report.foreign, ==, uuid ? 0 : 2);
    g_assert_cmpuint(report.damaged, ==, 2); /* b too, of which nobody asked */
    g_assert_true(helper_exists(fixture->store, aside));
    verify_assert_damaged(fixture->store, fixture->uuid, &ids[0]);
    verify_assert_damaged(fixture->other, b, &ids[0]);
    g_assert_cmpint(helper_state(fixture->store, c), ==, VIMG_IMAGE_ACTIVE);
    g_assert_null(helper_download(fixture->store, b, 0, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_cmpuint(verify_count(fixture->store, "bad"), ==, 2);
    /* it is no worse the second time, and another copy goes beside the first */
    report = verify_run(fixture->store, uuid);
    g_assert_cmpuint(report.bad, ==, 0);
    g_assert_cmpuint(report.missing, ==, 3);
    verify_replace(fixture, &ids[1], "garbage again", 13);
    g_assert_cmpuint(verify_run(fixture->store, uuid).bad, ==, 1);
    g_free(aside);
    aside = g_strdup_printf("bad/%s.1", hex);
    g_assert_true(helper_exists(fixture->store, aside));
}

/* Whatever is bad of another image is not read. */
static void
test_one(VerifyFixture *fixture, gconstpointer data)
{
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    VimgSliceId id = verify_id(verify_foreign, 3);
    g_autoptr(GError) error = NULL;

    verify_upload(fixture->store, b, verify_foreign);
    verify_replace(fixture, &id, "garbage", 7);
    g_assert_cmpuint(verify_run(fixture->store, fixture->uuid).bad, ==, 0);
    g_assert_cmpuint(verify_count(fixture->store, "bad"), ==, 0);
    g_assert_cmpuint(verify_run(fixture->store, b).bad, ==, 1);
    verify_assert_damaged(fixture->store, b, &id);
    g_assert_null(
        vimg_verify(fixture->store, "c0ffee00-0000-4000-8000-000000000000", NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* Their content is known. */
static void
test_zeros(VerifyFixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;

    verify_replace(fixture, vimg_zero_id(65536), "garbage", 7);
    verify_replace(fixture, vimg_zero_id(1048576), "", 0);
    verify_replace(fixture, vimg_zero_id(VIMG_ZERO_MAX), NULL, 0);
    fixture->watch->zeros = TRUE;
    g_assert_cmpuint(verify_run(fixture->store, uuid).damaged, ==, 0);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    test_clean(fixture, data);
}

static void
test_index(VerifyFixture *fixture, gconstpointer data)
{
    const char *uuid = data ? fixture->uuid : NULL;

    verify_spoil_index(fixture);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpuint(verify_run(fixture->store, uuid).damaged, ==, 1);
    g_assert_cmpint(helper_state(fixture->store, fixture->uuid), ==, VIMG_IMAGE_ERROR);
    g_assert_cmpuint(verify_run(fixture->store, uuid).damaged, ==, 1);
}

/* It is reported, and nothing is changed. */
static void
test_read_only(VerifyFixture *fixture, gconstpointer data)
{
    verify_spoil(fixture, 3);
    fixture->store->read_only = TRUE;
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    g_assert_cmpuint(verify_run(fixture->store, NULL).damaged, ==, 1);
    g_assert_cmpuint(verify_run(fixture->store, NULL).damaged, ==, 1);
    g_assert_cmpuint(memory_disk_count(fixture->disk), ==, 0);
    g_assert_true(verify_in_place(fixture, 3));
}

/* A disk that cannot read a slice has a bad slice. */
static void
test_unreadable(VerifyFixture *fixture, gconstpointer data)
{
    VimgSliceId id = verify_id(verify_content, 3);
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(&id, hex);
    fixture->watch->broken = hex;
    g_assert_cmpuint(verify_run(fixture->store, NULL).bad, ==, 1);
    verify_assert_damaged(fixture->store, fixture->uuid, &id);
    /* and if it can, after all: the slice is back */
    fixture->watch->broken = NULL;
    g_assert_cmpuint(verify_run(fixture->store, NULL).damaged, ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, verify_content);
    g_assert_cmpuint(verify_count(fixture->store, "bad"), ==, 0);
}

/* A storage out of reach says of everything that it cannot be read: no slice is bad for that. */
static void
test_out_of_reach(VerifyFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->watch->broken = data;
    g_assert_null(vimg_verify(fixture->store, NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    /* up to so many may be bad indeed, if anything else can be read */
    g_assert_cmpuint(verify_count(fixture->store, "bad"), <, *(const char *)data ? 8 : 1);
    fixture->watch->broken = NULL;
    g_assert_cmpuint(verify_run(fixture->store, NULL).damaged, ==, 0);
    helper_assert_content(fixture->store, fixture->uuid, verify_content);
}

/* A frame for which there is no memory is no bad one. */
static void
test_no_memory(VerifyFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(VimgBuffer) frame = vimg_buffer_new(ZSTD_compressBound(65536));
    VimgSliceId id = verify_id(verify_content, 1);
    ZSTD_CCtx *compressor = ZSTD_createCCtx();
    ZSTD_inBuffer in = {verify_content->data + 65536, 65536, 0};
    ZSTD_outBuffer out = {frame->data, frame->size, 0};
    struct rlimit whole;
    struct rlimit none = {0};
    gboolean good;
    int result;

    /* of unknown length, with a window of 128 MiB */
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_windowLog, 27);
    g_assert_cmpuint(ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_flush), ==, 0);
    g_assert_cmpuint(ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_end), ==, 0);
    ZSTD_freeCCtx(compressor);
    frame->size = out.pos;
    g_assert_cmpint(getrlimit(RLIMIT_AS, &whole), ==, 0);
    none.rlim_max = whole.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_AS, &none), ==, 0);
    result = vimg_slice_check(tools, &id, frame, &good);
    g_assert_cmpint(setrlimit(RLIMIT_AS, &whole), ==, 0);
    g_assert_cmpint(result, ==, ENOMEM);
    g_assert_cmpint(vimg_slice_check(tools, &id, frame, &good), ==, 0);
    g_assert_true(good);
}

/* ---- interrupted ------------------------------------------------------------------------ */

/* Cancelled here and there, it goes on: no slice is read twice but those of the last batch. */
static void
test_resume(VerifyFixture *fixture, gconstpointer data)
{
    g_autofree char *record = g_build_filename(fixture->store->state_dir, "verify.json", NULL);
    g_autofree char *b = helper_create(fixture->store, "b", 0);
    g_autoptr(VimgBuffer) large = helper_content(7, 700 * 65536, 0);
    g_autoptr(GError) error = NULL;
    VerifyReport whole;
    VerifyReport report;

    verify_upload(fixture->store, b, large);
    whole = verify_run(fixture->store, NULL);
    g_assert_cmpuint(whole.checked, >, 700);
    g_assert_false(g_file_test(record, G_FILE_TEST_EXISTS));
    helper_cancel_after = 600;
    g_assert_null(vimg_verify(fixture->store, NULL, HELPER_JOB, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&error);
    g_assert_true(g_file_test(record, G_FILE_TEST_EXISTS));
    helper_cancel_after = 0;
    fixture->watch->reads = 0;
    report = verify_run(fixture->store, NULL);
    g_assert_cmpuint(report.checked, ==, whole.checked);
    g_assert_cmpuint(report.bytes, ==, whole.bytes);
    g_assert_cmpuint(fixture->watch->reads, <, whole.checked - 200);
    /* what was finished starts afresh, and so does what another store's record says */
    fixture->watch->reads = 0;
    g_assert_true(g_file_set_contents(record, "{\"store\": \"x\", \"next\": 65536}", -1, NULL));
    verify_run(fixture->store, NULL);
    g_assert_cmpuint(fixture->watch->reads, ==, whole.checked);
}

static void
test_rate(VerifyFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 began;
    VerifyReport report;

    fixture->store->verify_rate = 0;
    report = verify_run(fixture->store, NULL);
    fixture->store->verify_rate = report.bytes / 3;
    began = g_get_monotonic_time();
    verify_run(fixture->store, NULL);
    /* what is in flight is let through */
    g_assert_cmpint(g_get_monotonic_time() - began, >, G_USEC_PER_SEC);
    fixture->store->verify_rate = 1;
    helper_cancel_at = g_get_monotonic_time() + G_USEC_PER_SEC;
    g_assert_null(vimg_verify(fixture->store, NULL, HELPER_JOB, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_assert_cmpint(g_get_monotonic_time() - helper_cancel_at, <, 5 * G_USEC_PER_SEC);
}

/* Where it is not known how much there is, nothing is the whole of it. */
static void
test_progress(VerifyFixture *fixture, gconstpointer data)
{
    g_autofree char *text = NULL;

    fixture->store->verify_rate = verify_run(fixture->store, NULL).bytes / 3;
    helper_whole = 0;
    text = vimg_verify(fixture->store, fixture->uuid, HELPER_JOB, NULL);
    g_assert_nonnull(text);
    g_assert_cmpuint(helper_whole, ==, 0);
}

/* ---- at every step ---------------------------------------------------------------------- */

/*
 * Whatever became of the verification, the next one finds the same, and good slices are there.
 * Returns: how many steps there were.
 */
static guint
step(VerifyFixture *fixture, const Fault *fault, guint32 fate)
{
    MemoryDisk *disk = memory_disk_copy(fixture->disk);
    VimgSliceStore *store = verify_connect(disk, FALSE);
    VimgSliceId id = verify_id(verify_content, 3);
    g_autofree char *b = NULL;
    g_autofree char *text = NULL;
    guint steps;

    memory_disk_set_fault(disk, fault);
    text = vimg_verify(store, NULL, NULL, NULL);
    steps = memory_disk_count(disk);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    if (fault->kind == FAULT_CRASH) {
        vimg_slice_store_free(store);
        memory_disk_crash(disk, fate ? fate * 1000003 + fault->at : 0);
        store = verify_connect(disk, TRUE);
        helper_fence_all(store);
        if (text)
            verify_assert_damaged(store, fixture->uuid, &id);
    }
    g_assert_cmpuint(verify_run(store, NULL).damaged, ==, 1);
    verify_assert_damaged(store, fixture->uuid, &id);
    b = helper_create(store, "b", 0);
    verify_upload(store, b, verify_content);
    g_assert_cmpint(helper_state(store, fixture->uuid), ==, VIMG_IMAGE_ACTIVE);
    helper_assert_content(store, fixture->uuid, verify_content);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
    return steps;
}

static void
test_faults(VerifyFixture *fixture, gconstpointer data)
{
    const Fault *fault = data;
    guint steps;
    guint at;

    verify_spoil(fixture, 3);
    verify_replace(fixture, vimg_zero_id(65536), "garbage", 7);
    steps = step(fixture, &(Fault){FAULT_NONE}, 0);
    g_assert_cmpuint(steps, >, 20);
    for (at = 1; at <= steps + 1; at += helper_stride())
        step(fixture, &(Fault){.kind = fault->kind, .at = at, .result = EIO}, at % 3);
}

/* What could not be read once is read again before anybody is told that it is damaged. */
static void
test_again(VerifyFixture *fixture, gconstpointer data)
{
    gboolean through = FALSE;
    guint at;

    for (at = 1; !through; at++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *report = NULL;

        memory_disk_set_fault(fixture->disk, &(Fault){.kind = FAULT_LOOK, .at = at, .result = EIO});
        report = vimg_verify(fixture->store, NULL, NULL, &error);
        through = memory_disk_count_looks(fixture->disk) < at;
        g_assert_true(!report || !strstr(report, "cannot read the index"));
    }
    g_assert_cmpuint(at, >, 20);
}

int
main(int argc, char **argv)
{
    static const Fault crash = {.kind = FAULT_CRASH};
    static const Fault failure = {.kind = FAULT_ERROR};

    g_test_init(&argc, &argv, NULL);
    verify_add("/imagestore/verify/clean/all", test_clean, NULL);
    verify_add("/imagestore/verify/clean/one", test_clean, "one");
    verify_add("/imagestore/verify/other-frames", test_other_frames, NULL);
    verify_add("/imagestore/verify/bomb", test_bomb, NULL);
    verify_add("/imagestore/verify/damage/all", test_damage, NULL);
    verify_add("/imagestore/verify/damage/one", test_damage, "one");
    verify_add("/imagestore/verify/one", test_one, NULL);
    verify_add("/imagestore/verify/zeros/all", test_zeros, NULL);
    verify_add("/imagestore/verify/zeros/one", test_zeros, "one");
    verify_add("/imagestore/verify/index/all", test_index, NULL);
    verify_add("/imagestore/verify/index/one", test_index, "one");
    verify_add("/imagestore/verify/read-only", test_read_only, NULL);
    verify_add("/imagestore/verify/unreadable", test_unreadable, NULL);
    verify_add("/imagestore/verify/out-of-reach/all", test_out_of_reach, "");
    verify_add("/imagestore/verify/out-of-reach/slices", test_out_of_reach, ".cacnk");
    /* not where memory is the sanitizer's */
    if (helper_stride() == 1)
        verify_add("/imagestore/verify/no-memory", test_no_memory, NULL);
    verify_add("/imagestore/verify/resume", test_resume, NULL);
    verify_add("/imagestore/verify/rate", test_rate, NULL);
    verify_add("/imagestore/verify/progress", test_progress, NULL);
    if (memory_disk_is_memory())
        verify_add("/imagestore/verify/crash", test_faults, &crash);
    verify_add("/imagestore/verify/errors", test_faults, &failure);
    verify_add("/imagestore/verify/again", test_again, NULL);
    return verify_main();
}
