/*
 * test-cut-short.c: what was cut short at a bad moment, and goes on
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cleanup.h"
#include "content-helper.h"
#include "erase.h"

#define SIZE (9 * MIB)

/* ---- uploads ---------------------------------------------------------------------------- */

static void
finish(Fixture *fixture, const char *uuid, const VimgBuffer *content, guint64 from)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    VimgCephWriter *writer = writer_at(fixture, uuid, from);

    content_send(writer, content, from, content->size);
    content_seal(writer, "raw", content->size, &out, &error);
    g_assert_no_error(error);
}

static guint64
position_of(Fixture *fixture, const char *uuid)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_ceph_image_stat(fixture->store, uuid, &out, &error);
    g_assert_no_error(error);
    return out.position;
}

/* Whenever a client cancels: nothing is taken for stored that is not. */
static void
test_cancelled_upload(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = vimg_buffer_new(SIZE);
    VimgWriteRequest request = {.size = sizeof(request)};
    gboolean whole = FALSE;
    guint times;

    memset(content->data, 1, SIZE);
    for (times = 0; !whole; times++) {
        g_autofree char *name = g_strdup_printf("i%u", times);
        g_autofree char *uuid = image_create(fixture, name);
        VimgPluginJob *job = job_cancelled_after(times);
        g_autoptr(GError) error = NULL;
        VimgCephWriter *writer = vimg_ceph_writer_open(fixture->store, uuid, &request, job, &error);

        if (writer)
            whole = vimg_ceph_writer_write(writer, content->data, SIZE, &error);
        if (!whole)
            assert_error(&error, VIMG_ERROR_ABORTED, "cancelled");
        if (writer)
            vimg_ceph_writer_abort(writer);
        finish(fixture, uuid, content, position_of(fixture, uuid));
        assert_content(fixture, uuid, content, 0);
    }
    g_assert_cmpuint(times, >, 3);
}

/* ---- the trash -------------------------------------------------------------------------- */

/* Returns: (transfer full) as RBD writes strings. */
static VimgBuffer *
encode(const char *text)
{
    gsize length = strlen(text);
    VimgBuffer *out = vimg_buffer_new(4 + length);

    memset(out->data, 0, 4);
    out->data[0] = (guint8)length;
    memcpy(out->data + 4, text, length);
    return out;
}

static void
put_id(Fixture *fixture, const char *name, const char *id)
{
    g_autofree char *object = g_strconcat("rbd_id.", name, NULL);
    g_autoptr(VimgBuffer) value = encode(id);

    g_assert_cmpint(
        rados_write_full(fixture->cluster->io, object, (const char *)value->data, value->size), ==,
        0);
}

static void
put_directory(Fixture *fixture, const char *name, const char *id)
{
    g_autofree char *name_key = g_strconcat("name_", name, NULL);
    g_autofree char *id_key = g_strconcat("id_", id, NULL);
    g_autoptr(VimgBuffer) name_value = encode(name);
    g_autoptr(VimgBuffer) id_value = encode(id);
    const char *keys[] = {name_key, id_key};
    const char *values[] = {(const char *)id_value->data, (const char *)name_value->data};
    size_t sizes[] = {id_value->size, name_value->size};
    rados_write_op_t op = rados_create_write_op();

    rados_write_op_omap_set(op, keys, values, sizes, 2);
    g_assert_cmpint(rados_write_op_operate(op, fixture->cluster->io, "rbd_directory", NULL, 0), ==,
                    0);
    rados_release_write_op(op);
}

static char *
id_of(Fixture *fixture, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(fixture->store, uuid, &error);

    g_assert_no_error(error);
    return g_strdup(record->id);
}

static void
clean_at_once(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;

    fixture->store->keep_deleted = fixture->store->keep_temporary = 0;
    report = vimg_ceph_cleanup(fixture->store, FALSE, NULL, &error);
    g_assert_no_error(error);
    g_test_message("%s", report);
}

/* In the trash and still, or again, an image: then it is an image. */
static void
test_half_in_trash(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(5 * MIB, 41);
    g_autofree char *uuid = content_upload(fixture, "a", content);
    g_autofree char *id = id_of(fixture, uuid);
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(fixture->store, uuid, NULL);
    g_autofree char *names = NULL;
    g_autofree char *trash = NULL;
    g_autoptr(GError) error = NULL;

    image_delete(fixture, uuid);
    put_id(fixture, "a", id);
    put_directory(fixture, "a", id);
    names = image_names(fixture, FALSE);
    g_assert_cmpstr(names, ==, "a");
    trash = image_names(fixture, TRUE);
    g_assert_cmpstr(trash, ==, "");
    clean_at_once(fixture);
    g_assert_false(vimg_ceph_trash_purge(fixture->store, uuid, &error));
    assert_error(&error, VIMG_ERROR_NO_VOL, "not in the trash");
    g_assert_false(vimg_ceph_erase(fixture->cluster, record, NULL, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "is an image as well");
    assert_content(fixture, uuid, content, 0);
    /* deleting it completes what was begun */
    image_delete(fixture, uuid);
    g_free(names);
    names = image_names(fixture, FALSE);
    g_assert_cmpstr(names, ==, "");
    vimg_ceph_trash_purge(fixture->store, uuid, &error);
    g_assert_no_error(error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    image_helper_init();
    image_helper_add("/ceph/cut-short/upload", test_cancelled_upload);
    image_helper_add("/ceph/cut-short/trash", test_half_in_trash);
    return g_test_run();
}
