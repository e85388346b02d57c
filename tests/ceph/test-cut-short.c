/*
 * test-cut-short.c: what was cut short at a bad moment, and goes on
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "cleanup.h"
#include "clone.h"
#include "content-helper.h"
#include "erase.h"
#include "layout.h"
#include "listing.h"

#define SIZE (9 * MIB)

/* ---- uploads ---------------------------------------------------------------------------- */

static void
finish(Fixture *fixture, const char *uuid, VimgBuffer *content, guint64 from)
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
            whole = vimg_ceph_writer_write(writer, content, 0, SIZE, &error);
        if (!whole)
            assert_error(&error, VIMG_ERROR_ABORTED, "cancelled");
        if (writer)
            vimg_ceph_writer_abort(writer);
        finish(fixture, uuid, content, position_of(fixture, uuid));
        assert_content(fixture, uuid, content, 0);
    }
    g_assert_cmpuint(times, >, 3);
}

/* What was written and not noted is cut off, as long as nobody wants to be gone. */
static void
test_cancelled_cut(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(SIZE, 43);
    VimgWriteRequest request = {.size = sizeof(request)};
    g_autofree char *uuid = image_create(fixture, "a");
    VimgCephWriter *writer;
    g_autoptr(GError) error = NULL;

    /* of one that nobody wrote to there is nothing to cut */
    writer = vimg_ceph_writer_open(fixture->store, uuid, &request, job_cancelled_after(0), &error);
    g_assert_no_error(error);
    vimg_ceph_writer_abort(writer);
    g_assert_null(
        vimg_ceph_writer_open(fixture->store, uuid, &request, job_cancelled_after(0), &error));
    assert_error(&error, VIMG_ERROR_ABORTED, "cancelled");
    finish(fixture, uuid, content, 0);
    assert_content(fixture, uuid, content, 0);
}

/* Returns: (transfer full) a small file of qcow2. */
static VimgBuffer *
make_qcow2(void)
{
    g_autofree char *dir = g_dir_make_tmp("vimg-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "file", NULL);
    g_autofree char *make = g_strdup_printf("qemu-img create -f qcow2 %s 8M", path);
    g_autofree char *clear = g_strdup_printf("rm -r %s", dir);
    g_autofree char *bytes = NULL;
    VimgBuffer *file;
    gsize size = 0;

    g_free(cluster_run(make));
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_free(cluster_run(clear));
    file = vimg_buffer_new(size);
    memcpy(file->data, bytes, size);
    return file;
}

static void
make_second(Fixture *fixture, const char *uuid)
{
    g_autofree char *second = g_strconcat(VIMG_CEPH_STAGED, uuid, VIMG_CEPH_SECOND, NULL);
    rbd_image_t image;

    g_assert_cmpint(vimg_ceph_image_make(fixture->cluster, second, 8 * MIB), ==, 0);
    g_assert_cmpint(rbd_open(fixture->cluster->io, second, &image, NULL), ==, 0);
    g_assert_cmpint(rbd_snap_create(image, VIMG_CEPH_SNAPSHOT), ==, 0);
    rbd_close(image);
}

/* What it is converted to has its snapshot already. */
static void
test_half_converted(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) file = make_qcow2();
    g_autofree char *uuid = image_create(fixture, "a");
    g_autofree char *wiped = image_create(fixture, "b");
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;

    make_second(fixture, uuid);
    content_send(writer, file, 0, file->size);
    content_seal(writer, "qcow2", 8 * MIB, &out, &error);
    g_assert_no_error(error);
    make_second(fixture, wiped);
    vimg_ceph_image_wipe(fixture->store, wiped, &error);
    g_assert_no_error(error);
    names = cluster_run("rbd ls " POOL);
    g_assert_null(strstr(names, VIMG_CEPH_SECOND));
}

/* Returns: (transfer full) uuid of a clone of @source that has all but its name, as a crash leaves
 * it.
 */
static char *
make_half_clone(Fixture *fixture, const char *source, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgCephRecord) from = vimg_ceph_record_find(fixture->store, source, &error);
    g_autoptr(VimgCephRecord) record = NULL;
    char *uuid = g_uuid_string_random();
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    VimgPluginImage info = {.size = sizeof(info), .uuid = uuid, .name = (char *)name};
    rbd_image_t image;

    g_assert_no_error(error);
    record = vimg_ceph_clone_record(&info, from->info.format, from->info.physical);
    g_assert_true(vimg_ceph_claim_take(fixture->cluster, name, uuid, &error));
    g_assert_cmpint(vimg_ceph_clone_rbd(fixture->cluster, fixture->cluster->io, from->rbd, staged),
                    ==, 0);
    g_assert_cmpint(rbd_open(fixture->cluster->io, staged, &image, NULL), ==, 0);
    g_assert_cmpint(rbd_snap_create(image, VIMG_CEPH_SNAPSHOT), ==, 0);
    g_assert_true(vimg_ceph_record_save(image, record, &error));
    rbd_close(image);
    return uuid;
}

/* The source was made of a qcow2 file, and its clone, that is none yet, of something else. */
static void
test_half_cloned(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) file = make_qcow2();
    g_autoptr(VimgBuffer) content = content_new(SIZE, 44);
    g_autofree char *source = image_create(fixture, "a");
    VimgCephWriter *writer = writer_at(fixture, source, 0);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) clone = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = NULL;

    content_send(writer, file, 0, file->size);
    content_seal(writer, "qcow2", 8 * MIB, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out.uploaded_format, ==, "qcow2");
    g_assert_nonnull(out.checksum);
    uuid = make_half_clone(fixture, source, "b");
    vimg_ceph_image_stat(fixture->store, uuid, &clone, &error);
    g_assert_no_error(error);
    g_assert_cmpint(clone.state, ==, VIMG_IMAGE_SAVING);
    g_assert_null(clone.checksum);
    g_assert_null(clone.uploaded_format);
    finish(fixture, uuid, content, 0);
    assert_content(fixture, uuid, content, 0);
}

/* Of what it was converted stays known of the second image: by that the name is kept for the first.
 */
static void
test_second_published(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_create(fixture, "a");
    g_autofree char *second = g_strconcat(VIMG_CEPH_STAGED, uuid, VIMG_CEPH_SECOND, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(fixture->store, uuid, &error);
    g_autoptr(GPtrArray) all = NULL;
    guint found = 0;
    rbd_image_t image;

    g_assert_no_error(error);
    make_second(fixture, uuid);
    record->digest = g_strdup("rbd:0");
    record->info.uploaded_format = g_strdup("qcow2");
    g_assert_cmpint(rbd_open(fixture->cluster->io, second, &image, NULL), ==, 0);
    g_assert_true(vimg_ceph_record_save(image, record, &error));
    rbd_close(image);
    all = vimg_ceph_read_all(fixture->cluster, FALSE, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < all->len; i++) {
        const VimgCephRecord *one = all->pdata[i];

        if (!vimg_ceph_record_is_second(one))
            continue;
        found++;
        g_assert_cmpstr(one->info.uploaded_format, ==, "qcow2");
        g_assert_cmpstr(one->digest, ==, "rbd:0");
    }
    g_assert_cmpuint(found, ==, 1);
    vimg_ceph_image_wipe(fixture->store, uuid, &error);
    g_assert_no_error(error);
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

/* ---- names ------------------------------------------------------------------------------ */

/* A commit that was cut short has made the name, which leads to what is staged. */
static void
test_half_renamed(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(5 * MIB, 42);
    g_autofree char *uuid = image_create(fixture, "a");
    g_autofree char *id = id_of(fixture, uuid);
    g_autofree char *second = NULL;
    g_autofree char *second_id = NULL;

    put_id(fixture, "a", id);
    finish(fixture, uuid, content, 0);
    assert_content(fixture, uuid, content, 0);
    assert_exported("a", content);
    /* or its image is deleted, and with it the name */
    second = image_create(fixture, "b");
    second_id = id_of(fixture, second);
    put_id(fixture, "b", second_id);
    image_delete(fixture, second);
    g_free(image_create(fixture, "b"));
}

/* One whose answer was lost. */
static void
test_renamed(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    g_autofree char *id = id_of(fixture, uuid);
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    g_autofree char *left = NULL;

    put_id(fixture, staged, id);
    g_assert_cmpint(vimg_layout_rename(fixture->cluster, id, staged, "a"), ==, 0);
    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, staged, &left), ==, -ENOENT);
    foreign_create(fixture, "theirs", MIB);
    g_assert_cmpint(vimg_layout_rename(fixture->cluster, id, "a", "theirs"), ==, -EEXIST);
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "theirs"), ==, 0);
}

/* @listed: RBD got as far as to its list of images. */
static void
half_made(Fixture *fixture, gboolean listed)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    g_autofree char *left = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_ceph_claim_take(fixture->cluster, "a", uuid, &error));
    put_id(fixture, staged, "5f00ba4");
    if (listed)
        put_directory(fixture, staged, "5f00ba4");
    clean_at_once(fixture);
    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, staged, &left), ==, -ENOENT);
    g_assert_cmpint(vimg_layout_name_of(fixture->cluster, "5f00ba4", &left), ==, -ENOENT);
    g_free(uuid);
    uuid = image_create(fixture, "a");
    image_delete(fixture, uuid);
}

static void
test_half_made(Fixture *fixture, gconstpointer data)
{
    half_made(fixture, FALSE);
    half_made(fixture, TRUE);
}

static gboolean
count(const VimgPluginImage *image, gpointer data)
{
    ++*(guint *)data;
    return TRUE;
}

/* What has lost its header is not seen, so nobody may believe that it was removed. */
static void
test_not_whole(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint n = 0;

    g_free(image_active(fixture, "a"));
    vimg_ceph_image_list_whole(fixture->store, count, &n, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 1);
    put_directory(fixture, "lost", "5f00ba5");
    g_assert_false(vimg_ceph_image_list_whole(fixture->store, count, &n, &error));
    assert_error(&error, VIMG_ERROR_DAMAGED, "'lost' has no header");
    put_id(fixture, "lost", "5f00ba5");
    rbd_remove(fixture->cluster->io, "lost");
    g_assert_true(vimg_ceph_image_list_whole(fixture->store, count, &n, &error));
}

static const ImageTest tests[] = {
    {"/ceph/cut-short/upload", test_cancelled_upload},
    {"/ceph/cut-short/cut", test_cancelled_cut},
    {"/ceph/cut-short/half-converted", test_half_converted},
    {"/ceph/cut-short/half-cloned", test_half_cloned},
    {"/ceph/cut-short/second-published", test_second_published},
    {"/ceph/cut-short/trash", test_half_in_trash},
    {"/ceph/cut-short/half-renamed", test_half_renamed},
    {"/ceph/cut-short/renamed", test_renamed},
    {"/ceph/cut-short/half-made", test_half_made},
    {"/ceph/cut-short/not-whole", test_not_whole},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
