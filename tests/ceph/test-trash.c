/*
 * test-trash.c: deleted images, and what a cleanup and pool-delete remove
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "cleanup.h"
#include "erase.h"
#include "image-helper.h"

#define UNSIGNED VIMG_CEPH_STAGED "6b1d7d5e-2c5e-4b0e-8f0e-8b0f6a1f0c11"

static gboolean
restore(Fixture *fixture, const char *uuid, const char *name, GError **error)
{
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    if (!vimg_ceph_trash_restore(fixture->store, uuid, name, &out, error))
        return FALSE;
    g_assert_cmpstr(out.uuid, ==, uuid);
    g_assert_cmpstr(out.name, ==, name);
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    return TRUE;
}

static void
purge(Fixture *fixture, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    vimg_ceph_trash_purge(fixture->store, uuid, &error);
    g_assert_no_error(error);
}

static void
assert_names(Fixture *fixture, gboolean trash, const char *wanted)
{
    g_autofree char *names = image_names(fixture, trash);

    g_assert_cmpstr(names, ==, wanted);
}

static void
assert_run(const char *command, const char *wanted)
{
    g_autofree char *out = cluster_run(command);

    g_assert_cmpstr(out, ==, wanted);
}

/* ---- the trash -------------------------------------------------------------------------- */

static void
test_delete(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    g_autofree char *second = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    image_delete(fixture, uuid);
    assert_names(fixture, FALSE, "");
    assert_names(fixture, TRUE, "a");
    text = cluster_run("rbd trash ls --long " POOL);
    g_assert_nonnull(strstr(text, "USER"));
    g_assert_nonnull(strstr(text, "protected until"));
    g_assert_false(vimg_ceph_image_remove(fixture->store, uuid, &error));
    assert_error(&error, VIMG_ERROR_NO_VOL, NULL);
    /* the name is free at once */
    second = image_active(fixture, "a");
    g_assert_false(restore(fixture, uuid, "a", &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'a'");
    g_assert_true(restore(fixture, uuid, "b", &error));
    g_assert_false(restore(fixture, uuid, "c", &error));
    assert_error(&error, VIMG_ERROR_NO_VOL, "not in the trash");
    assert_names(fixture, FALSE, "a b");
    assert_names(fixture, TRUE, "");
}

static void
test_purge(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    g_autoptr(GError) error = NULL;

    g_assert_false(vimg_ceph_trash_purge(fixture->store, uuid, &error));
    assert_error(&error, VIMG_ERROR_NO_VOL, "not in the trash");
    image_delete(fixture, uuid);
    purge(fixture, uuid);
    assert_names(fixture, TRUE, "");
    assert_run("rbd trash ls --all " POOL, "");
    g_assert_false(restore(fixture, uuid, "a", &error));
    assert_error(&error, VIMG_ERROR_NO_VOL, NULL);
}

/* @format: "1" has protected snapshots */
static void
clone_all(const char *format, guint n)
{
    guint i;

    if (strcmp(format, "1") == 0)
        g_free(cluster_run("rbd snap protect " POOL "/a@image"));
    for (i = 0; i < n; i++) {
        g_autofree char *command = g_strdup_printf(
            "rbd clone --rbd-default-clone-format %s " POOL "/a@image " POOL "/c%u", format, i);

        g_free(cluster_run(command));
    }
}

static void
remove_clones(Fixture *fixture, guint n)
{
    guint i;

    for (i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("c%u", i);

        g_assert_cmpint(rbd_remove(fixture->cluster->io, name), ==, 0);
    }
}

static void
children_of_format(Fixture *fixture, const char *format)
{
    g_autofree char *uuid = image_active(fixture, "a");
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) parts = NULL;

    clone_all(format, 7);
    image_delete(fixture, uuid);
    assert_names(fixture, TRUE, "a");
    g_assert_false(vimg_ceph_trash_purge(fixture->store, uuid, &error));
    parts = g_strsplit(error->message, POOL "/c", -1);
    g_assert_cmpuint(g_strv_length(parts), ==, 1 + 5);
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, " and 2 more");
    assert_names(fixture, TRUE, "a");
    g_assert_true(restore(fixture, uuid, "a", &error));
    image_delete(fixture, uuid);
    remove_clones(fixture, 7);
    purge(fixture, uuid);
    assert_run("rbd trash ls --all " POOL, "");
}

static void
test_children(Fixture *fixture, gconstpointer data)
{
    children_of_format(fixture, "2");
    children_of_format(fixture, "1");
}

/* Whatever other tools call it. */
static void
test_strange_child(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    rbd_image_options_t options;
    g_autoptr(GError) error = NULL;

    rbd_image_options_create(&options);
    g_assert_cmpint(rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_CLONE_FORMAT, 2), ==, 0);
    g_assert_cmpint(rbd_clone3(fixture->cluster->io, "a", "image", fixture->cluster->io,
                               "c\x01\xff\n", options),
                    ==, 0);
    rbd_image_options_destroy(options);
    image_delete(fixture, uuid);
    g_assert_false(vimg_ceph_trash_purge(fixture->store, uuid, &error));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, POOL "/c?\xef\xbf\xbd?");
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "c\x01\xff\n"), ==, 0);
}

/* One that is purged but not wholly gone is nobody's to restore. */
static void
test_half_purged(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_find(fixture->store, uuid, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;
    rbd_image_t image;

    image_delete(fixture, uuid);
    record->purged = TRUE;
    g_assert_cmpint(rbd_open_by_id(fixture->cluster->io, record->id, &image, NULL), ==, 0);
    g_assert_true(vimg_ceph_record_save(image, record, &error));
    rbd_close(image);
    assert_names(fixture, TRUE, "");
    g_assert_false(restore(fixture, uuid, "a", &error));
    assert_error(&error, VIMG_ERROR_NO_VOL, NULL);
    report = vimg_ceph_cleanup(fixture->store, FALSE, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(report, "the rest of a removal"));
    assert_run("rbd trash ls --all " POOL, "");
}

/* ---- others at work --------------------------------------------------------------------- */

/* Another client has the image open for writing. */
static void
test_busy(Fixture *fixture, gconstpointer data)
{
    g_autofree char *active = image_active(fixture, "a");
    g_autofree char *saving = image_create(fixture, "s");
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, saving, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgCluster) other = vimg_cluster_connect(&fixture->definition->pool, FALSE, &error);
    g_autofree char *client = NULL;
    rbd_image_t images[2];

    g_assert_no_error(error);
    client = g_strdup_printf("client.%" G_GUINT64_FORMAT " (127.0.0.1:",
                             rados_get_instance_id(other->rados));
    g_assert_cmpint(rbd_open(other->io, "a", &images[0], NULL), ==, 0);
    g_assert_cmpint(rbd_open(other->io, staged, &images[1], NULL), ==, 0);
    g_assert_false(vimg_ceph_image_remove(fixture->store, active, &error));
    assert_error(&error, VIMG_ERROR_BUSY, client);
    g_assert_false(vimg_ceph_image_remove(fixture->store, saving, &error));
    assert_error(&error, VIMG_ERROR_BUSY, client);
    g_assert_false(vimg_ceph_image_wipe(fixture->store, saving, &error));
    assert_error(&error, VIMG_ERROR_BUSY, client);
    g_assert_false(vimg_ceph_image_resize(fixture->store, saving, MIB, &error));
    assert_error(&error, VIMG_ERROR_BUSY, client);
    g_assert_false(vimg_ceph_store_remove_all(fixture->store, NULL, &error));
    assert_error(&error, VIMG_ERROR_BUSY, client);
    rbd_close(images[0]);
    rbd_close(images[1]);
    assert_names(fixture, FALSE, "a s");
}

/* ---- cleaning up ------------------------------------------------------------------------ */

static void
keep(Fixture *fixture, guint64 seconds)
{
    fixture->store->keep_deleted = seconds;
    fixture->store->keep_temporary = seconds;
}

static char *
clean(Fixture *fixture, gboolean dry_run)
{
    g_autoptr(GError) error = NULL;
    char *report = vimg_ceph_cleanup(fixture->store, dry_run, NULL, &error);

    g_assert_no_error(error);
    g_test_message("%s", report);
    return report;
}

static void
assert_says(const char *report, const char *name, const char *reason)
{
    g_autofree char *item = g_strdup_printf("{\"name\":\"%s\",\"reason\":\"%s", name, reason);

    if (!strstr(report, item))
        g_error("'%s' does not say '%s'", report, item);
}

static void
assert_removes_nothing(const char *report)
{
    if (!strstr(report, "\"removed\":[]"))
        g_error("%s", report);
}

static void
test_expired(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    g_autofree char *early = NULL;
    g_autofree char *dry = NULL;
    g_autofree char *report = NULL;

    foreign_create(fixture, "theirs", MIB);
    g_free(cluster_run("rbd trash mv " POOL "/theirs"));
    image_delete(fixture, uuid);
    early = clean(fixture, FALSE);
    assert_removes_nothing(early);
    keep(fixture, 0);
    dry = clean(fixture, TRUE);
    assert_says(dry, "a", "expired in the trash");
    assert_names(fixture, TRUE, "a");
    report = clean(fixture, FALSE);
    assert_says(report, "a", "expired in the trash");
    assert_names(fixture, TRUE, "");
    assert_run("sh -c \"rbd trash ls --all " POOL " | sed 's/.* //'\"", "theirs");
    g_free(cluster_run("sh -c \"rbd trash rm --no-progress " POOL "/$(rbd trash ls --all " POOL
                       " | sed 's/ .*//')\""));
}

/* One that cannot go does not keep the others. */
static void
test_partly(Fixture *fixture, gconstpointer data)
{
    g_autofree char *parent = image_active(fixture, "a");
    g_autofree char *other = image_active(fixture, "b");
    g_autofree char *dry = NULL;
    g_autofree char *report = NULL;

    clone_all("2", 1);
    image_delete(fixture, parent);
    image_delete(fixture, other);
    keep(fixture, 0);
    dry = clean(fixture, TRUE);
    assert_says(dry, "a", "the image is needed by its clones " POOL "/c0");
    assert_says(dry, "b", "expired");
    report = clean(fixture, FALSE);
    assert_says(report, "a", "the image is needed by its clones " POOL "/c0");
    assert_says(report, "b", "expired");
    assert_names(fixture, TRUE, "a");
    remove_clones(fixture, 1);
}

static void
test_leftovers(Fixture *fixture, gconstpointer data)
{
    VimgCluster *cluster = fixture->cluster;
    g_autofree char *dead = image_create(fixture, "dead");
    g_autofree char *bad = image_create(fixture, "bad");
    g_autofree char *alive = image_create(fixture, "alive");
    g_autofree char *dead_name = g_strconcat(VIMG_CEPH_STAGED, dead, NULL);
    g_autofree char *alive_name = g_strconcat(VIMG_CEPH_STAGED, alive, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *early = NULL;
    g_autofree char *dry = NULL;
    g_autofree char *report = NULL;
    rbd_image_t image;

    g_free(image_create(fixture, "untouched"));
    image_write(fixture, dead_name);
    image_write(fixture, alive_name);
    g_assert_true(vimg_ceph_image_set_error(fixture->store, bad, "bad", &error));
    g_assert_cmpint(rbd_open(cluster->io, alive_name, &image, NULL), ==, 0);
    foreign_create(fixture, UNSIGNED, MIB); /* a crash while it was made */
    g_assert_true(vimg_ceph_claim_take(cluster, "orphan", dead, &error));
    g_assert_true(vimg_ceph_claim_release(cluster, "orphan", dead, &error));
    g_assert_true(
        vimg_ceph_claim_take(cluster, "orphan", "11111111-2222-4333-8444-555555555555", &error));
    assert_names(fixture, FALSE, "alive bad dead untouched");
    early = clean(fixture, FALSE);
    assert_removes_nothing(early);
    keep(fixture, 0);
    dry = clean(fixture, TRUE);
    assert_names(fixture, FALSE, "alive bad dead untouched");
    report = clean(fixture, FALSE);
    rbd_close(image);
    g_assert_cmpuint(strlen(dry), ==, strlen(report) - strlen("fals") + strlen("tru"));
    assert_says(report, "dead", "an upload that nobody took up again");
    assert_says(report, "bad", "unusable");
    assert_says(report, UNSIGNED, "an upload");
    assert_says(report, "orphan", "a name without an image");
    assert_says(report, "alive", "the RBD image is open at client.");
    assert_names(fixture, FALSE, "alive untouched");
    assert_run("rbd trash ls --all " POOL, "");
    g_free(image_create(fixture, "dead"));
}

/* A staged image, in the trash or not, whose removal was cut short: but its entry is left. */
static void
cut_removal_short(Fixture *fixture, const char *name, gboolean trash)
{
    g_autofree char *move = g_strdup_printf("rbd trash mv " POOL "/%s", name);
    g_autofree char *header = NULL;
    char id[256];
    rbd_image_t image;

    foreign_create(fixture, name, MIB);
    g_assert_cmpint(rbd_open_read_only(fixture->cluster->io, name, &image, NULL), ==, 0);
    g_assert_cmpint(rbd_get_id(image, id, sizeof(id)), ==, 0);
    rbd_close(image);
    if (trash)
        g_free(cluster_run(move));
    header = g_strconcat("rbd_header.", id, NULL);
    g_assert_cmpint(rados_remove(fixture->cluster->io, header), ==, 0);
}

static void
test_rests(Fixture *fixture, gconstpointer data)
{
    g_autofree char *dry = NULL;
    g_autofree char *report = NULL;

    cut_removal_short(fixture, UNSIGNED, TRUE);
    dry = clean(fixture, TRUE);
    report = clean(fixture, FALSE);
    assert_says(dry, UNSIGNED, "the rest of a removal");
    assert_says(report, UNSIGNED, "the rest of a removal");
    assert_run("rbd trash ls --all " POOL, "");
    cut_removal_short(fixture, UNSIGNED, FALSE);
    g_clear_pointer(&report, g_free);
    report = clean(fixture, FALSE);
    assert_says(report, UNSIGNED, "the rest of a removal");
    assert_run("rbd ls " POOL, "");
    /* with all that is ours, it goes at the end of the test */
    cut_removal_short(fixture, UNSIGNED, TRUE);
}

/* One that died before its commit needs its source, and nobody takes it up again. */
static void
test_dead_clone(Fixture *fixture, gconstpointer data)
{
    g_autofree char *source = image_active(fixture, "a");
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    g_autofree char *command = g_strdup_printf(
        "rbd clone --rbd-default-clone-format 2 " POOL "/a@image " POOL "/%s", staged);
    VimgPluginImage image = {.size = sizeof(image), .uuid = uuid, .name = (char *)"b"};
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_new(&image);
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;
    rbd_image_t open;

    g_assert_true(vimg_ceph_claim_take(fixture->cluster, "b", uuid, &error));
    g_free(cluster_run(command));
    g_assert_cmpint(rbd_open(fixture->cluster->io, staged, &open, NULL), ==, 0);
    g_assert_true(vimg_ceph_record_save(open, record, &error));
    rbd_close(open);
    assert_names(fixture, FALSE, "a b");
    keep(fixture, 0);
    report = clean(fixture, FALSE);
    assert_says(report, "b", "an upload that nobody took up again");
    assert_names(fixture, FALSE, "a");
    image_delete(fixture, source);
    purge(fixture, source);
}

/* A clone of ours goes before what it was cloned from, wherever the two lie. */
static void
test_remove_all(Fixture *fixture, gconstpointer data)
{
    g_autofree char *parent = image_active(fixture, "a");
    g_autofree char *child = g_uuid_string_random();
    VimgPluginImage image = {.size = sizeof(image), .uuid = child, .name = (char *)"c0"};
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_new(&image);
    g_autoptr(GError) error = NULL;
    rbd_image_t open;

    g_free(image_create(fixture, "s"));
    clone_all("2", 1);
    g_assert_cmpint(rbd_open(fixture->cluster->io, "c0", &open, NULL), ==, 0);
    g_assert_true(vimg_ceph_record_save(open, record, &error));
    rbd_close(open);
    assert_names(fixture, FALSE, "a c0 s");
    image_delete(fixture, parent);
    foreign_create(fixture, "theirs", MIB);
    g_assert_true(vimg_ceph_store_remove_all(fixture->store, NULL, &error));
    g_assert_no_error(error);
    assert_names(fixture, FALSE, "theirs");
    assert_run("rbd trash ls --all " POOL, "");
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "theirs"), ==, 0);
}

static const ImageTest tests[] = {
    {"/ceph/trash/delete", test_delete},
    {"/ceph/trash/purge", test_purge},
    {"/ceph/trash/children", test_children},
    {"/ceph/trash/strange-child", test_strange_child},
    {"/ceph/trash/half-purged", test_half_purged},
    {"/ceph/trash/busy", test_busy},
    {"/ceph/cleanup/expired", test_expired},
    {"/ceph/cleanup/partly", test_partly},
    {"/ceph/cleanup/leftovers", test_leftovers},
    {"/ceph/cleanup/rests", test_rests},
    {"/ceph/cleanup/dead-clone", test_dead_clone},
    {"/ceph/cleanup/remove-all", test_remove_all},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
