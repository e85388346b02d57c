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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    cluster_helper_init();
    image_helper_init();
    image_helper_add("/ceph/foreign/verify-copy", test_verify_copy);
    image_helper_add("/ceph/foreign/diff-copy", test_diff_copy);
    image_helper_add("/ceph/foreign/snapshot-stays", test_snapshot_stays);
    return g_test_run();
}
