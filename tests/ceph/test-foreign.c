/*
 * test-foreign.c: what other tools made stays theirs, whatever it looks like
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cleanup.h"
#include "content-helper.h"
#include "diff.h"
#include "verify.h"

#define THEIRS VIMG_CEPH_STAGED "6b1d7d5e-2c5e-4b0e-8f0e-8b0f6a1f0c11"
#define METADATA "rbd image-meta get " POOL "/copy " VIMG_CEPH_METADATA

/* ---- copies ----------------------------------------------------------------------------- */

/* RBD gives a copy the metadata of its source, which says nothing about the copy. */
static void
test_verify_copy(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(5 * MIB, 31);
    g_autofree char *uuid = content_upload(fixture, "a", content);
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_autofree char *report = NULL;
    g_autoptr(GError) error = NULL;

    g_free(cluster_run("rbd cp --no-progress " POOL "/a " POOL "/copy"));
    image_write(fixture, "copy");
    before = cluster_run(METADATA);
    report = vimg_ceph_verify(fixture->store, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(report, "\"damaged\":[]"));
    after = cluster_run(METADATA);
    g_assert_cmpstr(after, ==, before);
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "copy"), ==, 0);
}

static void
test_diff_copy(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgBuffer) content = content_new(5 * MIB, 32);
    g_autofree char *uuid = NULL;
    g_autofree char *copy = NULL;
    g_autofree char *report = NULL;
    g_autoptr(GError) error = NULL;

    content->data[0] = 'y';
    uuid = content_upload(fixture, "a", content);
    g_free(cluster_run("rbd cp --no-progress " POOL "/a " POOL "/copy"));
    image_write(fixture, "copy");
    copy = image_uuid(fixture, "copy");
    report = vimg_ceph_diff(fixture->store, uuid, copy, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(report, "\"kind\":\"changed\""));
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "copy"), ==, 0);
}

/* ---- cleaning up ------------------------------------------------------------------------ */

/* Also where its name could be one of ours. */
static void
test_snapshot_stays(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;
    g_autofree char *after = NULL;

    foreign_create(fixture, "theirs", MIB);
    g_free(cluster_run("rbd snap create --no-progress " POOL "/theirs@virtimage.before"));
    g_free(cluster_run("rbd snap protect " POOL "/theirs@virtimage.before"));
    fixture->store->keep_deleted = fixture->store->keep_temporary = 0;
    report = vimg_ceph_cleanup(fixture->store, FALSE, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(report, "\"removed\":[]"));
    g_assert_nonnull(strstr(report, "\"kept\":[]"));
    after = cluster_run("rbd snap ls " POOL "/theirs");
    g_assert_nonnull(strstr(after, "virtimage.before"));
    g_free(cluster_run("rbd snap unprotect " POOL "/theirs@virtimage.before"));
    g_free(cluster_run("rbd snap purge --no-progress " POOL "/theirs"));
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "theirs"), ==, 0);
}

/* A name is no proof, unless it has a uuid in it; in the trash it is none at all. */
static void
test_names_stay(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = NULL;
    g_autofree char *images = NULL;
    g_autofree char *trash = NULL;

    foreign_create(fixture, VIMG_CEPH_STAGED "mine", MIB);
    foreign_create(fixture, THEIRS, MIB);
    g_free(cluster_run("rbd trash mv " POOL "/" THEIRS));
    fixture->store->keep_deleted = fixture->store->keep_temporary = 0;
    report = vimg_ceph_cleanup(fixture->store, FALSE, NULL, &error);
    g_assert_no_error(error);
    vimg_ceph_store_remove_all(fixture->store, NULL, &error);
    g_assert_no_error(error);
    images = cluster_run("rbd ls " POOL);
    g_assert_cmpstr(images, ==, VIMG_CEPH_STAGED "mine");
    trash = cluster_run("rbd trash ls --all " POOL);
    g_assert_nonnull(strstr(trash, THEIRS));
    g_assert_cmpint(rbd_remove(fixture->cluster->io, VIMG_CEPH_STAGED "mine"), ==, 0);
    g_free(cluster_run("rbd trash purge --no-progress " POOL));
}

static const ImageTest tests[] = {
    {"/ceph/foreign/verify-copy", test_verify_copy},
    {"/ceph/foreign/diff-copy", test_diff_copy},
    {"/ceph/foreign/snapshot-stays", test_snapshot_stays},
    {"/ceph/foreign/names-stay", test_names_stay},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
