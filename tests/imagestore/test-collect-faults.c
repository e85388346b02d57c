/*
 * test-collect-faults.c: errors and power cuts at every step of a collection
 *
 * A store with live, shared, deleted and unfinished images is collected again and again, each time
 * with the next changing operation failing, or being the last one before the power is cut, or the
 * last one after which anything can be made durable.  Every image must be byte-identical
 * afterwards, and the next collection must leave exactly the slices that the images need.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "collect.h"
#include "memory-transport.h"
#include "publish.h"
#include "slice.h"
#include "store-helper.h"

/* Builds with sanitizers try each VIMG_TEST_STRIDEth step only. */
static guint stride = 1;

static MemoryDisk *full; /* the store before each collection */
static char *live;       /* shares slices with what goes */
static char *saving;     /* part of an upload, to be resumed */
static VimgBuffer *live_content;
static VimgBuffer *saving_content;
static guint needed; /* slices that must be left once the upload is whole */

static VimgSliceStore *
reopen(MemoryDisk *disk, gboolean whole)
{
    VimgSliceStore *store = helper_reopen(memory_transport_new(disk, whole));

    store->keep_deleted = 0;
    store->keep_temporary = G_MAXINT32;
    return store;
}

/* The first slices of @content.  NULL: a fault. */
static VimgSliceWriter *
begin_upload(VimgSliceStore *store, const char *uuid, const VimgBuffer *content, gsize slices)
{
    g_autoptr(VimgBuffer) part = vimg_buffer_new(slices * 64 * KIB);
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, NULL);

    memcpy(part->data, content->data, part->size);
    if (!writer || helper_feed(writer, part, 0, 64 * KIB, FALSE, NULL))
        return writer;
    vimg_slice_writer_abort(writer);
    return NULL;
}

static void
fill(VimgSliceStore *store)
{
    g_autoptr(VimgBuffer) other = helper_content(3, 5 * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *gone = helper_create(store, "gone", 0);
    g_autofree char *shared = helper_create(store, "shared", 0);
    g_autofree char *twin = helper_create(store, "twin", 0);
    g_autoptr(VimgBuffer) longer = helper_content(1, 9 * 64 * KIB, 0);

    live_content = helper_content(1, 6 * 64 * KIB, 3);
    saving_content = helper_content(2, 6 * 64 * KIB, 0);
    live = helper_create(store, "live", 0);
    saving = helper_create(store, "saving", saving_content->size);
    helper_upload(store, live, live_content, &error);
    g_assert_no_error(error);
    helper_finish(begin_upload(store, saving, saving_content, 4), FALSE, 0, &error);
    g_assert_no_error(error);
    helper_upload(store, twin, saving_content, &error);
    g_assert_no_error(error);
    needed = helper_count_slices(store);
    helper_upload(store, gone, other, &error);
    g_assert_no_error(error);
    helper_upload(store, shared, longer, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_image_remove(store, gone, &error));
    g_assert_true(vimg_image_remove(store, shared, &error));
    g_assert_true(vimg_image_remove(store, twin, &error));
    g_assert_cmpuint(helper_count_slices(store), >, needed + 6);
}

/* What the interrupted upload could be resumed from. */
static void
assert_partial(VimgSliceStore *store)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(VimgIndex) index = NULL;
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    guint64 allocation;

    g_assert_cmpint(vimg_image_look(store, saving, &image), ==, 0);
    path = vimg_image_partial_path(saving, image.durable);
    g_assert_cmpint(vimg_transport_read(store->transport, path, VIMG_INDEX_MAX_SIZE, &content), ==,
                    0);
    index = vimg_index_decode(content->data, content->size, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vimg_index_count(index), >=, 4);
    vimg_publish_check(store, index, NULL, &allocation, NULL, &error);
    g_assert_no_error(error);
}

/* After whatever happened: everything is whole, and one more collection leaves what is needed. */
static void
verify(MemoryDisk *disk, gboolean whole)
{
    VimgSliceStore *store = reopen(disk, whole);
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;
    g_autoptr(GPtrArray) images = NULL;

    helper_assert_content(store, live, live_content);
    helper_let_time_pass(store);
    report = vimg_collect(store, FALSE, 0, NULL, &error);
    g_assert_no_error(error);
    helper_assert_content(store, live, live_content);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    g_assert_cmpint(vimg_transport_list(store->transport, "images", &images), ==, 0);
    g_assert_cmpuint(images->len, ==, 2);
    assert_partial(store);
    helper_upload(store, saving, saving_content, &error);
    g_assert_no_error(error);
    helper_assert_content(store, saving, saving_content);
    g_assert_cmpuint(helper_count_slices(store), ==, needed);
    vimg_slice_store_free(store);
}

/*
 * Two collections, the second one ending what the first had to leave to leases: one of a reader,
 * one of an upload that stays saving and needs slices that were condemned meanwhile.
 */
static gboolean
play(VimgSliceStore *store, gboolean quit)
{
    g_autoptr(GError) error = NULL;
    VimgSliceReader *reader = vimg_slice_reader_open(store, live, 0, 0, NULL, &error);
    VimgSliceWriter *writer = NULL;
    gboolean good = FALSE;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    if (reader || !quit)
        writer = begin_upload(store, saving, saving_content, 6);
    if (writer || !quit)
        first = vimg_collect(store, FALSE, 0, NULL, NULL);
    if (writer)
        good = helper_finish(writer, FALSE, 0, NULL);
    vimg_slice_reader_close(reader);
    if (quit && (!first || !good))
        return FALSE;
    vimg_collect_rest(store);
    second = vimg_collect(store, FALSE, 0, NULL, NULL);
    return first && second;
}

static guint
count_operations(gboolean whole, gboolean looks)
{
    MemoryDisk *disk = memory_disk_copy(full);
    VimgSliceStore *store = reopen(disk, whole);
    guint count;

    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    g_assert_true(play(store, FALSE));
    count = looks ? memory_disk_count_looks(disk) : memory_disk_count(disk);
    vimg_slice_store_free(store);
    verify(disk, whole);
    memory_disk_free(disk);
    return count;
}

static void
crash_everywhere(gboolean whole, FaultKind kind)
{
    guint count = count_operations(whole, FALSE);
    guint32 fate;
    guint at;

    g_assert_cmpuint(count, >, 60);
    for (at = 1; at <= count; at += stride) {
        for (fate = 0; fate < 3; fate++) {
            MemoryDisk *disk = memory_disk_copy(full);
            VimgSliceStore *store = reopen(disk, whole);

            memory_disk_set_fault(disk, &(Fault){.kind = kind, .at = at});
            play(store, kind == FAULT_CRASH);
            vimg_slice_store_free(store);
            memory_disk_crash(disk, fate ? fate * 1000003 + at : 0);
            verify(disk, whole);
            memory_disk_free(disk);
        }
    }
}

static void
test_crash(gconstpointer data)
{
    crash_everywhere(GPOINTER_TO_INT(data), FAULT_CRASH);
}

/* From each step on nothing becomes durable any more; then the power is cut. */
static void
test_syncs(gconstpointer data)
{
    crash_everywhere(GPOINTER_TO_INT(data), FAULT_SYNC);
}

/* The daemon alone ends: what it did is there, durable or not. */
static void
test_kill(void)
{
    guint count = count_operations(TRUE, FALSE);
    guint at;

    for (at = 1; at <= count; at += stride) {
        MemoryDisk *disk = memory_disk_copy(full);
        VimgSliceStore *store = reopen(disk, TRUE);

        memory_disk_set_fault(disk, &(Fault){.kind = FAULT_CRASH, .at = at});
        play(store, TRUE);
        vimg_slice_store_free(store);
        memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
        verify(disk, TRUE);
        memory_disk_free(disk);
    }
}

static void
fail_at(FaultKind kind, guint at, gboolean whole, int result)
{
    MemoryDisk *disk = memory_disk_copy(full);
    VimgSliceStore *store = reopen(disk, whole);

    memory_disk_set_fault(disk, &(Fault){.kind = kind, .at = at, .result = result});
    play(store, FALSE);
    memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    vimg_slice_store_free(store);
    verify(disk, whole);
    memory_disk_free(disk);
}

static void
test_errors(gconstpointer data)
{
    static const int results[] = {EIO, ENOSPC, EACCES};
    gboolean whole = GPOINTER_TO_INT(data);
    guint count = count_operations(whole, FALSE);
    guint at;
    gsize i;

    for (at = 1; at <= count; at += stride) {
        for (i = 0; i < G_N_ELEMENTS(results); i++)
            fail_at(FAULT_ERROR, at, whole, results[i]);
    }
}

/* What cannot be read is not taken for gone. */
static void
test_looks(void)
{
    guint count = count_operations(TRUE, TRUE);
    guint at;

    for (at = 1; at <= count; at += stride)
        fail_at(FAULT_LOOK, at, TRUE, EIO);
}

/* ---- an upload that nobody takes up ------------------------------------------------------- */

static gboolean
give_up(VimgSliceStore *store, GError **error)
{
    g_autofree char *report = NULL;

    store->keep_temporary = 0;
    report = vimg_collect(store, FALSE, 0, NULL, error);
    return report != NULL;
}

/* The image is there as it was, or goes with the next collection, its name with it. */
static void
verify_given_up(MemoryDisk *disk)
{
    VimgSliceStore *store = reopen(disk, TRUE);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GPtrArray) images = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_image_stat(store, saving, &image, NULL))
        assert_partial(store);
    helper_let_time_pass(store);
    give_up(store, &error);
    g_assert_no_error(error);
    helper_assert_content(store, live, live_content);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    g_assert_cmpint(vimg_transport_list(store->transport, "images", &images), ==, 0);
    g_assert_cmpuint(images->len, ==, 1);
    g_assert_cmpint(vimg_transport_list(store->transport, "names", &names), ==, 0);
    g_assert_cmpuint(names->len, ==, 1);
    g_assert_cmpuint(helper_count_slices(store), <, needed);
    vimg_slice_store_free(store);
}

/* Returns: whether the fault was met. */
static gboolean
give_up_at(FaultKind kind, guint at, guint32 fate)
{
    MemoryDisk *disk = memory_disk_copy(full);
    VimgSliceStore *store = reopen(disk, TRUE);
    guint done;

    memory_disk_set_fault(disk, &(Fault){.kind = kind, .at = at, .result = EIO});
    give_up(store, NULL);
    done = kind == FAULT_LOOK ? memory_disk_count_looks(disk) : memory_disk_count(disk);
    if (kind != FAULT_CRASH)
        memory_disk_set_fault(disk, &(Fault){FAULT_NONE});
    vimg_slice_store_free(store);
    if (kind == FAULT_CRASH)
        memory_disk_crash(disk, fate ? fate * 1000003 + at : 0);
    verify_given_up(disk);
    memory_disk_free(disk);
    return done >= at;
}

static void
test_abandoned(void)
{
    static const FaultKind kinds[] = {FAULT_ERROR, FAULT_LOOK, FAULT_CRASH};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        guint at = 1;

        while (give_up_at(kinds[i], at, at % 3))
            at += stride;
        g_assert_cmpuint(at, >, 60);
    }
}

int
main(int argc, char **argv)
{
    VimgSliceStore *store;
    int status;

    g_test_init(&argc, &argv, NULL);
    stride = helper_stride();
    full = memory_disk_new();
    store = helper_store(memory_transport_new(full, TRUE));
    fill(store);
    vimg_slice_store_free(store);
    if (memory_disk_is_memory()) {
        g_test_add_data_func("/imagestore/collect/crash/whole", GINT_TO_POINTER(TRUE), test_crash);
        g_test_add_data_func("/imagestore/collect/crash/single", GINT_TO_POINTER(FALSE),
                             test_crash);
        g_test_add_data_func("/imagestore/collect/syncs/whole", GINT_TO_POINTER(TRUE), test_syncs);
        g_test_add_data_func("/imagestore/collect/syncs/single", GINT_TO_POINTER(FALSE),
                             test_syncs);
        g_test_add_func("/imagestore/collect/abandoned", test_abandoned);
    }
    g_test_add_func("/imagestore/collect/kill", test_kill);
    g_test_add_data_func("/imagestore/collect/errors/whole", GINT_TO_POINTER(TRUE), test_errors);
    g_test_add_data_func("/imagestore/collect/errors/single", GINT_TO_POINTER(FALSE), test_errors);
    g_test_add_func("/imagestore/collect/looks", test_looks);
    status = g_test_run();
    memory_disk_free(full);
    vimg_buffer_unref(live_content);
    vimg_buffer_unref(saving_content);
    g_free(live);
    g_free(saving);
    return status;
}
