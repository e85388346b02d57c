/*
 * test-collect.c: what a collection frees, what it keeps, and whom it waits for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "clone.h"
#include "collect.h"
#include "gc-lock.h"
#include "json.h"
#include "memory-transport.h"
#include "slice.h"
#include "spare.h"
#include "store-helper.h"
#include "trash.h"

typedef struct {
    MemoryDisk *disk;
    VimgSliceStore *store;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->disk = memory_disk_new();
    fixture->store = helper_store(memory_transport_new(fixture->disk, TRUE));
    /* nothing expires but where a test says so */
    fixture->store->keep_deleted = G_MAXINT32;
    fixture->store->keep_temporary = G_MAXINT32;
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    memory_disk_free(fixture->disk);
}

/* ---- helpers ---------------------------------------------------------------------------- */

static guint
count_names(VimgSliceStore *store, const char *dir)
{
    g_autoptr(GPtrArray) names = NULL;

    return vimg_transport_list(store->transport, dir, &names) == 0 ? names->len : 0;
}

static JsonObject *
collect(VimgSliceStore *store, gboolean dry_run)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = vimg_collect(store, dry_run, 0, NULL, &error);
    JsonObject *root;

    g_assert_no_error(error);
    root = vimg_json_parse((const guint8 *)report, strlen(report), &error);
    g_assert_no_error(error);
    return root;
}

static gint64
tally(JsonObject *report, const char *name)
{
    return json_object_get_int_member(vimg_json_object(report, name), "count");
}

static char *
upload(VimgSliceStore *store, const char *name, guint32 seed, gsize slices)
{
    g_autoptr(VimgBuffer) content = helper_content(seed, slices * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    char *uuid = helper_create(store, name, content->size);

    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
    return uuid;
}

static void
assert_whole(VimgSliceStore *store, const char *uuid, guint32 seed, gsize slices)
{
    g_autoptr(VimgBuffer) content = helper_content(seed, slices * 64 * KIB, 0);

    helper_assert_content(store, uuid, content);
}

static void
remove_image(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    vimg_image_remove(store, uuid, &error);
    g_assert_no_error(error);
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

/* An upload that stops with @slices durable; its writer lives on. */
static VimgSliceWriter *
begin_upload(VimgSliceStore *store, const char *uuid, guint32 seed, gsize slices)
{
    g_autoptr(VimgBuffer) content = helper_content(seed, slices * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, 64 * KIB, FALSE, &error);
    g_assert_no_error(error);
    return writer;
}

static char *
abandon(VimgSliceStore *store, const char *name, guint32 seed, gsize slices)
{
    g_autoptr(GError) error = NULL;
    char *uuid = helper_create(store, name, slices * 64 * KIB);

    helper_finish(begin_upload(store, uuid, seed, slices), FALSE, 0, &error);
    g_assert_no_error(error);
    return uuid;
}

/* ---- what goes and what stays ----------------------------------------------------------- */

static void
test_trash(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *a = upload(store, "a", 1, 5);
    g_autofree char *b = upload(store, "b", 2, 4);
    g_autoptr(JsonObject) first = NULL;
    g_autoptr(JsonObject) dry = NULL;
    g_autoptr(JsonObject) second = NULL;

    remove_image(store, a);
    first = collect(store, FALSE);
    g_assert_cmpint(tally(first, "slices"), ==, 0);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 9);

    store->keep_deleted = 0;
    dry = collect(store, TRUE);
    g_assert_cmpint(tally(dry, "slices"), ==, 5);
    g_assert_cmpint(tally(dry, "expired"), ==, 1);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 9);

    second = collect(store, FALSE);
    g_assert_cmpint(tally(second, "slices"), ==, 5);
    g_assert_cmpint(tally(second, "expired"), ==, 1);
    g_assert_cmpint(json_object_get_int_member(second, "freed"), ==,
                    json_object_get_int_member(dry, "freed"));
    g_assert_cmpint(json_object_get_int_member(second, "freed"), >, 0);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 4);
    g_assert_cmpuint(count_names(store, "images"), ==, 1);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    assert_whole(store, b, 2, 4);
}

static void
test_shared(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = upload(store, "a", 1, 5);
    g_autofree char *b = upload(store, "b", 1, 3);
    g_autoptr(JsonObject) report = NULL;

    remove_image(store, a);
    store->keep_deleted = 0;
    report = collect(store, FALSE);
    /* helper_content() gives the same beginning for the same seed */
    g_assert_cmpint(tally(report, "slices"), ==, 2);
    assert_whole(store, b, 1, 3);
}

static void
test_abandoned(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *untouched = helper_create(store, "never uploaded", 64 * KIB);
    g_autofree char *left = abandon(store, "left", 1, 3);
    VimgSliceWriter *writer;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) first = collect(store, FALSE);
    g_autoptr(JsonObject) second = NULL;
    g_autoptr(JsonObject) third = NULL;

    g_assert_cmpint(tally(first, "abandoned"), ==, 0);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros + 3);

    store->keep_temporary = 0;
    writer = begin_upload(store, left, 1, 3);
    second = collect(store, FALSE);
    g_assert_cmpint(tally(second, "abandoned"), ==, 0);
    helper_finish(writer, FALSE, 0, &error);
    g_assert_no_error(error);

    third = collect(store, FALSE);
    g_assert_cmpint(tally(third, "abandoned"), ==, 1);
    g_assert_cmpint(tally(third, "slices"), ==, 3);
    g_assert_false(vimg_claim_holds(store, "left", left, &error));
    g_assert_cmpint(helper_state(store, untouched), ==, VIMG_IMAGE_SAVING);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros);
}

/* A disk without any space left can be emptied. */
static void
test_full(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *a = upload(store, "a", 1, 5);
    g_autofree char *b = upload(store, "b", 2, 4);
    g_autoptr(GError) error = NULL;
    VimgFileInfo info;

    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    /* nobody else has it */
    g_assert_null(vimg_lease_new(store, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_clear_error(&error);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    remove_image(store, a);
    remove_image(store, b);
    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    vimg_trash_purge(store, b, &error);
    g_assert_no_error(error);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    vimg_spare_make(store->transport);
    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    store->keep_deleted = 0;
    json_object_unref(collect(store, FALSE));
    g_assert_cmpuint(helper_count_slices(store), ==, zeros);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    /* a store that has none gets it */
    g_assert_cmpint(vimg_transport_unlink(store->transport, VIMG_SPARE_FILE), ==, 0);
    json_object_unref(collect(store, FALSE));
    g_assert_cmpint(vimg_transport_stat(store->transport, VIMG_SPARE_FILE, &info), ==, 0);
    g_assert_cmpuint(info.size, ==, MIB);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
}

/* @n slices that nobody needs in each of @prefixes directories. */
static void
litter(VimgSliceStore *store, guint prefixes, guint n)
{
    guint i;
    guint k;

    for (i = 0; i < prefixes; i++) {
        VimgSliceId id = {.bytes = {i >> 8, i & 0xff, 1}};
        g_autofree char *dir = vimg_slice_dir(&id);

        vimg_transport_mkdir(store->transport, dir);
        for (k = 0; k < n; k++) {
            g_autofree char *path = NULL;

            id.bytes[4] = k;
            path = vimg_slice_path(&id);
            g_assert_cmpint(vimg_transport_create(store->transport, path, "x", 1, TRUE), ==, 0);
        }
    }
}

/* The names of what is condemned take room too, of which the spare has only so much. */
static void
test_spare(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autoptr(GError) error = NULL;
    VimgLease *lease = vimg_lease_new(store, &error);
    g_autoptr(JsonObject) first = NULL;
    g_autoptr(JsonObject) second = NULL;
    gint64 waiting;

    g_assert_no_error(error);
    litter(store, 600, 10);
    memory_disk_set_fault(fixture->disk, &(Fault){.room = memory_disk_weigh(fixture->disk)});
    first = collect(store, FALSE);
    waiting = json_object_get_int_member(first, "waiting");
    g_assert_cmpint(waiting, >=, 2048);
    g_assert_cmpint(waiting, <, 2048 + 1024);
    vimg_lease_free(lease);
    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    second = collect(store, FALSE);
    g_assert_cmpint(tally(second, "slices"), ==, 6000);
    g_assert_cmpuint(helper_count_slices(store), ==, zeros);
}

/* An index that cannot be read: nothing is freed, and the message names it. */
static void
test_doubt(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = upload(store, "a", 1, 2);
    g_autofree char *b = upload(store, "b", 2, 2);
    g_autofree char *path = vimg_image_path(a, VIMG_IMAGE_INDEX);
    g_autoptr(VimgBuffer) index = helper_index(store, a);
    g_autofree guint8 *broken = g_memdup2(index->data, index->size);
    g_autoptr(GError) error = NULL;
    guint before;

    remove_image(store, b);
    store->keep_deleted = 0;
    before = helper_count_slices(store);
    broken[index->size - 60] ^= 1; /* an id: only the digest tells */
    g_assert_cmpint(vimg_transport_overwrite(store->transport, path, broken, index->size), ==, 0);
    g_assert_null(vimg_collect(store, FALSE, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_nonnull(strstr(error->message, a));
    g_clear_error(&error);
    g_assert_cmpint(vimg_transport_overwrite(store->transport, path, index->data, 50), ==, 0);
    g_assert_null(vimg_collect(store, FALSE, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_cmpuint(helper_count_slices(store), ==, before);
    g_assert_cmpuint(count_names(store, "gc/lock"), ==, 0);
    /* it does not block the next one */
    g_assert_cmpint(vimg_transport_overwrite(store->transport, path, index->data, index->size), ==,
                    0);
    json_object_unref(collect(store, FALSE));
    g_assert_cmpuint(helper_count_slices(store), ==, before - 2);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
}

/* A server far away that lists @left images fewer than there are, and says that these are all. */
typedef struct {
    VimgTransport parent;
    VimgTransport *inner;
    guint left;
} Short;

static void
short_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    const Short *self = (const Short *)transport;
    gsize i;

    vimg_transport_run(self->inner, ops, n);
    for (i = 0; i < n; i++) {
        if (ops[i].kind == VIMG_OP_LIST && ops[i].result == 0 &&
            strcmp(ops[i].path, "images") == 0 && !ops[i].infos)
            g_ptr_array_set_size(ops[i].names, (gint)(ops[i].names->len - self->left));
    }
}

static int
short_sync_all(VimgTransport *transport)
{
    return ENOSYS;
}

static int
short_space(VimgTransport *transport, VimgSpace *out)
{
    return vimg_transport_space(((Short *)transport)->inner, out);
}

static void
short_free(VimgTransport *transport)
{
    vimg_transport_free(((Short *)transport)->inner);
    g_free(transport);
}

static const VimgTransportOps short_ops = {
    .run = short_run,
    .sync_all = short_sync_all,
    .space = short_space,
    .free = short_free,
};

/* What an image needs that is there, though not listed, is not freed. */
static void
test_unlisted(Fixture *fixture, gconstpointer data)
{
    Short *far = g_new0(Short, 1);
    VimgSliceStore *store;
    g_autofree char *a = upload(fixture->store, "a", 1, 3);
    g_autofree char *b = upload(fixture->store, "b", 2, 3);
    g_autoptr(GError) error = NULL;
    guint before = helper_count_slices(fixture->store);

    far->parent.ops = &short_ops;
    far->parent.remote = TRUE;
    far->inner = memory_transport_new(fixture->disk, FALSE);
    store = helper_reopen(&far->parent);
    store->keep_deleted = G_MAXINT32;
    json_object_unref(collect(store, FALSE));
    far->left = 1;
    g_assert_null(vimg_collect(store, FALSE, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_true(strstr(error->message, a) || strstr(error->message, b));
    g_assert_cmpuint(helper_count_slices(fixture->store), ==, before);
    assert_whole(fixture->store, a, 1, 3);
    assert_whole(fixture->store, b, 2, 3);
    vimg_slice_store_free(store);
}

/* ---- waiting ---------------------------------------------------------------------------- */

/* A reader keeps what it reads; a later run frees it. */
static void
test_reader(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    guint zeros = helper_count_slices(store);
    g_autofree char *a = upload(store, "a", 1, 40);
    g_autoptr(VimgBuffer) content = helper_content(1, 40 * 64 * KIB, 0);
    g_autoptr(GError) error = NULL;
    VimgSliceReader *reader = vimg_slice_reader_open(store, a, 0, 0, NULL, &error);
    g_autoptr(JsonObject) report = NULL;
    gsize at = 0;

    g_assert_no_error(error);
    remove_image(store, a);
    store->keep_deleted = 0;
    report = collect(store, FALSE);
    g_assert_cmpint(tally(report, "slices"), ==, 0);
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
test_writer(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = upload(store, "a", 1, 6);
    g_autofree char *b = helper_create(store, "b", 6 * 64 * KIB);
    VimgSliceWriter *writer = begin_upload(store, b, 1, 6);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) report = NULL;

    remove_image(store, a);
    store->keep_deleted = 0;
    report = collect(store, FALSE);
    g_assert_cmpint(json_object_get_int_member(report, "waiting"), ==, 6);
    helper_finish(writer, TRUE, 6 * 64 * KIB, &error);
    g_assert_no_error(error);
    assert_whole(store, b, 1, 6);
    vimg_collect_rest(store);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    assert_whole(store, b, 1, 6);
}

/* The same for one that stays saving: its partial index brings the slices back. */
static void
test_partial(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = upload(store, "a", 1, 6);
    g_autofree char *b = helper_create(store, "b", 6 * 64 * KIB);
    g_autoptr(VimgBuffer) content = helper_content(1, 6 * 64 * KIB, 0);
    VimgSliceWriter *writer = begin_upload(store, b, 1, 6);
    g_autoptr(GError) error = NULL;

    remove_image(store, a);
    store->keep_deleted = 0;
    json_object_unref(collect(store, FALSE));
    helper_finish(writer, FALSE, 0, &error);
    g_assert_no_error(error);
    vimg_collect_rest(store);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
    helper_upload(store, b, content, &error);
    g_assert_no_error(error);
    helper_assert_content(store, b, content);
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
    remove_image(other, meeting->source);
    report = collect(other, FALSE);
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
        assert_whole(store, clone, 1, 3);
    *rescued |= clone && meeting.condemned == 3;
    vimg_slice_store_free(store);
    memory_disk_free(meeting.disk);
    return meeting.met;
}

static void
test_clone(Fixture *fixture, gconstpointer data)
{
    g_autofree char *source = upload(fixture->store, "a", 1, 3);
    gboolean rescued = FALSE;
    guint at = 1;

    while (clone_meeting(fixture->disk, source, at, &rescued))
        at++;
    g_assert_true(rescued);
}

/* ---- the lock --------------------------------------------------------------------------- */

static void
test_lock(Fixture *fixture, gconstpointer data)
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
test_take_over(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *a = upload(store, "a", 1, 3);
    g_autofree char *b = upload(store, "b", 2, 3);
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
    assert_whole(store, b, 2, 3);
    g_assert_cmpint(vimg_transport_unlink(store->transport, condemned), ==, ENOENT);
    vimg_gc_lock_end(other);
    vimg_gc_lock_end(stalled);
    g_clear_error(&error);
    json_object_unref(collect(store, FALSE));
    assert_whole(store, a, 1, 3);
    assert_whole(store, b, 2, 3);
    g_assert_cmpuint(helper_count_gc(store), ==, 0);
}

/* What no rule explains stays while somebody has a lease, and goes then. */
static void
test_rubbish(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    VimgLease *lease = vimg_lease_new(store, NULL);
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autofree char *gone = g_uuid_string_random();
    g_autoptr(JsonObject) first = NULL;
    g_autoptr(JsonObject) second = NULL;

    g_assert_cmpint(vimg_transport_mkdir(store->transport, dir), ==, 0);
    vimg_claim_take(store, "left", gone, NULL);
    first = collect(store, FALSE);
    g_assert_cmpint(tally(first, "rubbish"), ==, 0);
    /* an image is there before its claim: this one is nobody's */
    g_assert_cmpint(tally(first, "names"), ==, 1);
    vimg_lease_free(lease);
    second = collect(store, FALSE);
    g_assert_cmpint(tally(second, "rubbish"), ==, 1);
    g_assert_cmpuint(count_names(store, "images"), ==, 0);
    g_assert_cmpuint(count_names(store, "names"), ==, 0);
}

/* Two hosts write one image: the second is told who does. */
static void
test_writing(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgSliceStore) other = helper_reopen(memory_transport_new(fixture->disk, TRUE));
    g_autofree char *uuid = helper_create(store, "a", 64 * KIB);
    VimgSliceWriter *writer = begin_upload(store, uuid, 1, 1);
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
    g_test_add("/imagestore/collect/" NAME, Fixture, NULL, set_up, FUNC, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("trash", test_trash);
    ADD("shared", test_shared);
    ADD("abandoned", test_abandoned);
    if (memory_disk_is_memory()) {
        ADD("full", test_full);
        ADD("spare", test_spare);
    }
    ADD("doubt", test_doubt);
    ADD("unlisted", test_unlisted);
    ADD("reader", test_reader);
    ADD("writer", test_writer);
    ADD("partial", test_partial);
    ADD("clone", test_clone);
    ADD("lock", test_lock);
    ADD("take-over", test_take_over);
    ADD("rubbish", test_rubbish);
    ADD("writing", test_writing);
    return g_test_run();
}
