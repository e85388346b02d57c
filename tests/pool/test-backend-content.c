/*
 * test-backend-content.c: what becomes of plugins that lie of the content of images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-backend-fixture.h"

static VimgWriter *
writer_open(VimgStore *store, GError **error)
{
    const VimgWriteRequest request = {.size = sizeof(request)};

    return vimg_writer_open(store, ONE_UUID, &request, NULL, error);
}

static void
test_writer_lies(void)
{
    g_autoptr(VimgStore) null = liar_open("writer-null");
    g_autoptr(VimgStore) quiet = liar_open("write-quiet");
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(8);
    g_autoptr(GError) error = NULL;
    VimgWriter *writer;

    assert_refused(writer_open(null, &error) != NULL, &error, VIMG_ERROR_INTERNAL,
                   "failed without an error");
    g_clear_error(&error);
    writer = writer_open(quiet, &error);
    g_assert_no_error(error);
    g_assert_true(vimg_writer_write(writer, buffer, 8, 0, &error)); /* nothing: no call */
    g_assert_true(vimg_writer_hole(writer, 0, &error));
    assert_refused(vimg_writer_format(writer, "raw", &error), &error, VIMG_ERROR_INTERNAL,
                   "failed without an error");
    g_clear_error(&error);
    assert_refused(vimg_writer_write(writer, buffer, 0, 8, &error), &error, VIMG_ERROR_INTERNAL,
                   "failed without an error");
    g_clear_error(&error);
    assert_refused(vimg_writer_hole(writer, 8, &error), &error, VIMG_ERROR_INTERNAL,
                   "failed without an error");
    vimg_writer_abort(writer);
    vimg_writer_abort(NULL);
}

static const struct {
    const char *lie;
    const char *text; /* NULL: fine */
} read_back_lies[] = {
    {"", NULL},
    {"extent-nothing", "less content than it has"},
    {"extent-huge", "more content than was asked for"},
    {"extent-outside", "content outside of its buffer"},
    {"reader-quiet", "failed without an error"},
};

static void
test_read_back(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgStore) store = liar_open(read_back_lies[i].lie);
    g_autoptr(GError) error = NULL;
    VimgWriter *writer = writer_open(store, &error);
    VimgExtent extent;
    gboolean ok;

    g_assert_no_error(error);
    g_assert_true(vimg_store_can_resume(store));
    ok = vimg_writer_read(writer, 0, 8, &extent, &error);
    if (read_back_lies[i].text)
        assert_refused(ok, &error, VIMG_ERROR_INTERNAL, read_back_lies[i].text);
    else
        g_assert_no_error(error);
    vimg_buffer_unref(extent.data);
    vimg_writer_abort(writer);
}

static const struct {
    const char *lie;
    gboolean seal;
    const char *text; /* NULL: fine */
} finish_lies[] = {
    {"", TRUE, NULL},
    {"saving", FALSE, NULL},
    {"", FALSE, "in the wrong state"},
    {"saving", TRUE, "in the wrong state"},
    {"finish-quiet", TRUE, "failed without an error"},
    {"other-uuid", TRUE, "uuid " TWO_UUID},
};

static void
test_finish(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgStore) store = liar_open(finish_lies[i].lie);
    VimgPluginImage image = named((char *)ONE_UUID, (char *)"one");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    VimgWriter *writer = writer_open(store, &error);
    gboolean ok;

    g_assert_no_error(error);
    g_clear_pointer(&store, vimg_store_unref); /* the writer has its own reference */
    ok = vimg_writer_finish(writer, finish_lies[i].seal, &image, &out, &error);
    if (finish_lies[i].text) {
        assert_refused(ok, &error, VIMG_ERROR_INTERNAL, finish_lies[i].text);
        g_assert_null(out.uuid);
    } else {
        g_assert_no_error(error);
        g_assert_cmpstr(out.uuid, ==, ONE_UUID);
    }
}

static void
test_writer_stat(void)
{
    g_autoptr(VimgStore) honest = liar_open("");
    g_autoptr(VimgStore) huge = liar_open("stat-huge");
    VimgWriter *writer = writer_open(honest, NULL);
    guint64 allocation = 77;
    guint64 position = 77;

    g_assert_true(vimg_writer_stat(writer, &allocation, &position));
    g_assert_cmpuint(allocation, ==, 1);
    g_assert_cmpuint(position, ==, 2);
    vimg_writer_abort(writer);
    writer = writer_open(huge, NULL);
    g_assert_false(vimg_writer_stat(writer, &allocation, &position));
    g_assert_cmpuint(allocation, ==, 1);
    vimg_writer_abort(writer);
}

static void
test_read(void)
{
    g_autoptr(VimgStore) store = liar_open("");
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgReader) reader = vimg_reader_open(store, ONE_UUID, 0, 0, NULL, &error);
    VimgExtent extent;

    g_assert_no_error(error);
    g_clear_pointer(&store, vimg_store_unref);
    g_assert_true(vimg_reader_next(reader, &extent, &error));
    g_assert_cmpuint(extent.length, ==, 8);
    g_assert_cmpmem(extent.data->data + extent.offset, extent.length, "xxxxxxxx", 8);
    vimg_buffer_unref(extent.data);
    g_assert_true(vimg_reader_next(reader, &extent, &error));
    g_assert_cmpuint(extent.length, ==, 8);
    g_assert_null(extent.data);
    g_assert_true(vimg_reader_next(reader, &extent, &error));
    g_assert_cmpuint(extent.length, ==, 0);
    g_assert_true(vimg_reader_next(reader, &extent, &error)); /* the end stays the end */
    g_assert_cmpuint(extent.length, ==, 0);
    g_assert_no_error(error);
}

static const struct {
    const char *lie;
    guint64 length; /* asked for; the backend gives 8 at first */
    const char *text;
} reader_lies[] = {
    {"", 7, "more content than was asked for"},
    {"extent-huge", 0, "more content than was asked for"},
    {"extent-outside", 0, "content outside of its buffer"},
    {"extent-overflow", 0, "content outside of its buffer"},
    {"extent-end-with-data", 0, "an end with data"},
    {"reader-quiet", 0, "failed without an error"},
};

/* What was announced must come. */
static void
test_reader_short(void)
{
    g_autoptr(VimgStore) store = liar_open("");
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgReader) reader = vimg_reader_open(store, ONE_UUID, 0, 17, NULL, &error);
    VimgExtent extent;

    g_assert_no_error(error);
    g_assert_true(vimg_reader_next(reader, &extent, &error));
    vimg_buffer_unref(extent.data);
    g_assert_true(vimg_reader_next(reader, &extent, &error));
    g_assert_cmpuint(extent.length, ==, 8);
    assert_refused(vimg_reader_next(reader, &extent, &error), &error, VIMG_ERROR_DAMAGED,
                   "its content is shorter than it was");
}

static void
test_reader_lie(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autoptr(VimgStore) store = liar_open(reader_lies[i].lie);
    g_autoptr(VimgReader) reader = NULL;
    g_autoptr(GError) error = NULL;
    VimgExtent extent;

    reader = vimg_reader_open(store, ONE_UUID, 0, reader_lies[i].length, NULL, &error);
    g_assert_no_error(error);
    assert_refused(vimg_reader_next(reader, &extent, &error), &error, VIMG_ERROR_INTERNAL,
                   reader_lies[i].text);
    g_assert_null(extent.data);
    g_assert_cmpuint(extent.length, ==, 0);
}

static void
test_reader_null(void)
{
    g_autoptr(VimgStore) store = liar_open("reader-null");
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_reader_open(store, ONE_UUID, 0, 0, NULL, &error) != NULL, &error,
                   VIMG_ERROR_INTERNAL, "failed without an error");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    backends_set_up();
    g_test_add_func("/backend/writer", test_writer_lies);
    add_rows("finish", G_N_ELEMENTS(finish_lies), test_finish);
    add_rows("read-back", G_N_ELEMENTS(read_back_lies), test_read_back);
    g_test_add_func("/backend/writer-stat", test_writer_stat);
    g_test_add_func("/backend/read", test_read);
    add_rows("reader", G_N_ELEMENTS(reader_lies), test_reader_lie);
    g_test_add_func("/backend/reader-short", test_reader_short);
    g_test_add_func("/backend/reader-null", test_reader_null);
    return backends_run();
}
