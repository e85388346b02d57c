/*
 * test-collect-wait.c: whom a collection waits for, and collectors for one another
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clone.h"
#include "collect-helper.h"
#include "collect.h"
#include "gc-lock.h"
#include "slice.h"

/* ---- readers and writers --------------------------------------------------------------- */

/* A reader keeps what it reads; a later run frees it. */
static void
test_reader(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *a = collect_upload(store, "a", 1, 40);
    g_autoptr(VimgBuffer) content = helper_content(1, 40 * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    VimgSliceReader *reader = vimg_slice_reader_open(store, a, 0, 0, NULL, &error);
    g_autoptr(JsonObject) report = NULL;
    gsize at = 0;

    g_assert_no_error(error);
    collect_remove(store, a);
    store->keep_deleted = 0;
    report = collect_run(store, FALSE);
    g_assert_cmpint(collect_tally(report, "slices"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(report, "waiting"), ==, 40);
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(report, "kept")), ==, 1);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros);
    while (at < content->size) {
        VimgExtent extent;

        vimg_slice_reader_next(reader, &extent, &error);
        g_assert_no_error(error);
        g_assert_cmpmem(extent.data->data + extent.offset, extent.length, content->data + at,
                        extent.length);
        at += extent.length;
        vimg_buffer_unref(extent.data);
    }
    vimg_collect_rest(store);
    g_assert_cmpuint(helper_count_gc(store), ==, 1);
    vimg_slice_reader_close(reader);
    vimg_collect_rest(store);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
}

/* An upload that found a slice before it was condemned publishes an index that names it. */
static void
test_writer(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = collect_upload(store, "a", 1, 6);
    g_autofree char *b = helper_create(store, "b", 6 * 64 * KIB);
    VimgSliceWriter *writer = collect_begin_upload(store, b, 1, 6);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) report = NULL;

    collect_remove(store, a);
    store->keep_deleted = 0;
    report = collect_run(store, FALSE);
    g_assert_cmpint(json_object_get_int_member(report, "waiting"), ==, 6);
    helper_finish(writer, TRUE, 6 * 64 * KIB, &error);
    g_assert_no_error(error);
    collect_assert_whole(store, b, 1, 6);
    vimg_collect_rest(store);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    collect_assert_whole(store, b, 1, 6);
}

/* The same for one that stays saving: its partial index brings the slices back. */
static void
test_partial(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = collect_upload(store, "a", 1, 6);
    g_autofree char *b = helper_create(store, "b", 6 * 64 * KIB);
    g_autoptr(VimgBuffer) content = helper_content(1, 6 * 64 * KIB, 0);
    VimgSliceWriter *writer = collect_begin_upload(store, b, 1, 6);
    g_autoptr(GError) error = NULL;

    collect_remove(store, a);
    store->keep_deleted = 0;
    json_object_unref(collect_run(store, FALSE));
    helper_finish(writer, FALSE, 0, &error);
    g_assert_no_error(error);
    vimg_collect_rest(store);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    helper_upload(store, b, content, &error);
    g_assert_no_error(error);
    helper_assert_content(store, b, content);
}

/* Returns: (transfer full) the uuid of the clone. */
static char *
clone_image(VimgSliceStore *store, const char *source, const char *name, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup(name);
    image.format = g_strdup("raw");
    return vimg_clone(store, source, &image, NULL, &out, error) ? g_strdup(image.uuid) : NULL;
}

typedef struct {
    MemoryDisk *disk;
    const char *source;
    gboolean met;
    gint64 condemned; /* slices that wait for the clone to end */
} Meeting;

/* What another host does at one moment of a clone. */
static void
delete_and_collect(gpointer data)
{
    Meeting *meeting = data;
    g_autoptr(VimgSliceStore) other = helper_reopen(memory_transport_new(meeting->disk, TRUE));
    g_autoptr(JsonObject) report = NULL;

    other->keep_temporary = G_MAXINT32;
    collect_remove(other, meeting->source);
    report = collect_run(other, FALSE);
    meeting->condemned = json_object_get_int_member(report, "waiting");
    meeting->met = TRUE;
}

/* A clone whose source is removed for good before operation @at.  @rescued: it got its slices back.
 */
static gboolean
clone_meeting(const MemoryDisk *before, const char *source, guint at, gboolean *rescued)
{
    Meeting meeting = {.disk = memory_disk_copy(before), .source = source};
    VimgTransport *transport = memory_transport_new(meeting.disk, TRUE);
    VimgSliceStore *store = helper_reopen(transport);
    g_autofree char *clone = NULL;
    g_autoptr(GError) error = NULL;

    memory_transport_meet(transport, at, delete_and_collect, &meeting);
    clone = clone_image(store, source, "c", &error);
    memory_transport_meet(transport, 0, NULL, NULL);
    /* the image was gone, or its index */
    g_assert_true(clone || g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL) ||
                  g_error_matches(error, VIMG_ERROR, VIMG_ERROR_SYSTEM));
    vimg_collect_rest(store);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    if (clone)
        collect_assert_whole(store, clone, 1, 3);
    *rescued |= clone && meeting.condemned == 3;
    vimg_slice_store_free(store);
    memory_disk_free(meeting.disk);
    return meeting.met;
}

static void
test_clone(CollectFixture *fixture, gconstpointer data)
{
    g_autofree char *source = collect_upload(fixture->store, "a", 1, 3);
    gboolean rescued = FALSE;
    guint at = 1;

    while (clone_meeting(fixture->disk, source, at, &rescued))
        at++;
    g_assert_true(rescued);
}

/* ---- the lock --------------------------------------------------------------------------- */

static void
test_lock(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(GError) error = NULL;
    VimgGcLock *lock = vimg_gc_lock_take(store, 0, &error);
    VimgGcLock *other;
    g_autofree char *condemned = g_strconcat(lock->dir, "/" VIMG_GC_CONDEMNED, NULL);

    g_assert_no_error(error);
    g_assert_null(vimg_gc_lock_take(store, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_assert_cmpuint(helper_count_gc(store), ==, 1);
    g_clear_error(&error);
    g_assert_true(vimg_gc_lock_check(lock, NULL));
    vimg_gc_lock_end(lock);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);

    lock = vimg_gc_lock_take(store, 0, &error);
    g_assert_no_error(error);
    /* something is left to do */
    g_free(condemned);
    condemned = g_strconcat(lock->dir, "/" VIMG_GC_CONDEMNED "/x", NULL);
    g_assert_cmpint(vimg_transport_create(store->transport, condemned, "", 0, TRUE), ==, 0);
    vimg_gc_lock_end(lock);
    g_assert_cmpuint(helper_count_gc(store), ==, 1);
    other = vimg_gc_lock_take(store, 0, &error);
    g_assert_no_error(error);
    vimg_gc_lock_end(other);
    /* an interrupted end */
    g_assert_cmpint(vimg_transport_mkdir(store->transport, "gc/lock"), ==, 0);
    other = vimg_gc_lock_take(store, 0, &error);
    g_assert_no_error(error);
    vimg_gc_lock_end(other);
}

/* A collector that stalls is replaced after a quarter of an hour of its heartbeat, and finds out.
 */
static void
test_take_over(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = collect_upload(store, "a", 1, 3);
    g_autofree char *b = collect_upload(store, "b", 2, 3);
    g_autoptr(GError) error = NULL;
    VimgGcLock *stalled = vimg_gc_lock_take(store, 0, &error);
    VimgGcLock *other = NULL;
    g_autoptr(VimgBuffer) index = helper_index(store, b);
    g_autoptr(VimgIndex) decoded = vimg_index_decode(index->data, index->size, &error);
    g_autofree char *slice = vimg_slice_path(vimg_index_id(decoded, 0));
    g_autofree char *condemned =
        g_strconcat(stalled->dir, "/" VIMG_GC_CONDEMNED, strrchr(slice, '/'), NULL);
    gint64 now;

    g_assert_no_error(error);
    /* one slice of an active image and one of nobody, as if it had stalled in between */
    g_assert_cmpint(vimg_transport_rename(store->transport, slice, condemned), ==, 0);
    for (now = 0; !other && now < G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC;
         now += 30 * G_USEC_PER_SEC) {
        g_clear_error(&error);
        other = vimg_gc_lock_take(store, now, &error);
        g_assert_true(other || g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY));
    }
    g_assert_nonnull(other);
    g_assert_cmpint(now, >=, 15 * 60 * G_USEC_PER_SEC);
    g_assert_cmpint(now, <=, 17 * 60 * G_USEC_PER_SEC);
    g_assert_false(vimg_gc_lock_check(stalled, NULL));
    collect_assert_whole(store, b, 2, 3);
    g_assert_cmpint(vimg_transport_unlink(store->transport, condemned), ==, ENOENT);
    vimg_gc_lock_end(other);
    vimg_gc_lock_end(stalled);
    g_clear_error(&error);
    json_object_unref(collect_run(store, FALSE));
    collect_assert_whole(store, a, 1, 3);
    collect_assert_whole(store, b, 2, 3);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
}

/* Two hosts write one image: the second is told who does. */
static void
test_writing(CollectFixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgSliceStore) other = helper_reopen(memory_transport_new(fixture->disk, TRUE));
    g_autofree char *uuid = helper_create(store, "a", 64 * KIB);
    VimgSliceWriter *writer = collect_begin_upload(store, uuid, 1, 1);
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_slice_writer_open(other, uuid, &request, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_false(vimg_image_remove(other, uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_clear_error(&error);
    vimg_slice_writer_abort(writer);
    writer = vimg_slice_writer_open(other, uuid, &request, NULL, &error);
    g_assert_no_error(error);
    vimg_slice_writer_abort(writer);
}

#define ADD(NAME, FUNC)                                                                            \
    g_test_add("/imagestore/collect-wait/" NAME, CollectFixture, NULL, collect_set_up, FUNC,       \
               collect_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("reader", test_reader);
    ADD("writer", test_writer);
    ADD("partial", test_partial);
    ADD("clone", test_clone);
    ADD("lock", test_lock);
    ADD("take-over", test_take_over);
    ADD("writing", test_writing);
    return g_test_run();
}
