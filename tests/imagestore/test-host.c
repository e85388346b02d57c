/*
 * test-host.c: a store between its host and other hosts: services, space, rights, making
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clone.h"
#include "lease.h"
#include "memory-transport.h"
#include "pass-transport.h"
#include "publish.h"
#include "slice.h"
#include "slicer.h"
#include "store-helper.h"

/* ---- a transport with something happening in between -------------------------------------- */

typedef struct {
    PassTransport pass;
    guint left; /* operations until @happen; 0: never */
    void (*happen)(gpointer data);
    gpointer data;
    int create_result; /* what MKDIR and CREATE answer instead; 0: the truth */
    VimgSpace space;   /* total 0: the truth */
} Between;

static void
between_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    Between *between = (Between *)transport;
    gsize i;

    for (i = 0; i < n; i++) {
        if (between->left > 0 && --between->left == 0)
            between->happen(between->data);
        if (between->create_result &&
            (ops[i].kind == VIMG_OP_MKDIR || ops[i].kind == VIMG_OP_CREATE))
            ops[i].result = between->create_result;
        else
            vimg_transport_run(between->pass.inner, &ops[i], 1);
    }
}

static int
between_space(VimgTransport *transport, VimgSpace *out)
{
    Between *between = (Between *)transport;

    if (between->space.total == 0)
        return vimg_transport_space(between->pass.inner, out);
    *out = between->space;
    return 0;
}

static const VimgTransportOps between_ops = {
    .run = between_run,
    .sync_all = pass_sync_all,
    .space = between_space,
    .free = pass_free,
};

static Between *
between_new(MemoryDisk *disk)
{
    Between *between = g_new0(Between, 1);

    between->pass.parent.ops = &between_ops;
    between->pass.inner = memory_transport_new(disk, TRUE);
    return between;
}

/* ---- services ----------------------------------------------------------------------------- */

static struct {
    guint timers;
    guint seconds;
    void (*func)(gpointer data);
    gpointer data;
    guint removed;
    gboolean cancelled;
} host;

static void
host_log(VimgLogLevel level, const char *message)
{
}

static gboolean
host_cancelled(VimgPluginJob *job)
{
    return host.cancelled;
}

static guint
host_timer_add(guint seconds, void (*func)(gpointer data), gpointer data)
{
    /* the first is the one with heartbeats, the second goes on with collections */
    if (host.timers++ > 0)
        return 8;
    host.seconds = seconds;
    host.func = func;
    host.data = data;
    return 7;
}

static void
host_timer_remove(guint id)
{
    host.removed = id;
    host.timers--;
}

static const VimgServices services = {
    .abi = VIMG_PLUGIN_ABI,
    .size = sizeof(VimgServices),
    .log = host_log,
    .job_cancelled = host_cancelled,
    .timer_add = host_timer_add,
    .timer_remove = host_timer_remove,
};

static VimgPluginJob *
some_job(void)
{
    return (VimgPluginJob *)&host;
}

typedef struct {
    MemoryDisk *disk;
    Between *between;
    VimgSliceStore *store;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    memset(&host, 0, sizeof(host));
    vimg_services = &services;
    fixture->disk = memory_disk_new();
    fixture->between = between_new(fixture->disk);
    fixture->store = helper_store(&fixture->between->pass.parent);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    memory_disk_free(fixture->disk);
    vimg_services = NULL;
}

static gint64
heartbeat(const VimgLease *lease)
{
    VimgFileInfo info;

    g_assert_cmpint(vimg_transport_stat(lease->store->transport, lease->heartbeat, &info), ==, 0);
    return info.size;
}

/* The timer of the host writes the heartbeats of all leases, and makes none for those that ended.
 */
static void
test_heartbeat(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VimgLease *a = vimg_lease_new(fixture->store, &error);
    VimgLease *b = vimg_lease_new(fixture->store, &error);
    g_autofree char *ended = g_strdup(a->heartbeat);
    VimgFileInfo info;

    g_assert_no_error(error);
    g_assert_cmpuint(host.seconds, ==, 30);
    g_assert_cmpint(heartbeat(a), ==, 2);
    host.func(host.data);
    g_assert_cmpint(heartbeat(a), >, 2);
    g_assert_cmpint(heartbeat(b), >, 2);
    vimg_lease_free(a);
    host.func(host.data);
    g_assert_cmpint(vimg_transport_stat(fixture->store->transport, ended, &info), ==, ENOENT);
    vimg_lease_free(b);
    vimg_slice_store_free(g_steal_pointer(&fixture->store));
    g_assert_cmpuint(host.removed, ==, 7);
}

static guint
leases(VimgSliceStore *store)
{
    g_autoptr(GPtrArray) names = NULL;

    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &names), ==, 0);
    return names->len;
}

/* Every call with a job ends with ABORTED once the job is cancelled, and leaves nothing. */
static void
test_cancelled(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgBuffer) content = helper_content(1, 40 * 65536, 5);
    g_autofree char *done = helper_create(store, "done", 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autoptr(GError) error = NULL;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgPluginImage copy = {.size = sizeof(copy),
                            .uuid = (char *)"00000000-0000-4000-8000-00000000000c",
                            .name = (char *)"copy",
                            .format = (char *)"raw"};
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgExtent extent;
    VimgSliceReader *reader;
    VimgSliceWriter *writer;

    g_assert_true(helper_upload(store, done, content, &error));
    writer = vimg_slice_writer_open(store, uuid, &request, some_job(), &error);
    reader = vimg_slice_reader_open(store, done, 0, 0, some_job(), &error);
    g_assert_true(helper_feed(writer, content, 0, 65536, FALSE, &error));
    host.cancelled = TRUE;
    g_assert_false(helper_feed(writer, content, 0, 65536, FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&error);
    g_assert_false(vimg_slice_writer_hole(writer, 65536, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&error);
    g_assert_false(helper_finish(writer, TRUE, content->size, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_clear_error(&error);
    g_assert_cmpint(helper_state(store, uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_false(vimg_slice_reader_next(reader, &extent, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    vimg_slice_reader_close(reader);
    g_clear_error(&error);
    g_assert_false(vimg_clone(store, done, &copy, some_job(), &out, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
    g_assert_cmpuint(leases(store), ==, 0);
}

/* The last look at the slices of a large image takes a while: it can be cancelled too. */
static void
test_cancelled_check(Fixture *fixture, gconstpointer data)
{
    const VimgIndexSizes sizes = vimg_slicer_sizes(VIMG_CUT_FIXED, 65536);
    g_autoptr(VimgIndex) index = vimg_index_new(&sizes);
    g_autoptr(GError) error = NULL;
    guint64 allocation;
    guint32 i;

    for (i = 0; i < 1024; i++) {
        VimgSliceId id = {{1}};

        memcpy(id.bytes + 1, &i, sizeof(i));
        g_assert_true(vimg_index_append(index, 65536, &id, &error));
    }
    host.cancelled = TRUE;
    g_assert_false(vimg_publish_check(fixture->store, index, some_job(), &allocation, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ABORTED);
}

/* ---- space and rights --------------------------------------------------------------------- */

/* What a lease reserves is not there for others, on this host or another. */
static void
test_reservations(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) other = helper_reopen(memory_transport_new(fixture->disk, TRUE));
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgLease) a = vimg_lease_new(other, &error);
    g_autoptr(VimgLease) b = vimg_lease_new(fixture->store, &error);

    fixture->between->space = (VimgSpace){.total = 1000, .available = 600};
    fixture->store->space_reserve = 100;
    g_assert_true(vimg_lease_reserve(b, 500, TRUE, &error));
    g_assert_false(vimg_lease_reserve(b, 501, TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_clear_error(&error);
    g_assert_true(vimg_lease_reserve(a, 300, FALSE, &error));
    g_assert_true(vimg_lease_reserve(b, 200, TRUE, &error));
    g_assert_false(vimg_lease_reserve(b, 201, TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_clear_error(&error);
    /* a guess may be wrong, so it is not refused for others' guesses */
    g_assert_true(vimg_lease_reserve(b, 5000, FALSE, &error));
    fixture->between->space.available = 100;
    g_assert_false(vimg_lease_reserve(b, 1, FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_clear_error(&error);
    fixture->between->space.available = 600;
    vimg_lease_free(g_steal_pointer(&a));
    g_assert_true(vimg_lease_reserve(b, 500, TRUE, &error));
}

/* The last slice of a sparse image comes back as a hole, however short it is. */
static void
test_short_hole(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgBuffer) content = helper_content(1, 2 * 65536 + 100, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autoptr(GError) error = NULL;
    VimgSliceReader *reader;
    VimgExtent extent;

    memset(content->data + 2 * 65536, 0, 100);
    g_assert_true(helper_upload(store, uuid, content, &error));
    reader = vimg_slice_reader_open(store, uuid, 2 * 65536 + 10, 0, NULL, &error);
    g_assert_true(vimg_slice_reader_next(reader, &extent, &error));
    g_assert_cmpuint(extent.length, ==, 90);
    g_assert_null(extent.data);
    g_assert_true(vimg_slice_reader_next(reader, &extent, &error));
    g_assert_cmpuint(extent.length, ==, 0);
    vimg_slice_reader_close(reader);
}

/* Sixteen tebibytes of nothing are worth no more commits than a byte. */
static void
test_hole_commits(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autoptr(GError) error = NULL;
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

    memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
    g_assert_true(vimg_slice_writer_hole(writer, (guint64)1 << 44, &error));
    g_assert_true(helper_finish(writer, TRUE, (guint64)1 << 44, &error));
    g_assert_cmpuint(memory_disk_count(fixture->disk), <, 40);
}

/* A disk that fills up: what was stored is seen, and there to go on with. */
static void
test_fills_up(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgBuffer) content = helper_content(1, 40 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autoptr(GError) error = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    guint64 expected = 0;
    guint64 allocation = 0;
    guint64 position;
    gsize size;
    gsize i;

    for (i = 0; i < content->size; i += 65536) {
        g_assert_nonnull(vimg_slice_compress(tools, content->data + i, 65536,
                                             VIMG_COMPRESSION_DEFAULT, &size, &error));
        expected += size;
    }
    g_assert_true(helper_feed(writer, content, 0, 65536, FALSE, &error));
    while (allocation < expected)
        vimg_slice_writer_stat(writer, &allocation, &position);
    memory_disk_set_fault(fixture->disk, &(Fault){.space = 30000});
    content->data[0] ^= 1;
    while (helper_feed(writer, content, 0, 65536, FALSE, &error))
        content->data[0]++;
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_clear_error(&error);
    vimg_slice_writer_abort(writer);
    g_assert_true(vimg_image_stat(store, uuid, &image, &error));
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_SAVING);
    g_assert_cmpuint(image.allocation, ==, expected);
    g_assert_cmpuint(image.position, ==, 39 * 65536);
}

/* Nothing can be added to a full storage, but everything read and deleted. */
static void
test_full(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *other = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(helper_upload(store, uuid, content, &error));
    fixture->between->create_result = ENOSPC;
    helper_assert_content(store, uuid, content);
    g_assert_false(helper_try_create(store, "b", &other, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_clear_error(&error);
    /* the file system was mounted read-only after an error of its disk */
    fixture->between->create_result = EROFS;
    fixture->between->space = (VimgSpace){.total = 1000, .available = 0, .read_only = TRUE};
    helper_assert_content(store, uuid, content);
}

static void
test_read_only(Fixture *fixture, gconstpointer data)
{
    static const int results[] = {EROFS, EACCES, EPERM};
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_autoptr(GError) error = NULL;
    gsize i;

    g_assert_true(helper_upload(fixture->store, uuid, content, &error));
    for (i = 0; i < G_N_ELEMENTS(results); i++) {
        Between *between = between_new(fixture->disk);
        g_autoptr(VimgSliceStore) store = NULL;
        g_autofree char *other = NULL;
        VimgPluginStore found = {.size = sizeof(found)};

        between->create_result = results[i];
        store = helper_reopen(&between->pass.parent);
        g_assert_true(vimg_slice_store_probe(store, &found, &error));
        g_free(found.store_id);
        g_assert_true(found.read_only);
        g_assert_cmpuint(found.available, ==, 0);
        helper_assert_content(store, uuid, content);
        g_assert_false(helper_try_create(store, "b", &other, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
        g_clear_error(&error);
        g_assert_false(vimg_image_remove(store, uuid, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
        g_clear_error(&error);
        g_assert_false(vimg_image_set_error(store, uuid, "x", &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
        g_clear_error(&error);
    }
}

/* ---- two hosts make a store at the same place --------------------------------------------- */

/* ---- an image another host is at ---------------------------------------------------------- */

typedef struct {
    VimgSliceStore *other;
    const char *uuid;
} Change;

static void
change_twice(gpointer data)
{
    const Change *change = data;
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = (char *)change->uuid;
    image.description = (char *)"another";
    g_assert_true(vimg_image_set_metadata(change->other, &image, NULL));
    g_assert_true(vimg_image_set_metadata(change->other, &image, NULL));
}

static gboolean
count_image(const VimgPluginImage *image, gpointer data)
{
    ++*(guint *)data;
    return TRUE;
}

/* A listing shows an image also while another host writes one manifest after the other. */
static void
test_changed_while_listed(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = helper_create(fixture->store, "a", 100);
    VimgSliceStore *other = helper_reopen(memory_transport_new(fixture->disk, TRUE));
    Change change = {other, uuid};
    guint at;

    fixture->between->happen = change_twice;
    fixture->between->data = &change;
    for (at = 1; fixture->between->left == 0; at++) {
        guint seen = 0;

        fixture->between->left = at;
        g_assert_true(vimg_image_list(fixture->store, count_image, &seen, NULL));
        g_assert_cmpuint(seen, ==, 1);
    }
    g_assert_cmpuint(at, >, 4);
    vimg_slice_store_free(other);
}

/* Whoever gives up an upload that another host has completed leaves it its image. */
static void
test_discard(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 65536, 0);
    g_autofree char *half = helper_create(fixture->store, "half", 100);
    g_autofree char *whole = helper_create(fixture->store, "whole", 0);
    g_autoptr(GError) error = NULL;
    guint left = 0;

    g_assert_true(helper_upload(fixture->store, whole, content, &error));
    g_assert_true(vimg_image_discard(fixture->store, half, &error));
    g_assert_false(vimg_image_discard(fixture->store, whole, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_true(vimg_image_list(fixture->store, count_image, &left, NULL));
    g_assert_cmpuint(left, ==, 1);
    helper_assert_content(fixture->store, whole, content);
}

/* Whoever was told that an image is not active finds it so, unless the message says otherwise. */
static void
test_uncertain(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 65536, 0);
    guint uncertain = 0;
    gboolean through = FALSE;
    guint at;

    for (at = 1; !through; at++) {
        g_autofree char *name = g_strdup_printf("a%u", at);
        g_autofree char *uuid = helper_create(fixture->store, name, 0);
        g_autoptr(GError) error = NULL;
        gboolean told;

        memory_disk_set_fault(fixture->disk, &(Fault){.kind = FAULT_CRASH, .at = at});
        helper_upload(fixture->store, uuid, content, &error);
        through = memory_disk_count(fixture->disk) < at;
        memory_disk_set_fault(fixture->disk, &(Fault){FAULT_NONE});
        told = error && strstr(error->message, "may be active");
        uncertain += told;
        if (error && !told)
            g_assert_cmpint(helper_state(fixture->store, uuid), ==, VIMG_IMAGE_SAVING);
    }
    g_assert_cmpuint(uncertain, >, 0);
}

/* To publish what is there already is no failure, as after an answer that was lost. */
static void
test_publish_again(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 65536, 0);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(VimgIndex) index = NULL;
    g_autoptr(VimgIndex) less = NULL;
    g_autoptr(VimgLease) lease = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(helper_upload(fixture->store, uuid, content, &error));
    g_assert_true(vimg_image_load(fixture->store, uuid, &image, &error));
    index = vimg_image_index(fixture->store, &image, &error);
    g_assert_no_error(error);
    lease = vimg_lease_new(fixture->store, &error);
    vimg_publish_image(lease, image.manifest, index, NULL, &error);
    g_assert_no_error(error);
    helper_assert_content(fixture->store, uuid, content);
    less = vimg_index_copy(index, 0);
    g_assert_false(vimg_publish_image(lease, image.manifest, less, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    helper_assert_content(fixture->store, uuid, content);
}

static const VimgStoreParams params = {.slice_size = 1024 * 1024};

static void
make_there(gpointer data)
{
    g_autoptr(GError) error = NULL;
    VimgTransport *transport = memory_transport_new(data, TRUE);

    vimg_slice_store_make(transport, &params, &error);
    g_assert_no_error(error);
    vimg_transport_free(transport);
}

/* Whatever the one was doing when the other was done: there is one store, and it is whole. */
static void
test_making(gconstpointer data)
{
    guint at;

    for (at = 1;; at++) {
        MemoryDisk *disk = memory_disk_new();
        Between *between = between_new(disk);
        g_autoptr(VimgSliceStore) store = NULL;
        g_autoptr(GError) error = NULL;
        gboolean met;
        guint64 size;

        between->left = at;
        between->happen = make_there;
        between->data = disk;
        vimg_slice_store_make(&between->pass.parent, &params, &error);
        g_assert_no_error(error);
        met = between->left == 0;
        between->left = 0;
        store = helper_reopen(&between->pass.parent);
        for (size = params.slice_size; size <= VIMG_ZERO_MAX; size *= 2) {
            g_autofree char *path = vimg_slice_path(vimg_zero_id(size));
            VimgFileInfo info;

            g_assert_cmpint(vimg_transport_stat(store->transport, path, &info), ==, 0);
            g_assert_cmpuint(info.size, >, 0);
        }
        g_clear_pointer(&store, vimg_slice_store_free);
        memory_disk_free(disk);
        if (!met)
            break;
    }
    g_assert_cmpuint(at, >, 30);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/imagestore/host/heartbeat", test_heartbeat},
        {"/imagestore/host/cancelled", test_cancelled},
        {"/imagestore/host/cancelled-check", test_cancelled_check},
        {"/imagestore/host/reservations", test_reservations},
        {"/imagestore/host/short-hole", test_short_hole},
        {"/imagestore/host/full", test_full},
        {"/imagestore/host/fills-up", test_fills_up},
        {"/imagestore/host/hole-commits", test_hole_commits},
        {"/imagestore/host/read-only", test_read_only},
        {"/imagestore/host/changed-while-listed", test_changed_while_listed},
        {"/imagestore/host/discard", test_discard},
        {"/imagestore/host/publish-again", test_publish_again},
    };
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
    /* a server is not told to fail from one operation on */
    if (memory_disk_is_memory())
        g_test_add("/imagestore/host/uncertain", Fixture, NULL, set_up, test_uncertain, tear_down);
    g_test_add_data_func("/imagestore/host/making", NULL, test_making);
    return g_test_run();
}
