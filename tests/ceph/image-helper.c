/*
 * image-helper.c: a store in a RADOS pool of its own, and images in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image-helper.h"
#include "throw.h"

static void
make_pool(void)
{
    g_autofree char *pools = cluster_run("ceph osd pool ls");
    g_auto(GStrv) names = g_strsplit(pools, "\n", -1);

    if (g_strv_contains((const char *const *)names, POOL))
        return;
    g_free(cluster_run("ceph osd pool create " POOL " 8"));
    g_free(cluster_run("rbd pool init " POOL));
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->definition = definition_new(POOL);
    fixture->definition->pool.keep_deleted = 3600;
    fixture->definition->pool.keep_temporary = 3600;
    fixture->store = vimg_ceph_open(&fixture->definition->pool, NULL, &error);
    g_assert_no_error(error);
    fixture->cluster = vimg_ceph_store_cluster(fixture->store, &error);
    g_assert_no_error(error);
}

/* Objects that had snapshots are removed by the OSDs in their own time. */
static char *
list_objects(void)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    char *objects = cluster_run("rados -p " POOL " ls");

    while (strstr(objects, "rbd_data") && g_get_monotonic_time() < deadline) {
        g_free(objects);
        objects = cluster_run("rados -p " POOL " ls");
    }
    return objects;
}

static void
assert_empty(void)
{
    g_autofree char *images = cluster_run("rbd ls " POOL);
    g_autofree char *trash = cluster_run("rbd trash ls --all " POOL);
    g_autofree char *objects = list_objects();

    g_assert_cmpstr(images, ==, "");
    g_assert_cmpstr(trash, ==, "");
    if (strstr(objects, "virtimage") || strstr(objects, "rbd_data"))
        g_error("left in the pool: %s", objects);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    vimg_ceph_store_remove_all(fixture->store, NULL, &error);
    g_assert_no_error(error);
    vimg_cluster_unref(fixture->cluster);
    vimg_ceph_close(fixture->store);
    definition_free(fixture->definition);
    assert_empty();
}

int
image_helper_run(int argc, char **argv, const ImageTest *tests, gsize n)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    make_pool();
    for (gsize i = 0; i < n; i++) {
        if (tests[i].alone)
            g_test_add_func(tests[i].path, tests[i].alone);
        else
            g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
    }
    return g_test_run();
}

/* ---- images ----------------------------------------------------------------------------- */

char *
image_create(Fixture *fixture, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = g_uuid_string_random();
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgPluginImage image = {
        .size = sizeof(image), .uuid = uuid, .name = (char *)name, .capacity = 8 * MIB};

    vimg_ceph_image_create(fixture->store, &image, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpstr(out.name, ==, name);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_SAVING);
    g_assert_cmpuint(out.capacity, ==, 8 * MIB);
    return g_steal_pointer(&uuid);
}

void
image_write(Fixture *fixture, const char *name)
{
    rbd_image_t image;

    g_assert_cmpint(rbd_open(fixture->cluster->io, name, &image, NULL), ==, 0);
    g_assert_cmpint(rbd_write(image, 0, 1, "x"), ==, 1);
    g_assert_cmpint(rbd_flush(image), ==, 0);
    rbd_close(image);
}

char *
image_active(Fixture *fixture, const char *name)
{
    g_autofree char *uuid = image_create(fixture, name);
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    rbd_image_t image;

    image_write(fixture, staged);
    g_assert_cmpint(rbd_open(fixture->cluster->io, staged, &image, NULL), ==, 0);
    g_assert_cmpint(rbd_snap_create(image, VIMG_CEPH_SNAPSHOT), ==, 0);
    rbd_close(image);
    g_assert_cmpint(rbd_rename(fixture->cluster->io, staged, name), ==, 0);
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_ACTIVE);
    return g_steal_pointer(&uuid);
}

void
image_delete(Fixture *fixture, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    vimg_ceph_image_remove(fixture->store, uuid, &error);
    g_assert_no_error(error);
}

VimgImageState
image_state(Fixture *fixture, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    vimg_ceph_image_stat(fixture->store, uuid, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out.uuid, ==, uuid);
    return out.state;
}

static gboolean
add_name(const VimgPluginImage *image, gpointer data)
{
    GPtrArray *names = data;

    g_assert_nonnull(image->name);
    g_assert_true(g_uuid_string_is_valid(image->uuid));
    g_ptr_array_add(names, g_strdup(image->name));
    return TRUE;
}

static gint
compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *
image_names(Fixture *fixture, gboolean trash)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    (trash ? vimg_ceph_trash_list : vimg_ceph_image_list)(fixture->store, add_name, names, &error);
    g_assert_no_error(error);
    g_ptr_array_sort(names, compare);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

void
foreign_create(Fixture *fixture, const char *name, guint64 size)
{
    int order = 0;

    g_assert_cmpint(rbd_create2(fixture->cluster->io, name, size, RBD_FEATURE_LAYERING, &order), ==,
                    0);
}

typedef struct {
    const char *name;
    char *uuid;
} Search;

static gboolean
match_name(const VimgPluginImage *image, gpointer data)
{
    Search *search = data;

    if (strcmp(image->name, search->name) == 0)
        search->uuid = g_strdup(image->uuid);
    return !search->uuid;
}

char *
image_uuid(Fixture *fixture, const char *name)
{
    g_autoptr(GError) error = NULL;
    Search search = {.name = name};

    vimg_ceph_image_list(fixture->store, match_name, &search, &error);
    g_assert_no_error(error);
    g_assert_nonnull(search.uuid);
    return search.uuid;
}

void
assert_error(GError **error, VimgErrorCode code, const char *part)
{
    g_assert_error(*error, VIMG_ERROR, (gint)code);
    if (part && !strstr((*error)->message, part))
        g_error("'%s' does not say '%s'", (*error)->message, part);
    g_test_message("%s", (*error)->message);
    g_clear_error(error);
}
