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
#include "coarse-transport.h"
#include "slicer.h"
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
list_by(VimgSliceStore *store)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    vimg_adopt_list(store, note_file, found, NULL, &error);
    g_assert_no_error(error);
    return found;
}

static GPtrArray *
list(Fixture *fixture)
{
    return list_by(fixture->store);
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
    g_assert_true(
        g_regex_match_simple("^size=1 mtime=[0-9]+ path=a path=x$", found->pdata[1], 0, 0));
    g_assert_true(g_str_has_prefix(found->pdata[3], "size=512 "));
}

/* Returns: (transfer full) extents as "d3 h512", or the message of a failure. */
static char *
read_by(VimgSliceStore *store, const char *origin, guint64 offset)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgFileReader) reader = vimg_file_reader_open(store, origin, offset, NULL, &error);
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
read_from(Fixture *fixture, const char *origin, guint64 offset)
{
    return read_by(fixture->store, origin, offset);
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
    age(fixture, "a", HOUR + 10);
    changed = read_all(fixture, found->pdata[1]);
    g_assert_nonnull(strstr(changed, "has changed"));
    outside = read_all(fixture, "size=1 mtime=0 path=../store.json");
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
    gboolean adopted;

    put(fixture, "a", 0, "x", 512);
    before = list(fixture);
    origin = before->pdata[1];
    half = create(fixture, "a", origin, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_image_remove(fixture->store, half, &error));
    g_assert_true(vimg_adopted_before(fixture->store, origin, &adopted, &error));
    g_assert_false(adopted);
    uuid = create(fixture, "a", origin, &error);
    helper_upload(fixture->store, uuid, content, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_adopted_before(fixture->store, origin, &adopted, &error));
    g_assert_false(adopted);
    g_assert_true(vimg_image_remove(fixture->store, uuid, &error));
    g_assert_true(vimg_adopted_before(fixture->store, origin, &adopted, &error));
    g_assert_true(adopted);
    after = list(fixture);
    g_assert_cmpuint(after->len, ==, 0);
    g_assert_null(create(fixture, "a", origin, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_free(create(fixture, "a", NULL, &error));
    g_assert_no_error(error);
}

/* ---- from another host ------------------------------------------------------------------ */

/* The same store as SFTP shows it, on a host whose clock is @skew seconds behind. */
static VimgSliceStore *
elsewhere(Fixture *fixture, gint64 skew)
{
    return helper_reopen(coarse_transport_new(helper_transport(fixture->dir), skew));
}

/* What is quiet is so by the clock of the storage alone. */
static void
test_clocks(Fixture *fixture, gconstpointer data)
{
    static const gint64 skews[] = {-10 * HOUR, 0, 10 * HOUR};
    gsize i;

    put(fixture, "old", 0, "x", 1);
    age(fixture, "old", 70);
    put(fixture, "young", 0, "x", 1);
    age(fixture, "young", 50);
    for (i = 0; i < G_N_ELEMENTS(skews); i++) {
        g_autoptr(VimgSliceStore) other = elsewhere(fixture, skews[i]);
        g_autoptr(GPtrArray) found = list_by(other);

        g_assert_cmpuint(found->len, ==, 2);
        g_assert_cmpstr(found->pdata[0], ==, "old");
    }
}

/* A file is the same to every host, however much each is told of it. */
static void
test_hosts(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) other = elsewhere(fixture, 0);
    g_autoptr(GPtrArray) here = NULL;
    g_autoptr(GPtrArray) there = NULL;
    g_autoptr(GError) error = NULL;

    put(fixture, "a", 0, "x", 1);
    put(fixture, "b", 0, "x", 1);
    here = list(fixture);
    there = list_by(other);
    g_assert_cmpuint(here->len, ==, 4);
    g_assert_cmpuint(there->len, ==, 4);
    g_assert_cmpstr(here->pdata[1], ==, there->pdata[1]);
    g_assert_true(vimg_adopted_note(fixture->store, here->pdata[1], &error));
    g_assert_true(vimg_adopted_note(other, there->pdata[3], &error));
    g_ptr_array_unref(here);
    g_ptr_array_unref(there);
    here = list(fixture);
    there = list_by(other);
    g_assert_cmpuint(here->len, ==, 0);
    g_assert_cmpuint(there->len, ==, 0);
}

/* ---- reading ahead ---------------------------------------------------------------------- */

/* The bytes of @name from @offset on as they are read, holes as zeros. */
static void
assert_read(VimgSliceStore *store, const char *origin, guint64 offset, const VimgBuffer *content)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgFileReader) reader = vimg_file_reader_open(store, origin, offset, NULL, &error);
    VimgExtent extent = {.length = 1};
    guint64 at = offset;

    g_assert_no_error(error);
    for (; extent.length > 0; at += extent.length) {
        g_autoptr(VimgBuffer) buffer = NULL;

        vimg_file_reader_next(reader, &extent, &error);
        g_assert_no_error(error);
        buffer = extent.data;
        g_assert_cmpuint(extent.length, <=, content->size - at);
        if (buffer)
            g_assert_cmpint(memcmp(buffer->data + extent.offset, content->data + at, extent.length),
                            ==, 0);
        else
            g_assert_true(vimg_is_zero(content->data + at, extent.length));
    }
    g_assert_cmpuint(at, ==, content->size);
}

/* Pieces read together come in their order, with holes that end anywhere. */
static void
test_ahead(Fixture *fixture, gconstpointer data)
{
    static const guint64 offsets[] = {0, 1, MIB - 1, MIB, 12345678, 30 * MIB};
    g_autoptr(VimgSliceStore) other = elsewhere(fixture, 0);
    g_autoptr(VimgBuffer) content = helper_content(7, 37 * MIB + 5, 0);
    g_autofree char *path = path_of(fixture, "a");
    g_autoptr(GPtrArray) found = NULL;
    int fd;
    gsize i;

    memset(content->data + 100 * KIB, 0, 12 * KIB);
    memset(content->data + 3 * MIB + 4 * KIB, 0, 20 * MIB);
    memset(content->data + 36 * MIB, 0, MIB + 5);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (i = 0; i < content->size; i += 4 * KIB) {
        gsize size = MIN(4 * KIB, content->size - i);

        if (!vimg_is_zero(content->data + i, size))
            g_assert_cmpint(pwrite(fd, content->data + i, size, (off_t)i), ==, size);
    }
    g_assert_cmpint(ftruncate(fd, (off_t)content->size), ==, 0);
    close(fd);
    age(fixture, "a", HOUR);
    found = list(fixture);
    for (i = 0; i < G_N_ELEMENTS(offsets); i++) {
        assert_read(fixture->store, found->pdata[1], offsets[i], content);
        assert_read(other, found->pdata[1], offsets[i], content);
    }
}

/* A look at the first bytes costs little, be the file as long as it will. */
static void
test_look(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) other = elsewhere(fixture, 0);
    g_autoptr(GPtrArray) found = NULL;
    g_autoptr(VimgFileReader) reader = NULL;
    g_autoptr(GError) error = NULL;
    VimgExtent extent;

    put(fixture, "a", 0, "x", 64 * MIB);
    found = list_by(other);
    reader = vimg_file_reader_open(other, found->pdata[1], 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_file_reader_next(reader, &extent, &error));
    vimg_buffer_unref(extent.data);
    g_clear_pointer(&reader, vimg_file_reader_close);
    g_assert_cmpuint(coarse_transport_reads(other->transport), ==, 1);
}

/* One at a time writes the image of a file, since any host may take it up. */
static void
test_hold(Fixture *fixture, gconstpointer data)
{
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autofree char *uuid = create(fixture, "a", "size=1 mtime=0 path=a", NULL);
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
    ADD("clocks", test_clocks);
    ADD("hosts", test_hosts);
    ADD("ahead", test_ahead);
    ADD("look", test_look);
    ADD("hold", test_hold);
    return g_test_run();
}
