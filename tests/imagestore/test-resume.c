/*
 * test-resume.c: an upload goes on where it was interrupted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>

#include "memory-fixture.h"
#include "pass-transport.h"
#include "slice.h"

static VimgSliceWriter *
open_at(VimgSliceStore *store, const char *uuid, guint64 offset, GError **error)
{
    VimgWriteRequest request = {.size = sizeof(request), .offset = offset};

    return vimg_slice_writer_open(store, uuid, &request, NULL, error);
}

/* Stores the bytes from @from to @to of @content, without sealing. */
static void
store_part(VimgSliceStore *store, const char *uuid, const VimgBuffer *content, gsize from, gsize to)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) part = vimg_buffer_new(to);
    VimgSliceWriter *writer = open_at(store, uuid, from, &error);

    g_assert_no_error(error);
    memcpy(part->data, content->data, to);
    helper_feed(writer, part, from, 50000, from % 2, &error);
    g_assert_no_error(error);
    helper_finish(writer, FALSE, 0, &error);
    g_assert_no_error(error);
}

static guint64
position(VimgSliceStore *store, const char *uuid, guint64 *durable)
{
    g_autoptr(GError) error = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

    vimg_image_stat(store, uuid, &image, &error);
    g_assert_no_error(error);
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_SAVING);
    *durable = image.physical;
    return image.position;
}

/* The places where an upload of 16 blocks is interrupted, in turn. */
static const gsize places[] = {
    1,      100,    65535,  65536,  65537,  131072, 131073, 200000, 262144, 300000,
    327680, 393216, 400000, 458752, 524288, 589824, 600000, 655360, 800000, 900001,
};

/* The format, and where each part begins. */
typedef struct {
    const char *path;
    const char *format;
    enum {
        FROM_START,
        FROM_POSITION,
        FROM_END
    } from;
} Way;

static const Way ways[] = {
    {"/imagestore/resume/same-index/raw/from-start", "raw", FROM_START},
    {"/imagestore/resume/same-index/raw/from-position", "raw", FROM_POSITION},
    {"/imagestore/resume/same-index/raw/from-end", "raw", FROM_END},
    {"/imagestore/resume/same-index/qcow2/from-start", "qcow2", FROM_START},
    {"/imagestore/resume/same-index/qcow2/from-position", "qcow2", FROM_POSITION},
    {"/imagestore/resume/same-index/qcow2/from-end", "qcow2", FROM_END},
};

static void
test_same_index(MemoryFixture *fixture, gconstpointer data)
{
    const Way *way = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) content = helper_content(1, 16 * 65536 + 5, 0);
    g_autofree char *straight = helper_create_format(fixture->store, "straight", way->format);
    g_autofree char *resumed = helper_create_format(fixture->store, "resumed", way->format);
    g_autoptr(VimgBuffer) index_a = NULL;
    g_autoptr(VimgBuffer) index_b = NULL;
    VimgSliceWriter *writer;
    gsize i;

    /* zero runs across the places, so that zero slices grow from one part to the next */
    memset(content->data + 65536, 0, 3 * 65536 + 10);
    memset(content->data + 7 * 65536, 0, 5 * 65536);
    g_assert_true(helper_upload(fixture->store, straight, content, &error));
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        guint64 durable;
        guint64 from = position(fixture->store, resumed, &durable);

        g_assert_cmpuint(durable, ==, i ? places[i - 1] : 0);
        g_assert_true(from == 0 || from + 65536 <= durable);
        g_assert_cmpuint(from % 65536, ==, 0);
        if (way->from == FROM_START)
            from = 0;
        else if (way->from == FROM_END)
            from = durable;
        store_part(fixture->store, resumed, content, from, places[i]);
    }
    writer = open_at(fixture->store, resumed, way->from == FROM_END ? 900001 : 0, &error);
    g_assert_no_error(error);
    helper_feed(writer, content, way->from == FROM_END ? 900001 : 0, 7777, TRUE, &error);
    g_assert_no_error(error);
    helper_finish(writer, TRUE, content->size, &error);
    g_assert_no_error(error);
    helper_assert_content(fixture->store, resumed, content);
    index_a = helper_index(fixture->store, straight);
    index_b = helper_index(fixture->store, resumed);
    g_assert_cmpmem(index_a->data, index_a->size, index_b->data, index_b->size);
}

/* One byte changed below the durable end: its offset is named, and nothing is lost. */
static void
test_difference(MemoryFixture *fixture, gconstpointer data)
{
    static const gsize offsets[] = {0, 65535, 65536, 3 * 65536 + 7, 6 * 65536, 7 * 65536 + 99};
    g_autoptr(VimgBuffer) content = helper_content(2, 9 * 65536, 0);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_autoptr(GError) error = NULL;
    gsize i;

    memset(content->data + 6 * 65536, 0, 65536);
    store_part(fixture->store, uuid, content, 0, 7 * 65536 + 100);
    for (i = 0; i < G_N_ELEMENTS(offsets); i++) {
        g_autofree char *named = g_strdup_printf("offset %zu ", offsets[i]);

        content->data[offsets[i]] ^= 1;
        g_assert_false(helper_upload(fixture->store, uuid, content, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
        g_assert_nonnull(strstr(error->message, named));
        g_clear_error(&error);
        content->data[offsets[i]] ^= 1;
    }
    g_assert_true(helper_upload(fixture->store, uuid, content, &error));
    helper_assert_content(fixture->store, uuid, content);
}

static void
test_bounds(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(3, 4 * 65536, 0);
    g_autoptr(VimgBuffer) shorter = helper_content(3, 2 * 65536, 0);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_autoptr(GError) error = NULL;

    store_part(fixture->store, uuid, content, 0, 3 * 65536 + 1);
    g_assert_null(open_at(fixture->store, uuid, 3 * 65536 + 2, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_assert_nonnull(strstr(error->message, "196609"));
    g_clear_error(&error);
    g_assert_false(helper_upload(fixture->store, uuid, shorter, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_nonnull(strstr(error->message, "196609"));
    g_clear_error(&error);
    g_assert_true(helper_upload(fixture->store, uuid, content, &error));
    /* sealed for good */
    g_assert_null(open_at(fixture->store, uuid, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
}

static void
test_wipe(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) first = helper_content(4, 4 * 65536, 0);
    g_autoptr(VimgBuffer) second = helper_content(5, 3 * 65536, 0);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_autoptr(GError) error = NULL;
    guint64 durable;

    store_part(fixture->store, uuid, first, 0, first->size);
    g_assert_true(vimg_image_wipe(fixture->store, uuid, &error));
    g_assert_cmpuint(position(fixture->store, uuid, &durable), ==, 0);
    g_assert_cmpuint(durable, ==, 0);
    g_assert_true(helper_upload(fixture->store, uuid, second, &error));
    helper_assert_content(fixture->store, uuid, second);
    g_assert_false(vimg_image_wipe(fixture->store, uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
}

static void
test_abort_keeps(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(6, 4 * 65536 + 9, 0);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer = open_at(fixture->store, uuid, 0, &error);
    guint64 durable;

    helper_feed(writer, content, 0, 10000, FALSE, &error);
    g_assert_no_error(error);
    vimg_slice_writer_abort(writer);
    g_assert_cmpuint(position(fixture->store, uuid, &durable), ==, 3 * 65536);
    g_assert_cmpuint(durable, ==, 4 * 65536);
    g_assert_true(helper_upload(fixture->store, uuid, content, &error));
    helper_assert_content(fixture->store, uuid, content);
}

/* What is below the offset is given back piece by piece, whatever its slices. */
static void
test_read(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(7, 5 * 65536 + 9, 0);
    g_autoptr(VimgBuffer) found = vimg_buffer_new(content->size);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer;
    gsize at = 0;
    gsize holes = 0;

    memset(content->data + 65536, 0, 2 * 65536);
    store_part(fixture->store, uuid, content, 0, content->size);
    writer = open_at(fixture->store, uuid, content->size, &error);
    g_assert_no_error(error);
    while (at < content->size) {
        gsize most = MIN(50000, content->size - at);
        VimgExtent extent = {0};

        g_assert_true(vimg_slice_writer_read(writer, at, most, &extent, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(extent.length, >, 0);
        g_assert_cmpuint(extent.length, <=, most);
        if (extent.data)
            memcpy(found->data + at, extent.data->data + extent.offset, extent.length);
        else
            memset(found->data + at, 0, extent.length);
        holes += extent.data ? 0 : extent.length;
        vimg_buffer_unref(extent.data);
        at += extent.length;
    }
    g_assert_cmpmem(found->data, found->size, content->data, content->size);
    g_assert_cmpuint(holes, ==, 2 * 65536);
    {
        VimgExtent extent = {0};

        g_assert_false(vimg_slice_writer_read(writer, content->size, 1, &extent, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    }
    vimg_slice_writer_abort(writer);
}

/* Nothing is believed unseen: a slice that is not what its name says is damage. */
static void
test_read_damaged(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(8, 2 * 65536, 0);
    g_autofree char *uuid = helper_create(fixture->store, "a", 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    VimgSliceWriter *writer;
    VimgExtent extent = {0};
    VimgSliceId id;
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();

    store_part(fixture->store, uuid, content, 0, content->size);
    writer = open_at(fixture->store, uuid, content->size, &error);
    g_assert_no_error(error);
    vimg_slice_hash(tools, content->data, 65536, &id);
    path = vimg_slice_path(&id);
    g_assert_cmpint(vimg_transport_unlink(fixture->store->transport, path), ==, 0);
    g_assert_false(vimg_slice_writer_read(writer, 0, 65536, &extent, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_assert_null(extent.data);
    vimg_slice_writer_abort(writer);
}

/* Its format is not known before it is sealed. */
static void
test_undeclared(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(9, 65536, 0);
    g_autofree char *uuid = g_uuid_string_random();
    g_autoptr(GError) error = NULL;
    VimgPluginImage image = {
        .size = sizeof(image), .uuid = uuid, .name = (char *)"a", .capacity = 10};
    VimgPluginImage sealed = {.size = sizeof(sealed), .format = (char *)"qcow2", .capacity = 20};
    g_auto(VimgPluginImage) created = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) saving = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) active = VIMG_PLUGIN_IMAGE_INIT;
    VimgSliceWriter *writer;

    g_assert_true(vimg_image_create(fixture->store, &image, &created, &error));
    g_assert_null(created.format);
    store_part(fixture->store, uuid, content, 0, 100);
    g_assert_true(vimg_image_stat(fixture->store, uuid, &saving, &error));
    g_assert_null(saving.format);
    writer = open_at(fixture->store, uuid, 0, &error);
    g_assert_no_error(error);
    helper_feed(writer, content, 0, 50000, FALSE, &error);
    g_assert_true(vimg_slice_writer_finish(writer, TRUE, &sealed, &active, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(active.format, ==, "qcow2");
    g_assert_cmpuint(active.capacity, ==, 20);
}

static void
add(const char *path, void (*test)(MemoryFixture *, gconstpointer), gconstpointer data)
{
    memory_fixture_add(path, data, test);
}

/* ---- a storage that hangs --------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gboolean stuck; /* what is stored cannot be read: not yet */
    guint reading;
} hang = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

typedef struct {
    PassTransport pass;
} Hanging;

static void
wait_if_stuck(const VimgOp *op)
{
    if (op->kind != VIMG_OP_READ || !g_str_has_prefix(op->path, VIMG_SLICES_DIR))
        return;
    pthread_mutex_lock(&hang.lock);
    hang.reading++;
    pthread_cond_broadcast(&hang.changed);
    while (hang.stuck)
        pthread_cond_wait(&hang.changed, &hang.lock);
    pthread_mutex_unlock(&hang.lock);
}

static void
hanging_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    gsize i;

    for (i = 0; i < n; i++)
        wait_if_stuck(&ops[i]);
    vimg_transport_run(((Hanging *)transport)->pass.inner, ops, n);
}

static const VimgTransportOps hanging_ops = {
    .run = hanging_run,
    .sync_all = pass_sync_nothing,
    .space = pass_space,
    .free = pass_free,
};

static void
set_stuck(gboolean stuck)
{
    pthread_mutex_lock(&hang.lock);
    hang.stuck = stuck;
    pthread_cond_broadcast(&hang.changed);
    pthread_mutex_unlock(&hang.lock);
}

/* Whoever compares with a storage that hangs does not hold up the uploads to others. */
static void
test_hanging(MemoryFixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 40 * 65536, 0);
    g_autoptr(VimgBuffer) other = helper_content(2, 40 * 65536, 0);
    MemoryDisk *disk = memory_disk_new();
    Hanging *hanging = g_new0(Hanging, 1);
    VimgSliceStore *far;
    VimgSliceWriter *writer;
    g_autofree char *there = NULL;
    g_autofree char *here = helper_create(fixture->store, "here", 0);
    g_autoptr(GError) error = NULL;

    hanging->pass.parent.ops = &hanging_ops;
    hanging->pass.parent.remote = TRUE;
    hanging->pass.inner = memory_transport_new(disk, FALSE);
    far = helper_store(&hanging->pass.parent);
    there = helper_create(far, "there", 0);
    store_part(far, there, content, 0, content->size);
    set_stuck(TRUE);
    writer = open_at(far, there, 0, &error);
    g_assert_no_error(error);
    helper_feed(writer, other, 0, 65536, FALSE, NULL);
    pthread_mutex_lock(&hang.lock);
    while (hang.reading == 0)
        pthread_cond_wait(&hang.changed, &hang.lock);
    pthread_mutex_unlock(&hang.lock);
    g_assert_true(helper_upload(fixture->store, here, content, &error));
    set_stuck(FALSE);
    g_assert_false(helper_finish(writer, FALSE, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    vimg_slice_store_free(far);
    memory_disk_free(disk);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(ways); i++)
        add(ways[i].path, test_same_index, &ways[i]);
    add("/imagestore/resume/difference", test_difference, NULL);
    add("/imagestore/resume/bounds", test_bounds, NULL);
    add("/imagestore/resume/wipe", test_wipe, NULL);
    add("/imagestore/resume/abort-keeps", test_abort_keeps, NULL);
    add("/imagestore/resume/read", test_read, NULL);
    add("/imagestore/resume/read-damaged", test_read_damaged, NULL);
    add("/imagestore/resume/undeclared", test_undeclared, NULL);
    add("/imagestore/resume/hanging", test_hanging, NULL);
    return g_test_run();
}
