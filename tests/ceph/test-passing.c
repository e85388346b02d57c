/*
 * test-passing.c: what is but the way to something else, and what volumes held at a moment
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cleanup.h"
#include "clone.h"
#include "content-helper.h"
#include "foreign.h"
#include "layout.h"
#include "promise.h"
#include "takes.h"

#define DAY 86400
#define TRASH "rbd trash ls --all " POOL
#define SNAPSHOT "virtimage.take.x"

/* ---- passing images --------------------------------------------------------------------- */

/* Returns: (transfer full) the uuid of one that is active. */
static char *
passing(Fixture *fixture)
{
    g_autofree char *source = image_active(fixture, "a");
    g_autofree char *uuid = g_uuid_string_random();
    VimgPluginImage image = {
        .size = sizeof(image), .uuid = uuid, .name = (char *)"way", .passing = TRUE};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    vimg_ceph_clone(fixture->store, source, &image, NULL, &out, &error);
    g_assert_no_error(error);
    g_assert_true(out.passing);
    return g_steal_pointer(&uuid);
}

/* Returns: (transfer full) the report. */
static char *
clean(Fixture *fixture, guint64 keep)
{
    g_autoptr(GError) error = NULL;
    char *report;

    fixture->store->keep_deleted = DAY;
    fixture->store->keep_temporary = keep;
    report = vimg_ceph_cleanup(fixture->store, FALSE, NULL, &error);
    g_assert_no_error(error);
    return report;
}

static void
assert_says(char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' does not say '%s'", text, part);
    g_free(text);
}

static void
assert_hidden(Fixture *fixture)
{
    g_autofree char *images = image_names(fixture, FALSE);
    g_autofree char *trash = image_names(fixture, TRUE);

    g_assert_cmpstr(images, ==, "a child");
    g_assert_cmpstr(trash, ==, "");
}

/* Its clone keeps it, and nobody sees it or has it back. */
static void
test_needed(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = passing(fixture);
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autofree char *left = NULL;
    g_autoptr(GError) error = NULL;

    g_free(cluster_run("rbd clone --rbd-default-clone-format 2 " POOL "/way@image " POOL "/child"));
    image_delete(fixture, uuid);
    assert_hidden(fixture);
    assert_says(cluster_run(TRASH), "way");
    vimg_ceph_trash_restore(fixture->store, uuid, "b", &out, &error);
    assert_error(&error, VIMG_ERROR_NO_VOL, uuid);
    assert_says(clean(fixture, DAY), "child");
    assert_says(cluster_run(TRASH), "way");
    g_free(cluster_run("rbd flatten --no-progress " POOL "/child"));
    assert_says(clean(fixture, DAY), "the rest of a removal");
    left = cluster_run(TRASH);
    g_assert_cmpstr(left, ==, "");
    assert_hidden(fixture);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "child"), ==, 0);
}

static void
test_needless(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = passing(fixture);
    g_autofree char *left = NULL;

    image_delete(fixture, uuid);
    left = cluster_run(TRASH);
    g_assert_cmpstr(left, ==, "");
}

/* A host exports it: it is deleted as others are, until that ends. */
static void
test_promised(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = passing(fixture);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    g_autofree char *left = NULL;
    g_autoptr(GError) error = NULL;

    vimg_ceph_keep(fixture->store, uuid, "export", now + DAY, &error);
    g_assert_no_error(error);
    image_delete(fixture, uuid);
    assert_says(cluster_run(TRASH), "way");
    g_free(clean(fixture, 0));
    assert_says(cluster_run(TRASH), "way");
    vimg_ceph_keep(fixture->store, uuid, "export", 0, &error);
    g_assert_no_error(error);
    g_free(clean(fixture, 0));
    left = cluster_run(TRASH);
    g_assert_cmpstr(left, ==, "");
}

/* Whoever made it did not come to remove it. */
static void
test_forgotten(Fixture *fixture, gconstpointer data)
{
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;

    g_free(passing(fixture));
    g_free(clean(fixture, DAY));
    before = image_names(fixture, FALSE);
    g_assert_cmpstr(before, ==, "a way");
    assert_says(clean(fixture, 0), "nobody ended");
    after = image_names(fixture, FALSE);
    g_assert_cmpstr(after, ==, "a");
}

/* ---- snapshots of a call ---------------------------------------------------------------- */

/* The next one removes what was left of a call long ago, by the key that made it. */
static void
sweep(Fixture *fixture, const char *id)
{
    g_autofree char *note = g_strdup_printf("rados -p " POOL " setomapval virtimage.takes " SNAPSHOT
                                            " '1 %" G_GINT64_FORMAT " %s'",
                                            fixture->cluster->pool_id, id);
    g_autofree char *after = NULL;

    g_free(cluster_run(note));
    g_free(cluster_run("rbd snap create --no-progress " POOL "/theirs@" SNAPSHOT));
    vimg_ceph_takes_sweep(fixture->cluster, fixture->cluster, 2 * DAY);
    after = cluster_run("rbd snap ls " POOL "/theirs");
    g_assert_cmpstr(after, ==, "");
}

static void
test_take(Fixture *fixture, gconstpointer data)
{
    VimgCluster *cluster = fixture->cluster;
    g_autofree char *id = NULL;
    g_autofree char *after = NULL;
    g_autoptr(GPtrArray) takes = NULL;
    g_autoptr(GError) error = NULL;

    foreign_create(fixture, "theirs", MIB);
    g_assert_cmpint(vimg_layout_id_of(cluster, "theirs", &id), ==, 0);
    vimg_ceph_take_note(cluster, SNAPSHOT, cluster->pool_id, id, &error);
    g_assert_no_error(error);
    /* and of a volume, and of a pool, that is gone */
    vimg_ceph_take_note(cluster, "virtimage.take.y", cluster->pool_id, "abc", &error);
    vimg_ceph_take_note(cluster, "virtimage.take.z", 123456, "abc", &error);
    g_assert_no_error(error);
    g_free(cluster_run("rbd snap create --no-progress " POOL "/theirs@" SNAPSHOT));
    vimg_ceph_takes_sweep(cluster, cluster, 0); /* it may be in the making */
    assert_says(clean(fixture, DAY), "\"removed\":[]");
    assert_says(cluster_run("rbd snap ls " POOL "/theirs"), SNAPSHOT);
    assert_says(clean(fixture, 0), SNAPSHOT);
    after = cluster_run("rbd snap ls " POOL "/theirs");
    g_assert_cmpstr(after, ==, "");
    takes = vimg_ceph_take_list(cluster, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(takes->len, ==, 0);
    sweep(fixture, id);
    g_assert_cmpint(rbd_remove(cluster->io, "theirs"), ==, 0);
}

/* ---- moments ---------------------------------------------------------------------------- */

#define SIZE (40 * MIB)

/* What comes of "theirs" at @moment: S, D or Z and the length, a run each. */
static char *
read_at(Fixture *fixture, const char *moment, const char *since)
{
    g_autoptr(GError) error = NULL;
    gpointer reader =
        vimg_ceph_foreign_reader_at(fixture->cluster, "theirs", moment, since, NULL, &error);
    GString *out = g_string_new(NULL);
    VimgExtent extent;
    guint64 run = 0;
    char kind = 0;

    g_assert_no_error(error);
    do {
        gboolean same = FALSE;
        char now;

        vimg_ceph_foreign_next_at(reader, &extent, &same, &error);
        g_assert_no_error(error);
        now = extent.length == 0 ? 0 : same ? 'S' : extent.data ? 'D' : 'Z';
        if (now != kind && kind)
            g_string_append_printf(out, "%c%" G_GUINT64_FORMAT " ", kind, run / 4096);
        run = now == kind ? run + extent.length : extent.length;
        kind = now;
        vimg_buffer_unref(extent.data);
    } while (kind);
    vimg_ceph_foreign_close_at(reader);
    return g_string_free(out, FALSE);
}

static void
hold(Fixture *fixture, const char *moment)
{
    g_autoptr(GError) error = NULL;

    vimg_ceph_foreign_hold(fixture->cluster, "theirs", moment, &error);
    g_assert_no_error(error);
}

static void
write_at(Fixture *fixture, guint64 at, guint64 size)
{
    g_autofree char *data = g_malloc(size);
    rbd_image_t image;

    memset(data, 'x', size);
    g_assert_cmpint(rbd_open(fixture->cluster->io, "theirs", &image, NULL), ==, 0);
    g_assert_cmpint(rbd_write(image, at, size, data), ==, (int)size);
    g_assert_cmpint(rbd_flush(image), ==, 0);
    rbd_close(image);
}

static void
discard_at(Fixture *fixture, guint64 at, guint64 size)
{
    rbd_image_t image;

    g_assert_cmpint(rbd_open(fixture->cluster->io, "theirs", &image, NULL), ==, 0);
    g_assert_cmpint(rbd_discard(image, at, size), ==, (int)size);
    rbd_close(image);
}

/* Objects of which bytes were written, and a whole one that became zeros; in blocks of 4096. */
static void
test_since(Fixture *fixture, gconstpointer data)
{
    g_autofree char *same = NULL;
    g_autofree char *changed = NULL;
    g_autoptr(GError) error = NULL;

    foreign_create(fixture, "theirs", SIZE);
    write_at(fixture, 0, 8 * MIB);
    write_at(fixture, 36 * MIB, 4 * MIB);
    hold(fixture, "one");
    hold(fixture, "two");
    write_at(fixture, MIB, 4096);
    write_at(fixture, 16 * MIB - 4096, 8192);
    discard_at(fixture, 36 * MIB, 4 * MIB);
    hold(fixture, "three");
    g_assert_false(vimg_ceph_foreign_hold(fixture->cluster, "theirs", "three", &error));
    g_assert_nonnull(error); /* it was kept before */
    g_clear_error(&error);
    write_at(fixture, 24 * MIB, MIB);
    same = read_at(fixture, "two", "one");
    g_assert_cmpstr(same, ==, "S10240 ");
    changed = read_at(fixture, "three", "two");
    g_assert_cmpstr(changed, ==, "D1024 S2048 D2048 S4096 Z1024 ");
    g_assert_null(
        vimg_ceph_foreign_reader_at(fixture->cluster, "theirs", "three", "nine", NULL, &error));
    assert_error(&error, VIMG_ERROR_NO_SUPPORT, NULL);
    g_assert_null(
        vimg_ceph_foreign_reader_at(fixture->cluster, "theirs", "one", "two", NULL, &error));
    assert_error(&error, VIMG_ERROR_NO_SUPPORT, NULL); /* that was later */
    assert_says(read_at(fixture, "two", NULL), "D2048 Z7168 D1024 ");
    for (const char *const *moment = (const char *const[]){"one", "two", "three", "nine", NULL};
         *moment; moment++) {
        vimg_ceph_foreign_drop(fixture->cluster, "theirs", *moment, &error);
        g_assert_no_error(error);
    }
    vimg_ceph_foreign_drop(fixture->cluster, "nothing", "one", &error);
    g_assert_no_error(error);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "theirs"), ==, 0);
}

/* The guest discards the end of an object: its beginning is still data, its end is zeros. */
static void
check_cut(Fixture *fixture)
{
    g_autofree guint8 *zeros = g_malloc0(2 * MIB);
    g_autoptr(GError) error = NULL;
    gpointer reader;
    VimgExtent extent;
    gboolean same = TRUE;

    write_at(fixture, 0, 8 * MIB);
    hold(fixture, "one");
    discard_at(fixture, 2 * MIB, 2 * MIB);
    hold(fixture, "two");
    reader = vimg_ceph_foreign_reader_at(fixture->cluster, "theirs", "two", "one", NULL, &error);
    g_assert_no_error(error);
    vimg_ceph_foreign_next_at(reader, &extent, &same, &error);
    g_assert_no_error(error);
    g_assert_false(same);
    g_assert_nonnull(extent.data);
    g_assert_cmpint(extent.length, ==, 4 * MIB);
    g_assert_cmpint(extent.data->data[extent.offset + 2 * MIB - 1], ==, 'x');
    g_assert_cmpint(memcmp(extent.data->data + extent.offset + 2 * MIB, zeros, 2 * MIB), ==, 0);
    vimg_buffer_unref(extent.data);
    vimg_ceph_foreign_close_at(reader);
    assert_says(read_at(fixture, "two", "one"), "D1024 S9216 ");
}

static void
enable_map(void)
{
    g_free(cluster_run("rbd snap purge --no-progress " POOL "/theirs"));
    g_free(cluster_run("rbd feature enable " POOL "/theirs exclusive-lock object-map fast-diff"));
}

/* By what RBD finds in the objects, and by a map of them, but not by one that it does not trust. */
static void
test_cut(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    foreign_create(fixture, "theirs", SIZE);
    check_cut(fixture);
    enable_map();
    hold(fixture, "one");
    hold(fixture, "two");
    g_assert_null(
        vimg_ceph_foreign_reader_at(fixture->cluster, "theirs", "two", "one", NULL, &error));
    assert_error(&error, VIMG_ERROR_NO_SUPPORT, NULL);
    g_free(cluster_run("rbd snap purge --no-progress " POOL "/theirs"));
    g_free(cluster_run("rbd object-map rebuild --no-progress " POOL "/theirs"));
    check_cut(fixture);
    g_free(cluster_run("rbd snap purge --no-progress " POOL "/theirs"));
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "theirs"), ==, 0);
}

/* What was changed of another size, nobody knows. */
static void
test_resized(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    foreign_create(fixture, "theirs", SIZE);
    hold(fixture, "one");
    g_free(cluster_run("rbd resize --no-progress --size 80M " POOL "/theirs"));
    hold(fixture, "two");
    g_assert_null(
        vimg_ceph_foreign_reader_at(fixture->cluster, "theirs", "two", "one", NULL, &error));
    assert_error(&error, VIMG_ERROR_NO_SUPPORT, NULL);
    g_free(cluster_run("rbd snap purge --no-progress " POOL "/theirs"));
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "theirs"), ==, 0);
}

static const ImageTest tests[] = {
    {"/ceph/passing/needed", test_needed},     {"/ceph/passing/needless", test_needless},
    {"/ceph/passing/promised", test_promised}, {"/ceph/passing/forgotten", test_forgotten},
    {"/ceph/passing/take", test_take},         {"/ceph/moments/since", test_since},
    {"/ceph/moments/cut", test_cut},           {"/ceph/moments/resized", test_resized},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
