/*
 * test-shares.c: what images have in common, and how to end that
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "clone.h"
#include "closing.h"
#include "content-helper.h"
#include "diff.h"
#include "flatten.h"
#include "thread.h"
#include "usage.h"
#include "verify.h"

#define SIZE (20 * MIB)
#define BLOCK (4 * MIB)

/* ---- images ----------------------------------------------------------------------------- */

/* Every block has data, so that what it takes is its size. */
static VimgBuffer *
full_content(void)
{
    VimgBuffer *content = content_new(SIZE, 21);
    gsize at;

    for (at = 0; at < SIZE; at += MIB)
        content->data[at] = 1;
    return content;
}

/* Returns: (transfer full) the uuid of the clone. */
static char *
clone_of(Fixture *fixture, const char *source, const char *name, gboolean flatten)
{
    g_autofree char *uuid = g_uuid_string_random();
    VimgPluginImage image = {
        .size = sizeof(image), .uuid = uuid, .name = (char *)name, .flatten = flatten};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_ceph_clone(fixture->store, source, &image, NULL, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(out.allocation, ==, SIZE);
    g_assert_false(out.flatten);
    return g_steal_pointer(&uuid);
}

static void
flatten(Fixture *fixture, const char *uuid)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_ceph_flatten(fixture->store, uuid, NULL, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
}

static void
assert_children(const char *names)
{
    g_autofree char *children = cluster_run("rbd children --all " POOL "/a");

    g_assert_cmpstr(children, ==, names);
}

/* ---- flatten ---------------------------------------------------------------------------- */

static void
test_flatten(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = full_content();
    g_autofree char *source = content_upload(fixture, "a", content);
    g_autofree char *at_once = clone_of(fixture, source, "b", TRUE);
    g_autofree char *later = NULL;
    g_autoptr(GError) error = NULL;

    assert_children("");
    later = clone_of(fixture, source, "c", FALSE);
    assert_children(POOL "/c");
    image_delete(fixture, source);
    g_assert_false(vimg_ceph_trash_purge(fixture->store, source, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "needed by its clones " POOL "/c");
    flatten(fixture, later);
    flatten(fixture, later); /* nothing more to do */
    vimg_ceph_trash_purge(fixture->store, source, &error);
    g_assert_no_error(error);
    assert_content(fixture, at_once, content, 0);
    assert_content(fixture, later, content, 0);
    assert_exported("c", content);
}

#define OPENERS 8
#define OPENED 50

typedef struct {
    Fixture *fixture;
    const char *id;
} Opener;

static void *
open_often(void *data)
{
    const Opener *opener = data;
    guint i;

    for (i = 0; i < OPENED; i++) {
        rbd_image_t image;

        g_assert_cmpint(
            rbd_open_by_id_read_only(opener->fixture->cluster->io, opener->id, &image, NULL), ==,
            0);
        vimg_ceph_closing_read(opener->fixture->cluster, image, NULL);
    }
    return NULL;
}

/* Its source is opened and closed with it, and must still be there for whoever completes that. */
static void
test_opened_often(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = full_content();
    g_autofree char *source = content_upload(fixture, "a", content);
    g_autofree char *clone = clone_of(fixture, source, "b", FALSE);
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(fixture->store, clone, NULL);
    Opener opener = {.fixture = fixture, .id = record->id};
    pthread_t threads[OPENERS];
    guint i;

    for (i = 0; i < OPENERS; i++)
        g_assert_cmpint(thread_start(&threads[i], open_often, &opener), ==, 0);
    for (i = 0; i < OPENERS; i++)
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
}

/* Without its feature the snapshot would still need the source. */
static void
test_shallow(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = full_content();
    g_autofree char *source = content_upload(fixture, "a", content);
    g_autofree char *clone = clone_of(fixture, source, "b", FALSE);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_free(cluster_run("rbd feature disable " POOL "/b deep-flatten"));
    g_assert_false(vimg_ceph_flatten(fixture->store, clone, NULL, &out, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_UNSUPPORTED, "deep-flatten");
}

/* ---- usage ------------------------------------------------------------------------------ */

static JsonObject *
parse(char *owned)
{
    g_autofree char *text = owned;
    g_autoptr(JsonNode) node = json_from_string(text, NULL);

    g_assert_nonnull(node);
    return json_object_ref(json_node_get_object(node));
}

static JsonObject *
usage(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    char *text = vimg_ceph_usage(fixture->store, NULL, &error);

    g_assert_no_error(error);
    return parse(text);
}

static void
assert_usage(JsonObject *report, const char *uuid, gint64 unique, gint64 shared)
{
    JsonArray *images = json_object_get_array_member(report, "images");
    guint i;

    for (i = 0; i < json_array_get_length(images); i++) {
        JsonObject *image = json_array_get_object_element(images, i);

        if (strcmp(json_object_get_string_member(image, "uuid"), uuid) != 0)
            continue;
        g_assert_cmpint(json_object_get_int_member(image, "unique"), ==, unique);
        g_assert_cmpint(json_object_get_int_member(image, "shared"), ==, shared);
        return;
    }
    g_assert_not_reached();
}

static gint64
member(JsonObject *report, const char *object, const char *name)
{
    return json_object_get_int_member(json_object_get_object_member(report, object), name);
}

static void
test_usage(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = full_content();
    g_autofree char *alone = content_upload(fixture, "x", content);
    g_autofree char *source = content_upload(fixture, "a", content);
    g_autofree char *first = clone_of(fixture, source, "b", FALSE);
    g_autofree char *second = clone_of(fixture, first, "c", FALSE);
    g_autoptr(JsonObject) before = usage(fixture);
    g_autoptr(JsonObject) after = NULL;

    assert_usage(before, alone, SIZE, 0);
    assert_usage(before, source, 0, SIZE);
    assert_usage(before, first, 0, SIZE);
    assert_usage(before, second, 0, SIZE);
    g_assert_cmpint(member(before, "total", "logical"), ==, 4 * SIZE);
    g_assert_cmpint(member(before, "total", "stored"), ==, 2 * SIZE);
    g_assert_cmpint(member(before, "trash", "freed"), ==, 0);
    image_delete(fixture, alone);
    image_delete(fixture, source);
    flatten(fixture, second);
    after = usage(fixture);
    assert_usage(after, first, 0, SIZE);
    assert_usage(after, second, SIZE, 0);
    g_assert_cmpint(member(after, "trash", "freed"), ==, SIZE);
    g_assert_cmpint(member(after, "total", "shared"), ==, SIZE);
}

/* ---- diff ------------------------------------------------------------------------------- */

static JsonObject *
diff(Fixture *fixture, const char *from, const char *to)
{
    g_autoptr(GError) error = NULL;
    char *text = vimg_ceph_diff(fixture->store, from, to, NULL, &error);

    g_assert_no_error(error);
    return parse(text);
}

static void
assert_extent(JsonObject *report, guint i, gint64 offset, gint64 length, const char *kind)
{
    JsonObject *extent =
        json_array_get_object_element(json_object_get_array_member(report, "extents"), i);

    g_assert_cmpint(json_object_get_int_member(extent, "offset"), ==, offset);
    g_assert_cmpint(json_object_get_int_member(extent, "length"), ==, length);
    g_assert_cmpstr(json_object_get_string_member(extent, "kind"), ==, kind);
}

static guint
count_extents(JsonObject *report)
{
    return json_array_get_length(json_object_get_array_member(report, "extents"));
}

static void
test_diff(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = full_content();
    g_autofree char *from = content_upload(fixture, "a", content);
    g_autofree char *clone = clone_of(fixture, from, "b", FALSE);
    g_autoptr(JsonObject) same = diff(fixture, from, clone);
    g_autoptr(VimgBuffer) longer = vimg_buffer_new(SIZE + MIB);
    g_autofree char *to = NULL;
    g_autoptr(JsonObject) other = NULL;
    g_autoptr(JsonObject) back = NULL;

    g_assert_cmpuint(count_extents(same), ==, 0);
    g_assert_cmpint(json_object_get_int_member(same, "shared"), ==, SIZE);
    g_assert_cmpint(json_object_get_int_member(same, "added"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(same, "removed"), ==, 0);
    memcpy(longer->data, content->data, SIZE);
    memset(longer->data + SIZE, 7, MIB);
    memset(longer->data + BLOCK, 0, BLOCK);
    longer->data[3 * BLOCK + 65536] ^= 1;
    to = content_upload(fixture, "c", longer);
    other = diff(fixture, from, to);
    g_assert_cmpuint(count_extents(other), >=, 3);
    assert_extent(other, count_extents(other) - 1, SIZE, MIB, "grown");
    assert_extent(other, count_extents(other) - 2, 3 * BLOCK + 65536, 65536, "changed");
    assert_extent(other, 0, BLOCK, 65536, "zeroed");
    g_assert_cmpint(json_object_get_int_member(other, "shared"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(other, "removed"), ==, SIZE);
    g_assert_cmpint(json_object_get_int_member(other, "to_length"), ==, SIZE + MIB);
    back = diff(fixture, to, clone);
    g_assert_cmpint(json_object_get_int_member(back, "changed"), ==,
                    json_object_get_int_member(other, "changed"));
}

/* ---- checks at a rate ------------------------------------------------------------------- */

static gint64
verify_at(Fixture *fixture, const char *uuid, guint64 rate)
{
    gint64 began = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;

    __atomic_store_n(&fixture->store->verify_rate, rate, __ATOMIC_RELAXED);
    report = vimg_ceph_verify(fixture->store, uuid, NULL, &error);
    g_assert_no_error(error);
    return g_get_monotonic_time() - began;
}

/* It never takes less; how much more is the machine's affair. */
static void
test_rate(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = full_content();
    g_autofree char *uuid = content_upload(fixture, "a", content);

    g_assert_cmpint(verify_at(fixture, uuid, 16 * MIB), >=,
                    (SIZE - BLOCK) * G_USEC_PER_SEC / (16 * MIB));
    verify_at(fixture, uuid, 0);
}

static const ImageTest tests[] = {
    {"/ceph/shares/flatten", test_flatten}, {"/ceph/shares/opened-often", test_opened_often},
    {"/ceph/shares/shallow", test_shallow}, {"/ceph/shares/usage", test_usage},
    {"/ceph/shares/diff", test_diff},       {"/ceph/shares/rate", test_rate},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
