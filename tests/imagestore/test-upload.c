/*
 * test-upload.c: what comes back from a store is what went in, and the index tells only of content
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "clone.h"
#include "store-helper.h"

typedef struct {
    char *dir;
    VimgSliceStore *store;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->dir = helper_dir();
    fixture->store = helper_store(helper_transport(fixture->dir));
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    helper_remove_dir(fixture->dir);
    g_free(fixture->dir);
}

/* How one and the same content comes in. */
static const struct {
    const char *name;
    gsize piece;
    gboolean sparse;
} ways[] = {
    {"packets", 262120, FALSE}, {"slices", 64 * 1024, FALSE}, {"holes", 64 * 1024, TRUE},
    {"odd", 1021, TRUE},        {"pages", 4096, TRUE},        {"large", 1 << 20, FALSE},
};

static const gsize sizes[] = {
    0, 1, 511, 65535, 65536, 65537, 131072, 196608, 2 * 131073, 40 * 65536 + 7, 40 * 65536 - 7,
};

static char *
upload_way(VimgSliceStore *store, const char *name, const VimgBuffer *content, gsize piece,
           gboolean sparse)
{
    g_autoptr(GError) error = NULL;
    char *uuid = helper_create(store, name, content->size);
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, piece, sparse, &error);
    g_assert_no_error(error);
    helper_finish(writer, TRUE, content->size, &error);
    g_assert_no_error(error);
    return uuid;
}

static void
assert_same_index(VimgSliceStore *store, const char *a, const char *b)
{
    g_autoptr(VimgBuffer) index_a = helper_index(store, a);
    g_autoptr(VimgBuffer) index_b = helper_index(store, b);

    g_assert_cmpmem(index_a->data, index_a->size, index_b->data, index_b->size);
}

static void
test_ways(Fixture *fixture, gconstpointer data)
{
    guint zero_every = GPOINTER_TO_UINT(data);
    gsize i;
    gsize j;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(VimgBuffer) content = helper_content(1, sizes[i], zero_every);
        g_autofree char *first = NULL;

        for (j = 0; j < G_N_ELEMENTS(ways); j++) {
            g_autofree char *name = g_strdup_printf("%s.%zu", ways[j].name, sizes[i]);
            g_autofree char *uuid =
                upload_way(fixture->store, name, content, ways[j].piece, ways[j].sparse);

            helper_assert_content(fixture->store, uuid, content);
            if (first)
                assert_same_index(fixture->store, first, uuid);
            else
                first = g_steal_pointer(&uuid);
        }
    }
}

static void
test_ranges(Fixture *fixture, gconstpointer data)
{
    static const struct {
        guint64 offset, length;
    } ranges[] = {
        {0, 1},          {65535, 2}, {65536, 65536},  {100, 300000},
        {7 * 65536, 10}, {0, 0},     {2000000, 9999}, {G_MAXINT64, 5},
    };
    g_autoptr(VimgBuffer) content = helper_content(2, 20 * 65536 + 99, 3);
    g_autofree char *uuid = upload_way(fixture->store, "a", content, 262120, FALSE);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(ranges); i++) {
        g_autoptr(GError) error = NULL;
        guint64 start = MIN(ranges[i].offset, content->size);
        guint64 length =
            ranges[i].length ? MIN(ranges[i].length, content->size - start) : content->size - start;
        g_autoptr(VimgBuffer) found =
            helper_download(fixture->store, uuid, ranges[i].offset, ranges[i].length, &error);

        g_assert_no_error(error);
        g_assert_cmpmem(found->data, found->size, content->data + start, length);
    }
}

/* Sixteen tebibytes of hole between two bytes. */
static void
test_huge_hole(Fixture *fixture, gconstpointer data)
{
    const guint64 hole = (guint64)1 << 44;
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = helper_create(fixture->store, "huge", 0);
    g_autoptr(VimgBuffer) byte = vimg_buffer_new(1);
    g_autoptr(VimgBuffer) index = NULL;
    g_autoptr(VimgBuffer) last = NULL;
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(fixture->store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    byte->data[0] = 'x';
    g_assert_true(vimg_slice_writer_write(writer, byte, 0, 1, &error));
    g_assert_true(vimg_slice_writer_hole(writer, hole, &error));
    g_assert_true(vimg_slice_writer_write(writer, byte, 0, 1, &error));
    helper_finish(writer, TRUE, hole + 2, &error);
    g_assert_no_error(error);
    index = helper_index(fixture->store, uuid);
    g_assert_cmpuint(index->size, <, 16 * MIB);
    last = helper_download(fixture->store, uuid, hole - 1, 3, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(last->data, last->size, "\0\0x", 3);
}

static void
test_known_slices(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(3, 30 * 65536, 0);
    g_autofree char *a = upload_way(fixture->store, "a", content, 262120, FALSE);
    g_autofree char *command = g_strdup_printf(
        "sh -c 'find %s/slices.castr -type f | sort | xargs stat -c \"%%i %%n\"'", fixture->dir);
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_autofree char *b = NULL;

    g_assert_true(g_spawn_command_line_sync(command, &before, NULL, NULL, NULL));
    b = upload_way(fixture->store, "b", content, 4096, TRUE);
    g_assert_true(g_spawn_command_line_sync(command, &after, NULL, NULL, NULL));
    g_assert_cmpstr(before, ==, after);
    assert_same_index(fixture->store, a, b);
}

static void
test_clone(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) content = helper_content(4, 30 * 65536 + 1, 4);
    g_autofree char *source = upload_way(fixture->store, "a", content, 262120, FALSE);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup("a");
    image.format = g_strdup("raw");
    g_assert_false(vimg_clone(fixture->store, source, &image, NULL, &out, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_assert_cmpstr(error->message, ==, "'a'");
    g_clear_error(&error);
    g_free(image.name);
    image.name = g_strdup("b");
    vimg_clone(fixture->store, source, &image, NULL, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpuint(out.physical, ==, content->size);
    helper_assert_content(fixture->store, image.uuid, content);
    assert_same_index(fixture->store, source, image.uuid);
}

/* The stock tool reads the store. */
static void
test_casync_extract(Fixture *fixture, gconstpointer data)
{
    g_autofree char *casync = g_find_program_in_path("casync");
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) content = helper_content(5, 200 * 65536 + 77, 3);
    g_autofree char *uuid = NULL;
    g_autofree char *out = g_build_filename(fixture->dir, "out", NULL);
    g_autofree char *store = g_strdup_printf("--store=%s/slices.castr", fixture->dir);
    g_autofree char *index = NULL;
    g_autofree char *found = NULL;
    gsize size;
    int status;

    if (!casync) {
        g_test_skip("casync is not installed");
        return;
    }
    memset(content->data + 40 * 65536, 0, 100 * 65536);
    uuid = upload_way(fixture->store, "a", content, 262120, FALSE);
    index = g_strdup_printf("%s/images/%s/image.caibx", fixture->dir, uuid);
    {
        char *argv[] = {casync, (char *)"extract", store, index, out, NULL};

        g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                     &error);
    }
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_file_get_contents(out, &found, &size, NULL));
    g_assert_cmpmem(found, size, content->data, content->size);
}

/* Without zero runs the index is the stock tool's but for the largest size in the header. */
static void
test_casync_make(Fixture *fixture, gconstpointer data)
{
    g_autofree char *casync = g_find_program_in_path("casync");
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) content = helper_content(6, 50 * 65536 + 5, 0);
    g_autofree char *uuid = NULL;
    g_autofree char *in = g_build_filename(fixture->dir, "in", NULL);
    g_autofree char *store = g_strdup_printf("--store=%s/their.castr", fixture->dir);
    g_autofree char *index = g_build_filename(fixture->dir, "their.caibx", NULL);
    g_autofree char *theirs = NULL;
    g_autoptr(VimgBuffer) ours = NULL;
    gsize size;
    int status;

    if (!casync) {
        g_test_skip("casync is not installed");
        return;
    }
    uuid = upload_way(fixture->store, "a", content, 262120, FALSE);
    g_assert_true(g_file_set_contents(in, (char *)content->data, (gssize)content->size, NULL));
    {
        char *argv[] = {casync,
                        (char *)"make",
                        (char *)"--digest=sha256",
                        (char *)"--chunk-size=65536:65536:65536",
                        store,
                        index,
                        in,
                        NULL};

        g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                     NULL, NULL, &status, &error);
    }
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_file_get_contents(index, &theirs, &size, NULL));
    ours = helper_index(fixture->store, uuid);
    g_assert_cmpmem(ours->data, 40, theirs, 40);
    g_assert_cmpmem(ours->data + 48, ours->size - 48, theirs + 48, size - 48);
}

static void
add(const char *path, void (*test)(Fixture *, gconstpointer), gconstpointer data)
{
    g_test_add(path, Fixture, data, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/imagestore/upload/ways/data", test_ways, GUINT_TO_POINTER(0));
    add("/imagestore/upload/ways/all-zero", test_ways, GUINT_TO_POINTER(1));
    add("/imagestore/upload/ways/zeros", test_ways, GUINT_TO_POINTER(3));
    add("/imagestore/upload/ranges", test_ranges, NULL);
    add("/imagestore/upload/huge-hole", test_huge_hole, NULL);
    add("/imagestore/upload/known-slices", test_known_slices, NULL);
    add("/imagestore/upload/clone", test_clone, NULL);
    add("/imagestore/casync/extract", test_casync_extract, NULL);
    add("/imagestore/casync/make", test_casync_make, NULL);
    return g_test_run();
}
