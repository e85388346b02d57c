/*
 * test-kept.c: what a store keeps count of: the bytes of a pool with a quota, the parents of images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "memory-transport.h"
#include "pass-transport.h"
#include "parent.h"
#include "slice.h"
#include "store-helper.h"

/* ---- a transport that counts and fails -------------------------------------------------- */

typedef struct {
    PassTransport pass;
    guint lists;     /* the crew works too: by __atomic builtins */
    gboolean broken; /* slices cannot be looked at */
} Watch;

static void
watch_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    Watch *watch = (Watch *)transport;
    gsize i;

    for (i = 0; i < n; i++) {
        __atomic_add_fetch(&watch->lists, ops[i].kind == VIMG_OP_LIST, __ATOMIC_RELAXED);
        if (watch->broken && ops[i].kind == VIMG_OP_LIST &&
            g_str_has_prefix(ops[i].path, VIMG_SLICES_DIR "/"))
            ops[i].result = EIO;
        else
            vimg_transport_run(watch->pass.inner, &ops[i], 1);
    }
}

static const VimgTransportOps watch_ops = {
    .run = watch_run,
    .sync_all = pass_sync_all,
    .space = pass_space,
    .free = pass_free,
};

typedef struct {
    MemoryDisk *disk;
    Watch *watch;
    VimgSliceStore *store;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->disk = memory_disk_new();
    fixture->watch = g_new0(Watch, 1);
    fixture->watch->pass.parent.ops = &watch_ops;
    fixture->watch->pass.inner = memory_transport_new(fixture->disk, TRUE);
    fixture->store = helper_store(&fixture->watch->pass.parent);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    memory_disk_free(fixture->disk);
}

static guint64
used(VimgSliceStore *store)
{
    guint64 bytes = 0;

    g_assert_cmpint(vimg_usage_count(store->usage, store->transport, &bytes), ==, 0);
    return bytes;
}

static void
upload(VimgSliceStore *store, const char *uuid, const VimgBuffer *content)
{
    g_autoptr(GError) error = NULL;

    helper_upload(store, uuid, content, &error);
    g_assert_no_error(error);
}

/* ---- quota ------------------------------------------------------------------------------ */

/* What is counted is what lies there: slices once, whoever stored them, until they are gone. */
static void
test_usage(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) other = helper_reopen(memory_transport_new(fixture->disk, TRUE));
    g_autoptr(VimgBuffer) content = helper_content(1, 8 * 65536, 0);
    g_autofree char *a = helper_create(fixture->store, "a", 0);
    g_autofree char *b = helper_create(other, "b", 0);
    guint64 zeros = used(fixture->store);
    guint64 stored;

    g_assert_cmpuint(zeros, >, 0);
    upload(other, b, content);
    stored = used(fixture->store);
    g_assert_cmpuint(stored, >, zeros + content->size / 4);
    g_assert_cmpuint(stored, <, zeros + content->size);
    g_assert_cmpuint(used(other), ==, stored);
    upload(fixture->store, a, content);
    g_assert_cmpuint(used(fixture->store), ==, stored);
    {
        VimgSliceTools *tools = vimg_slice_tools_new();
        g_autofree char *path = NULL;
        VimgSliceId id;
        VimgFileInfo info;

        vimg_slice_hash(tools, content->data, 65536, &id);
        vimg_slice_tools_free(tools);
        path = vimg_slice_path(&id);
        g_assert_cmpint(vimg_transport_stat(other->transport, path, &info), ==, 0);
        g_assert_cmpint(vimg_transport_unlink(other->transport, path), ==, 0);
        g_assert_cmpuint(used(fixture->store), ==, stored - info.size);
    }
}

/* Directories that did not change are not looked into again; a look that failed is no look. */
static void
test_looks(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgBuffer) content = helper_content(1, 8 * 65536, 0);
    g_autofree char *a = helper_create(store, "a", 0);
    guint64 bytes;
    guint64 truth;
    guint lists;

    upload(store, a, content);
    fixture->watch->broken = TRUE;
    g_assert_cmpint(vimg_usage_count(store->usage, store->transport, &bytes), ==, EIO);
    fixture->watch->broken = FALSE;
    truth = used(store);
    g_assert_cmpuint(truth, >, content->size / 4);
    lists = fixture->watch->lists;
    g_assert_cmpuint(used(store), ==, truth); /* too soon to rely on anything */
    g_assert_cmpuint(fixture->watch->lists, >, lists + 1);
    vimg_usage_age(store->usage);
    g_assert_cmpuint(used(store), ==, truth);
    lists = fixture->watch->lists;
    g_assert_cmpuint(used(store), ==, truth);
    g_assert_cmpuint(fixture->watch->lists, ==, lists + 1); /* of the prefixes themselves */
    {
        g_autoptr(VimgBuffer) more = helper_content(2, 65536, 0);
        g_autofree char *b = helper_create(store, "b", 0);

        upload(store, b, more);
    }
    g_assert_cmpuint(used(store), >, truth);
}

/* Looks in the middle of an upload forget nothing that it has staged. */
static void
test_quota_staged(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgBuffer) content = helper_content(1, 64 * 65536, 0);
    g_autofree char *a = helper_create(store, "a", 0);
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer;
    gsize at;

    store->quota = used(store) + 6 * 65536;
    writer = vimg_slice_writer_open(store, a, &request, NULL, &error);
    g_assert_no_error(error);
    for (at = 0; !error && at < content->size; at += 65536) {
        vimg_slice_writer_write(writer, content, at, 65536, &error);
        g_assert_cmpuint(used(store), <=, store->quota);
    }
    if (error)
        vimg_slice_writer_abort(writer);
    else
        helper_finish(writer, TRUE, content->size, &error);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_assert_cmpuint(used(store), <=, store->quota);
    g_assert_cmpint(helper_state(store, a), ==, VIMG_IMAGE_SAVING);
}

/* An upload that would go beyond it ends with the numbers; what is stored already costs nothing. */
static void
test_quota(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgBuffer) content = helper_content(1, 8 * 65536, 0);
    g_autoptr(VimgBuffer) more = helper_content(2, 8 * 65536, 0);
    g_autofree char *a = helper_create(store, "a", 0);
    g_autofree char *b = helper_create(store, "b", 0);
    g_autofree char *c = helper_create(store, "c", 0);
    g_autofree char *d = helper_create(store, "d", 0);
    g_autofree char *number = NULL;
    VimgPluginStore shown = {.size = sizeof(shown)};
    VimgWriteRequest request = {
        .size = sizeof(request), .length = more->size, .reserve = more->size};
    g_autoptr(GError) error = NULL;

    upload(store, a, content);
    store->quota = used(store) + 3 * 65536;
    upload(store, b, content);
    g_assert_false(helper_upload(store, c, more, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    number = g_strdup_printf("%" G_GUINT64_FORMAT, store->quota);
    g_assert_nonnull(strstr(error->message, number));
    g_clear_error(&error);
    g_assert_cmpuint(used(store), <=, store->quota);
    g_assert_cmpint(helper_state(store, c), ==, VIMG_IMAGE_SAVING);
    /* announced, it is refused before the first byte */
    g_assert_null(vimg_slice_writer_open(store, c, &request, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SPACE);
    g_assert_nonnull(strstr(error->message, number));
    g_clear_error(&error);
    g_assert_true(vimg_slice_store_probe(store, &shown, &error));
    g_assert_cmpuint(shown.capacity, ==, store->quota);
    g_assert_cmpuint(shown.allocation, ==, used(store));
    g_assert_cmpuint(shown.available, ==, store->quota - shown.allocation);
    g_free(shown.store_id);
    /* a full pool still takes what it holds */
    store->quota = 1;
    upload(store, d, content);
    store->quota = G_MAXINT64;
    upload(store, c, more);
    helper_assert_content(store, c, more);
}

/* ---- parents ---------------------------------------------------------------------------- */

static char *
parent_of(VimgSliceStore *store, const char *uuid)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_image_stat(store, uuid, &image, &error);
    g_assert_no_error(error);
    return g_strdup(image.parent);
}

static gboolean
ignore_image(const VimgPluginImage *image, gpointer data)
{
    return TRUE;
}

/* The image that holds most of the new one, among the last, also after a restart. */
static void
test_parent(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    g_autoptr(VimgSliceStore) restarted = NULL;
    g_autoptr(VimgBuffer) first = helper_content(1, 16 * 65536, 0);
    g_autoptr(VimgBuffer) second = helper_content(1, 16 * 65536, 0);
    g_autoptr(VimgBuffer) foreign = helper_content(9, 16 * 65536, 0);
    g_autofree char *a = helper_create(store, "a", 0);
    g_autofree char *b = helper_create(store, "b", 0);
    g_autofree char *c = helper_create(store, "c", 0);
    g_autofree char *d = helper_create(store, "d", 0);
    g_autofree char *e = helper_create(store, "e", 0);
    g_autofree char *parent = NULL;

    upload(store, a, first);
    g_assert_null(parent_of(store, a));
    upload(store, b, foreign);
    g_assert_null(parent_of(store, b));
    memset(second->data, 1, 5 * 65536);
    upload(store, c, second);
    parent = parent_of(store, c);
    g_assert_cmpstr(parent, ==, a);
    restarted = helper_reopen(memory_transport_new(fixture->disk, TRUE));
    g_assert_true(vimg_image_list(restarted, ignore_image, NULL, NULL));
    /* c and a hold as much of it up to here; c holds more */
    memset(second->data + 6 * 65536, 2, 65536);
    upload(restarted, d, second);
    g_free(parent);
    parent = parent_of(restarted, d);
    g_assert_cmpstr(parent, ==, c);
    /* none that was deleted */
    g_assert_true(vimg_image_remove(restarted, c, NULL));
    g_assert_true(vimg_image_remove(restarted, d, NULL));
    upload(restarted, e, second);
    g_free(parent);
    parent = parent_of(restarted, e);
    g_assert_cmpstr(parent, ==, a);
}

static void
test_recent(Fixture *fixture, gconstpointer data)
{
    VimgSliceStore *store = fixture->store;
    gint64 i;

    for (i = 0; i < 40; i++) {
        g_autofree char *uuid = g_strdup_printf("%036d", (int)(i * 7 % 40));

        vimg_parent_note(store, uuid, i * 7 % 40);
    }
    for (i = 0; i < VIMG_RECENT; i++)
        g_assert_cmpint(store->recent[i].stored, ==, 39 - i);
    vimg_parent_forget(store, store->recent[3].uuid);
    g_assert_cmpint(store->recent[3].stored, ==, 35);
    g_assert_cmpstr(store->recent[VIMG_RECENT - 1].uuid, ==, "");
}

static void
add(const char *path, void (*test)(Fixture *, gconstpointer))
{
    g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/imagestore/usage/counted", test_usage);
    add("/imagestore/usage/looks", test_looks);
    add("/imagestore/quota", test_quota);
    add("/imagestore/quota/staged", test_quota_staged);
    add("/imagestore/parent/found", test_parent);
    add("/imagestore/parent/recent", test_recent);
    return g_test_run();
}
