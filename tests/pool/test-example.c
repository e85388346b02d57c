/*
 * test-example.c: the backend in examples/plugin, through the daemon's own wrappers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/backend.h"
#include "pool/services.h"

#define U1 "11111111-1111-4111-8111-111111111111"
#define U2 "22222222-2222-4222-8222-222222222222"

#define HOLE (1024 * 1024)

typedef struct {
    VimgBackends *backends;
    const VimgType *type;
    char *dir;
    VimgPoolDef *def;
    VimgStore *store;
} Fixture;

static VimgStore *
open_store(Fixture *f, const char *store_id, guint flags, GError **error)
{
    g_autoptr(VimgPoolView) view = vimg_pool_view_new(f->def, store_id, "/nowhere");

    return vimg_store_open(f->type, view, flags, NULL, NULL, error);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;

    f->backends = vimg_backends_new(EXAMPLE_DIR, vimg_services_get());
    f->type = vimg_backends_get(f->backends, "example", &error);
    g_assert_no_error(error);
    f->dir = g_dir_make_tmp("example-XXXXXX", NULL);
    xml = g_strdup_printf("<pool type='example'><name>p</name><target><path>%s</path></target>"
                          "</pool>",
                          f->dir);
    f->def = vimg_pool_def_parse(xml, FALSE, &error);
    g_assert_no_error(error);
    f->store = open_store(f, NULL, VIMG_OPEN_CREATE, &error);
    g_assert_no_error(error);
}

static int
remove_entry(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    return remove(path);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vimg_store_unref(f->store);
    vimg_pool_def_free(f->def);
    vimg_backends_free(f->backends);
    g_assert_cmpint(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), ==, 0);
    g_free(f->dir);
}

/* ---- short ways ------------------------------------------------------------------------- */

static gboolean
create(Fixture *f, const char *uuid, const char *name, GError **error)
{
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    gboolean ok;

    image.uuid = (char *)uuid;
    image.name = (char *)name;
    image.format = (char *)"raw";
    image.capacity = 4 * HOLE;
    image.created = 1700000000;
    ok = vimg_store_create(f->store, &image, &out, error);
    if (ok) {
        g_assert_cmpint(out.state, ==, VIMG_IMAGE_SAVING);
        g_assert_cmpstr(out.name, ==, image.name);
        g_assert_cmpstr(out.format, ==, image.format);
        g_assert_cmpuint(out.capacity, ==, image.capacity);
        g_assert_cmpint(out.created, ==, image.created);
    }
    return ok;
}

static VimgWriter *
open_writer(Fixture *f, guint64 offset, GError **error)
{
    const VimgWriteRequest request = {.size = sizeof(request), .offset = offset};

    return vimg_writer_open(f->store, U1, &request, NULL, error);
}

/* "begin", a hole, "end", a hole up to the capacity. */
static VimgWriter *
write_content(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(8);
    VimgWriter *writer = open_writer(f, 0, &error);

    g_assert_no_error(error);
    memcpy(buffer->data, "beginend", 8);
    vimg_writer_write(writer, buffer, 0, 5, &error);
    g_assert_no_error(error);
    vimg_writer_hole(writer, HOLE, &error);
    g_assert_no_error(error);
    vimg_writer_write(writer, buffer, 5, 3, &error);
    g_assert_no_error(error);
    vimg_writer_hole(writer, 3 * HOLE - 8, &error);
    g_assert_no_error(error);
    return writer;
}

static gboolean
finish(VimgWriter *writer, gboolean seal, GError **error)
{
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    image.uuid = (char *)U1;
    image.name = (char *)"a";
    image.format = (char *)"raw";
    image.capacity = 4 * HOLE;
    return vimg_writer_finish(writer, seal, &image, &out, error);
}

/* Returns: (transfer full) what a download of @offset, @length gives. */
static GByteArray *
read_back(Fixture *f, guint64 offset, guint64 length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgReader) reader = vimg_reader_open(f->store, U1, offset, length, NULL, &error);
    GByteArray *bytes = g_byte_array_new();
    VimgExtent extent;

    g_assert_no_error(error);
    for (;;) {
        g_autoptr(VimgBuffer) data = NULL;
        guint old = bytes->len;

        vimg_reader_next(reader, &extent, &error);
        g_assert_no_error(error);
        if (extent.length == 0)
            return bytes;
        data = extent.data;
        g_byte_array_set_size(bytes, old + (guint)extent.length);
        if (data)
            memcpy(bytes->data + old, data->data + extent.offset, extent.length);
        else
            memset(bytes->data + old, 0, extent.length);
    }
}

static VimgImageState
state(Fixture *f, const char *uuid)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_store_stat(f->store, uuid, &image, &error);
    g_assert_no_error(error);
    return image.state;
}

static gboolean
count_one(const VimgPluginImage *image, gpointer data)
{
    ++*(guint *)data;
    return TRUE;
}

static guint
count(Fixture *f)
{
    guint n = 0;

    g_assert_true(vimg_store_list(f->store, count_one, &n, NULL));
    return n;
}

/* ---- tests ------------------------------------------------------------------------------ */

static void
test_round_trip(Fixture *f, gconstpointer data)
{
    g_autofree guint8 *expected = g_malloc0(4 * HOLE);
    g_autofree char *path = g_build_filename(f->dir, "a", NULL);
    g_autoptr(GByteArray) whole = NULL;
    g_autoptr(GByteArray) part = NULL;
    g_autoptr(GByteArray) beyond = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;

    memcpy(expected, "begin", 5);
    memcpy(expected + 5 + HOLE, "end", 3);
    g_assert_true(create(f, U1, "a", &error));
    finish(write_content(f), TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(state(f, U1), ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 4 * HOLE);
    g_assert_cmpint(st.st_blocks * 512, <, HOLE); /* the hole is one */
    whole = read_back(f, 0, 0);
    g_assert_cmpmem(whole->data, whole->len, expected, 4 * HOLE);
    part = read_back(f, 3, HOLE + 3);
    g_assert_cmpmem(part->data, part->len, expected + 3, HOLE + 3);
    beyond = read_back(f, 100 * HOLE, 0);
    g_assert_cmpuint(beyond->len, ==, 0);
    g_assert_cmpuint(count(f), ==, 1);
    g_assert_true(vimg_store_remove_image(f->store, U1, &error));
    g_assert_cmpuint(count(f), ==, 0);
    g_assert_cmpint(stat(path, &st), ==, -1);
}

/* Holes come back as holes, not as zeros. */
static void
test_holes(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgReader) reader = NULL;
    guint64 holes = 0;
    VimgExtent extent;

    g_assert_true(create(f, U1, "a", &error));
    finish(write_content(f), TRUE, &error);
    reader = vimg_reader_open(f->store, U1, 0, 0, NULL, &error);
    do {
        g_assert_true(vimg_reader_next(reader, &extent, &error));
        holes += extent.data ? 0 : extent.length;
        vimg_buffer_unref(extent.data);
    } while (extent.length > 0);
    g_assert_cmpuint(holes, >=, 3 * HOLE);
}

static void
assert_damaged(gboolean ok, GError **error)
{
    g_assert_false(ok);
    g_assert_error(*error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_clear_error(error);
}

/* What others did to the file while it was read, or before. */
static void
test_content(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->dir, "a", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgReader) reader = NULL;
    VimgExtent extent;

    g_assert_true(create(f, U1, "a", &error));
    finish(write_content(f), TRUE, &error);
    reader = vimg_reader_open(f->store, U1, 2 * HOLE, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(truncate(path, HOLE), ==, 0);
    assert_damaged(vimg_reader_next(reader, &extent, &error), &error);
    g_clear_pointer(&reader, vimg_reader_close);
    reader = vimg_reader_open(f->store, U1, 2 * HOLE, 2 * HOLE, NULL, &error);
    g_assert_no_error(error);
    assert_damaged(vimg_reader_next(reader, &extent, &error), &error);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    assert_damaged(vimg_reader_open(f->store, U1, 0, 0, NULL, &error) != NULL, &error);
}

static void
test_names(Fixture *f, gconstpointer data)
{
    g_autofree char *stranger = g_build_filename(f->dir, "stranger", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(create(f, U1, "a", &error));
    g_assert_false(create(f, U2, "a", &error)); /* while saving */
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    finish(write_content(f), TRUE, &error);
    g_assert_no_error(error);
    g_assert_false(create(f, U2, "a", &error)); /* and once active */
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(stranger, "x", 1, NULL));
    g_assert_false(create(f, U2, "stranger", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_false(create(f, U2, ".store", &error)); /* could be a file of the storage itself */
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_clear_error(&error);
    g_assert_cmpuint(count(f), ==, 1); /* nothing is left of what failed */
    g_assert_true(vimg_store_remove_image(f->store, U1, &error));
    g_assert_true(create(f, U2, "a", &error));
    g_assert_true(g_file_test(stranger, G_FILE_TEST_EXISTS));
}

/* Nothing of an upload counts before its end, whatever is there of the content. */
static void
test_completed_by_rename(Fixture *f, gconstpointer data)
{
    g_autofree char *record = g_strconcat(f->dir, "/." U1, NULL);
    g_autofree char *before = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(create(f, U1, "a", &error));
    g_assert_true(g_file_get_contents(record, &before, NULL, NULL));
    finish(write_content(f), TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(state(f, U1), ==, VIMG_IMAGE_ACTIVE);
    g_assert_true(g_file_set_contents(record, before, -1, NULL)); /* as if it had not come so far */
    g_assert_cmpint(state(f, U1), ==, VIMG_IMAGE_SAVING);
    g_assert_null(vimg_reader_open(f->store, U1, 0, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_clear_error(&error);
    finish(write_content(f), TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(state(f, U1), ==, VIMG_IMAGE_ACTIVE);
}

static void
test_interrupted(Fixture *f, gconstpointer data)
{
    g_autoptr(VimgBuffer) junk = vimg_buffer_new(HOLE);
    g_autoptr(GByteArray) whole = NULL;
    g_autoptr(GError) error = NULL;
    VimgWriter *writer;

    memset(junk->data, 'x', HOLE);
    g_assert_true(create(f, U1, "a", &error));
    writer = open_writer(f, 0, &error);
    g_assert_true(vimg_writer_write(writer, junk, 0, HOLE, &error));
    vimg_writer_abort(writer);
    g_assert_cmpint(state(f, U1), ==, VIMG_IMAGE_SAVING);
    g_assert_false(vimg_store_can_resume(f->store)); /* it begins again */
    g_assert_false(finish(write_content(f), FALSE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_ARGUMENT_UNSUPPORTED);
    g_clear_error(&error);
    finish(write_content(f), TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(state(f, U1), ==, VIMG_IMAGE_ACTIVE);
    whole = read_back(f, 0, 0);
    g_assert_null(memchr(whole->data, 'x', whole->len)); /* nothing is left of the first try */
    g_assert_null(open_writer(f, 0, &error));            /* never begins again what is complete */
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
}

static void
test_gone(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->dir, "a", NULL);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_store_stat(f->store, U2, &image, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_clear_error(&error);
    g_assert_false(vimg_store_remove_image(f->store, U2, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
    g_clear_error(&error);
    g_assert_null(open_writer(f, 0, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_true(create(f, U1, "a", &error));
    finish(write_content(f), TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(unlink(path), ==, 0); /* by hand */
    g_assert_cmpint(state(f, U1), ==, VIMG_IMAGE_ERROR);
    g_assert_true(vimg_store_remove_image(f->store, U1, &error));
}

static void
test_storage(Fixture *f, gconstpointer data)
{
    VimgPluginStore sizes = {.size = sizeof(sizes)};
    g_autofree char *own = g_build_filename(f->dir, ".store", NULL);
    g_autofree char *id = NULL;
    g_autoptr(VimgStore) again = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_store_probe(f->store, &sizes, &error));
    id = sizes.store_id;
    g_assert_cmpuint(sizes.capacity, >=, sizes.available);
    again = open_store(f, id, 0, &error);
    g_assert_no_error(error);
    g_assert_null(open_store(f, "another", VIMG_OPEN_CREATE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_cmpint(unlink(own), ==, 0);
    g_assert_false(vimg_store_probe(f->store, &sizes, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_null(open_store(f, id, VIMG_OPEN_CREATE, &error)); /* it had one: none is made */
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_null(open_store(f, NULL, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_assert_false(g_file_test(own, G_FILE_TEST_EXISTS));
}

/* Nobody said what it is: it is what it was found to be once it is complete. */
static void
test_undeclared(Fixture *f, gconstpointer data)
{
    VimgPluginImage image = {.size = sizeof(image), .uuid = (char *)U1, .name = (char *)"a"};
    g_auto(VimgPluginImage) created = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) complete = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    image.capacity = 4 * HOLE;
    g_assert_true(vimg_store_create(f->store, &image, &created, &error));
    g_assert_null(created.format);
    g_assert_true(finish(write_content(f), TRUE, &error));
    g_assert_true(vimg_store_stat(f->store, U1, &complete, &error));
    g_assert_cmpstr(complete.format, ==, "raw");
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/example/undeclared", test_undeclared},
        {"/example/round-trip", test_round_trip},
        {"/example/holes", test_holes},
        {"/example/content", test_content},
        {"/example/names", test_names},
        {"/example/completed-by-rename", test_completed_by_rename},
        {"/example/interrupted", test_interrupted},
        {"/example/gone", test_gone},
        {"/example/storage", test_storage},
    };
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].func, tear_down);
    return g_test_run();
}
