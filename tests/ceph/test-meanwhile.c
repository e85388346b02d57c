/*
 * test-meanwhile.c: what another host does while this one is at work
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "clone.h"
#include "content-helper.h"
#include "flatten.h"
#include "layout.h"
#include "verify.h"

typedef struct {
    Fixture *fixture;
    char *uuid;
} Other;

/* By RADOS alone: this may be called in a thread of RBD's own. */
static void
change(const Other *other, gsize offset, const char *value)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgCephRecord) record =
        vimg_ceph_record_find(other->fixture->store, other->uuid, &error);
    char **member = (char **)G_STRUCT_MEMBER_P(record, offset);
    const char *key = "metadata_" VIMG_CEPH_METADATA;
    rados_write_op_t op = rados_create_write_op();
    g_autofree char *object = NULL;
    g_autofree char *text = NULL;
    size_t size;

    g_assert_no_error(error);
    g_free(*member);
    *member = g_strdup(value);
    object = g_strconcat(VIMG_LAYOUT_HEADER, record->id, NULL);
    text = vimg_ceph_record_format(record);
    size = strlen(text);
    rados_write_op_omap_set(op, &key, (const char *const *)&text, &size, 1);
    g_assert_cmpint(rados_write_op_operate(op, other->fixture->cluster->io, object, NULL, 0), ==,
                    0);
    rados_release_write_op(op);
}

static void
find_damaged(gpointer data)
{
    change(data, G_STRUCT_OFFSET(VimgCephRecord, info.reason), "bad");
}

static void
describe(gpointer data)
{
    change(data, G_STRUCT_OFFSET(VimgCephRecord, info.description), "new");
}

/* A clone that a check finds damaged while it is flattened stays so. */
static void
test_flatten(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(9 * MIB, 51);
    g_autofree char *source = content_upload(fixture, "a", content);
    g_autofree char *uuid = g_uuid_string_random();
    VimgPluginImage image = {.size = sizeof(image), .uuid = uuid, .name = (char *)"b"};
    Other other = {.fixture = fixture, .uuid = uuid};
    g_auto(VimgPluginImage) clone = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_ceph_clone(fixture->store, source, &image, NULL, &clone, &error);
    g_assert_no_error(error);
    vimg_ceph_flatten(fixture->store, uuid, job_meanwhile(find_damaged, &other), &out, &error);
    g_assert_no_error(error);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ERROR);
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_ERROR);
}

/* What is found damaged is described as it was last. */
static void
test_verify(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(9 * MIB, 52);
    g_autofree char *uuid = content_upload(fixture, "a", content);
    Other other = {.fixture = fixture, .uuid = uuid};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;

    g_free(cluster_run("rbd snap rm --no-progress " POOL "/a@image"));
    image_write(fixture, "a");
    g_free(cluster_run("rbd snap create --no-progress " POOL "/a@image"));
    report = vimg_ceph_verify(fixture->store, uuid, job_meanwhile(describe, &other), &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(report, uuid));
    vimg_ceph_image_stat(fixture->store, uuid, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ERROR);
    g_assert_cmpstr(out.description, ==, "new");
}

/* Whoever uploads would write over what was said here. */
static void
test_describe(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_create(fixture, "a");
    VimgPluginImage said = {.size = sizeof(said), .uuid = uuid, .description = (char *)"new"};
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_ceph_image_set_metadata(fixture->store, &said, &error));
    assert_error(&error, VIMG_ERROR_BUSY, "open at");
    vimg_ceph_writer_abort(writer);
    vimg_ceph_image_set_metadata(fixture->store, &said, &error);
    g_assert_no_error(error);
}

/* One that slept too long finds another one at its image. */
static void
test_second_writer(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(5 * MIB, 53);
    g_autofree char *uuid = image_create(fixture, "a");
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    VimgCephWriter *writer = writer_at(fixture, uuid, 0);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    rbd_image_t image;

    content_send(writer, content, 0, content->size);
    g_assert_cmpint(rbd_open(fixture->cluster->io, staged, &image, NULL), ==, 0);
    g_assert_false(content_seal(writer, "raw", content->size, &out, &error));
    assert_error(&error, VIMG_ERROR_BUSY, "another host writes");
    rbd_close(image);
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_SAVING);
}

static const ImageTest tests[] = {
    {"/ceph/meanwhile/flatten", test_flatten},
    {"/ceph/meanwhile/verify", test_verify},
    {"/ceph/meanwhile/describe", test_describe},
    {"/ceph/meanwhile/second-writer", test_second_writer},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
