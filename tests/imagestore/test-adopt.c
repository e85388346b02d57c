/*
 * test-adopt.c: which plain files beside a store are offered as images, and reading them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adopt.h"
#include "store-helper.h"

#define HOUR 3600

typedef struct {
    char *dir;
    VimgPluginPool pool;
    VimgSliceStore *store;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->dir = helper_dir();
    fixture->pool = (VimgPluginPool){.size = sizeof(fixture->pool),
                                     .name = "images",
                                     .dir = fixture->dir,
                                     .retrieve_existing = TRUE};
    fixture->store = vimg_imagestore_open(&fixture->pool, VIMG_OPEN_CREATE, NULL, &error);
    g_assert_no_error(error);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vimg_slice_store_free(fixture->store);
    helper_remove_dir(fixture->dir);
    g_free(fixture->dir);
}

static char *
path_of(Fixture *fixture, const char *name)
{
    return g_build_filename(fixture->dir, name, NULL);
}

/* So that it was last written @seconds ago. */
static void
age(Fixture *fixture, const char *name, gint64 seconds)
{
    g_autofree char *path = path_of(fixture, name);
    time_t then = (time_t)(g_get_real_time() / G_USEC_PER_SEC - seconds);
    struct timespec times[2] = {{.tv_sec = then}, {.tv_sec = then, .tv_nsec = 7}};

    g_assert_cmpint(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), ==, 0);
}

/* A file of @end bytes with @data at @at, and otherwise a hole. */
static void
put(Fixture *fixture, const char *name, guint64 at, const char *data, guint64 end)
{
    g_autofree char *path = path_of(fixture, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)end), ==, 0);
    g_assert_cmpint(pwrite(fd, data, strlen(data), (off_t)at), ==, strlen(data));
    close(fd);
    age(fixture, name, HOUR);
}

static gboolean
note_file(const VimgPluginFile *file, gpointer data)
{
    g_ptr_array_add(data, g_strdup(file->name));
    g_ptr_array_add(data, g_strdup(file->origin));
    return TRUE;
}

/* Returns: (transfer full) name, origin, name, origin, … */
static GPtrArray *
list(Fixture *fixture)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    vimg_adopt_list(fixture->store, note_file, found, NULL, &error);
    g_assert_no_error(error);
    return found;
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
    g_autofree char *fifo = path_of(fixture, "fifo");
    g_autofree char *link = path_of(fixture, "link");
    g_autofree char *sub = path_of(fixture, "sub");
    g_autofree char *bad = path_of(fixture, "bad\xff");
    g_autoptr(GPtrArray) found = NULL;

    put(fixture, "b", 0, "b", 512);
    put(fixture, "a path=x", 0, "a", 1);
    put(fixture, ".hidden", 0, "x", 1);
    put(fixture, "empty", 0, "", 0);
    put(fixture, "young", 0, "x", 1);
    age(fixture, "young", 50);
    put(fixture, "future", 0, "x", 1);
    age(fixture, "future", -HOUR);
    g_assert_true(g_file_set_contents(bad, "x", 1, NULL));
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink("b", link), ==, 0);
    g_assert_cmpint(mkdir(sub, 0700), ==, 0);
    put(fixture, "sub/c", 0, "x", 1);
    age(fixture, "fifo", HOUR);
    age(fixture, "link", HOUR);
    age(fixture, "sub", HOUR);
    age(fixture, "store.json", HOUR);
    found = list(fixture);
    g_assert_cmpuint(found->len, ==, 4);
    g_assert_cmpstr(found->pdata[0], ==, "a path=x");
    g_assert_cmpstr(found->pdata[2], ==, "b");
    g_assert_true(g_str_has_suffix(found->pdata[1], ".000000007 path=a path=x"));
    g_assert_nonnull(strstr(found->pdata[3], " size=512 "));
}

/* Returns: (transfer full) extents as "d3 h512", or the message of a failure. */
static char *
read_from(Fixture *fixture, const char *origin, guint64 offset)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgFileReader) reader =
        vimg_file_reader_open(fixture->store, origin, offset, NULL, &error);
    g_autoptr(GString) out = g_string_new(NULL);

    while (reader) {
        g_autoptr(VimgBuffer) buffer = NULL;
        VimgExtent extent;

        if (!vimg_file_reader_next(reader, &extent, &error))
            break;
        buffer = extent.data;
        if (extent.length == 0)
            return g_string_free(g_steal_pointer(&out), FALSE);
        g_string_append_printf(out, "%s%c%" G_GUINT64_FORMAT, out->len ? " " : "",
                               extent.data ? 'd' : 'h', extent.length);
    }
    return g_strdup_printf("%d: %s", error->code, error->message);
}

static char *
read_all(Fixture *fixture, const char *origin)
{
    return read_from(fixture, origin, 0);
}

static void
test_holes(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) found = NULL;
    g_autofree char *sparse = NULL;
    g_autofree char *full = NULL;
    g_autofree char *end = NULL;
    g_autofree char *behind = NULL;

    put(fixture, "sparse", 5 * MIB, "data", 64 * MIB);
    put(fixture, "tail", 2 * MIB, "data", 2 * MIB + 4);
    found = list(fixture);
    sparse = read_all(fixture, found->pdata[1]);
    full = read_all(fixture, found->pdata[3]);
    g_assert_cmpstr(sparse, ==, "h5242880 d4096 h61861888");
    g_assert_cmpstr(full, ==, "h2097152 d4");
    end = read_from(fixture, found->pdata[3], 2 * MIB + 1);
    behind = read_from(fixture, found->pdata[3], 3 * MIB);
    g_assert_cmpstr(end, ==, "d3");
    g_assert_cmpstr(behind, ==, "");
}

/* What changes after it was listed, or while it is read, never comes to its end. */
static void
test_changes(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = path_of(fixture, "a");
    g_autofree char *other = path_of(fixture, "b");
    g_autoptr(VimgFileReader) reader = NULL;
    g_autoptr(GPtrArray) found = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *changed = NULL;
    g_autofree char *outside = NULL;
    VimgExtent extent;

    put(fixture, "a", 0, "content", 7);
    found = list(fixture);
    reader = vimg_file_reader_open(fixture->store, found->pdata[1], 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_file_reader_next(reader, &extent, NULL));
    vimg_buffer_unref(extent.data);
    put(fixture, "b", 0, "content", 7);
    g_assert_cmpint(rename(other, path), ==, 0); /* the same size, perhaps the same time */
    g_assert_false(vimg_file_reader_next(reader, &extent, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    changed = read_all(fixture, found->pdata[1]);
    g_assert_nonnull(strstr(changed, "has changed"));
    outside = read_all(fixture, "inode=1 size=1 mtime=0.000000000 path=../store.json");
    g_assert_nonnull(strstr(outside, "names no file"));
}

static char *
create(Fixture *fixture, const char *name, const char *origin, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = g_uuid_string_random();
    image.name = g_strdup(name);
    image.format = g_strdup("raw");
    image.origin = g_strdup(origin);
    if (!vimg_image_create(fixture->store, &image, &out, error))
        return NULL;
    g_assert_cmpstr(out.origin, ==, origin);
    return g_strdup(out.uuid);
}

/* Once an image of a file was active and removed, no host makes one of it again. */
static void
test_once(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = helper_content(1, 4096, 0);
    g_autoptr(GPtrArray) before = NULL;
    g_autoptr(GPtrArray) after = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *half = NULL;
    g_autofree char *uuid = NULL;
    const char *origin;

    put(fixture, "a", 0, "x", 512);
    before = list(fixture);
    origin = before->pdata[1];
    half = create(fixture, "a", origin, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_image_remove(fixture->store, half, &error));
    g_assert_false(vimg_adopted_before(fixture->store, origin));
    uuid = create(fixture, "a", origin, &error);
    helper_upload(fixture->store, uuid, content, &error);
    g_assert_no_error(error);
    g_assert_false(vimg_adopted_before(fixture->store, origin));
    g_assert_true(vimg_image_remove(fixture->store, uuid, &error));
    g_assert_true(vimg_adopted_before(fixture->store, origin));
    after = list(fixture);
    g_assert_cmpuint(after->len, ==, 0);
    g_assert_null(create(fixture, "a", origin, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_free(create(fixture, "a", NULL, &error));
    g_assert_no_error(error);
}

/* One at a time writes the image of a file, since any host may take it up. */
static void
test_hold(Fixture *fixture, gconstpointer data)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autofree char *uuid = create(fixture, "a", "inode=1 path=a", NULL);
    g_autoptr(VimgSliceStore) other = vimg_imagestore_open(&fixture->pool, 0, NULL, NULL);
    g_autoptr(GError) error = NULL;
    VimgSliceWriter *writer = vimg_slice_writer_open(fixture->store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    g_assert_null(vimg_slice_writer_open(other, uuid, &request, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_clear_error(&error);
    vimg_slice_writer_abort(writer);
    writer = vimg_slice_writer_open(other, uuid, &request, NULL, &error);
    g_assert_no_error(error);
    vimg_slice_writer_abort(writer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func)                                                                            \
    g_test_add("/imagestore/adopt/" path, Fixture, NULL, set_up, func, tear_down)
    ADD("list", test_list);
    ADD("holes", test_holes);
    ADD("changes", test_changes);
    ADD("once", test_once);
    ADD("hold", test_hold);
    return g_test_run();
}
