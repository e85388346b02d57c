/*
 * test-foreign.c: what other tools made stays theirs, whatever it looks like
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "cleanup.h"
#include "content-helper.h"
#include "diff.h"
#include "foreign.h"
#include "layout.h"
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

/* ---- taking the place of an empty one ------------------------------------------------------- */

#define AWAY "by.old"

static char *
id_of(Fixture *fixture, const char *name)
{
    char *id = NULL;

    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, name, &id), ==, 0);
    return id;
}

static void
assert_names(Fixture *fixture, const char *expected)
{
    g_autofree char *names = cluster_run("rbd ls " POOL);

    g_assert_cmpstr(names, ==, expected);
}

static gboolean
take_place(Fixture *fixture, const char *identity, GError **error)
{
    return vimg_ceph_foreign_take_place(fixture->cluster, "place", identity, "by", AWAY, error);
}

static void
assert_kept(Fixture *fixture, const char *identity, VimgErrorCode code)
{
    g_autofree char *before = id_of(fixture, "place");
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(take_place(fixture, identity, &error));
    assert_error(&error, code, NULL);
    after = id_of(fixture, "place");
    g_assert_cmpstr(after, ==, before);
    assert_names(fixture, "by\nplace");
}

static void
test_place(Fixture *fixture, gconstpointer data)
{
    g_autofree char *first = NULL;
    g_autofree char *by = NULL;
    g_autofree char *now = NULL;
    g_autoptr(GError) error = NULL;

    foreign_create(fixture, "place", MIB);
    foreign_create(fixture, "by", MIB);
    first = id_of(fixture, "place");
    by = id_of(fixture, "by");
    take_place(fixture, first, &error);
    g_assert_no_error(error);
    now = id_of(fixture, "place");
    g_assert_cmpstr(now, ==, by);
    assert_names(fixture, "place");
    /* and of one that is gone */
    g_assert_cmpint(rbd_rename(fixture->cluster->io, "place", "by"), ==, 0);
    take_place(fixture, first, &error);
    g_assert_no_error(error);
    assert_names(fixture, "place");
    g_assert_true(vimg_ceph_foreign_take_place(fixture->cluster, "place", by, NULL, AWAY, &error));
    g_assert_no_error(error);
    assert_names(fixture, "");
}

/* Another's of the same name, also one that came just now; and what somebody wrote to, or holds. */
static void
test_place_kept(Fixture *fixture, gconstpointer data)
{
    g_autofree char *first = NULL;
    g_autofree char *now = NULL;
    g_autofree char *after = NULL;
    rbd_image_t image;

    foreign_create(fixture, "place", MIB);
    foreign_create(fixture, "by", MIB);
    now = id_of(fixture, "place");
    assert_kept(fixture, "another", VIMG_ERROR_VOL_EXISTS);
    g_assert_cmpint(vimg_ceph_foreign_put_away(fixture->cluster, "place", "another", AWAY), ==,
                    -EEXIST);
    after = id_of(fixture, "place");
    g_assert_cmpstr(after, ==, now);
    g_assert_cmpint(rbd_open(fixture->cluster->io, "place", &image, NULL), ==, 0);
    assert_kept(fixture, now, VIMG_ERROR_BUSY);
    rbd_close(image);
    image_write(fixture, "place");
    assert_kept(fixture, now, VIMG_ERROR_VOL_EXISTS);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "place"), ==, 0);
    foreign_create(fixture, "place", MIB);
    g_free(cluster_run("rbd snap create --no-progress " POOL "/place@one"));
    first = id_of(fixture, "place");
    assert_kept(fixture, first, VIMG_ERROR_VOL_EXISTS);
    g_free(cluster_run("rbd snap purge --no-progress " POOL "/place"));
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "place"), ==, 0);
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "by"), ==, 0);
}

/* ---- what a process left that died in the middle --------------------------------------------- */

static void
settle(Fixture *fixture, const char *identity, gboolean expected)
{
    gboolean kept = !expected;
    g_autoptr(GError) error = NULL;

    vimg_ceph_foreign_settle(fixture->cluster, "place", identity, NULL, "by", AWAY, &kept, &error);
    g_assert_no_error(error);
    g_assert_cmpint(kept, ==, expected);
}

/* The empty one goes; one that was written to, and another's, have their names again. */
static void
test_settled(Fixture *fixture, gconstpointer data)
{
    g_autofree char *identity = NULL;

    foreign_create(fixture, AWAY, MIB);
    settle(fixture, "another", FALSE);
    assert_names(fixture, "place");
    identity = id_of(fixture, "place");
    g_assert_cmpint(rbd_rename(fixture->cluster->io, "place", AWAY), ==, 0);
    foreign_create(fixture, "place", MIB);
    settle(fixture, "another", TRUE); /* somebody has that */
    assert_names(fixture, AWAY "\nplace");
    settle(fixture, identity, FALSE);
    assert_names(fixture, "place");
    g_free(identity);
    identity = id_of(fixture, "place");
    image_write(fixture, "place");
    g_assert_cmpint(rbd_rename(fixture->cluster->io, "place", AWAY), ==, 0);
    settle(fixture, identity, FALSE);
    assert_names(fixture, "place");
    settle(fixture, identity, FALSE); /* nothing is left to be done */
    assert_names(fixture, "place");
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "place"), ==, 0);
}

/* As RBD leaves it that was killed before it had removed the old name, or had only made the new. */
static void
lead_to(Fixture *fixture, const char *name, const char *id)
{
    g_autofree char *object = g_strconcat("rbd_id.", name, NULL);
    g_autoptr(GByteArray) content = g_byte_array_new();
    guint32 length = GUINT32_TO_LE((guint32)strlen(id));

    g_byte_array_append(content, (const guint8 *)&length, sizeof(length));
    g_byte_array_append(content, (const guint8 *)id, (guint)strlen(id));
    g_assert_cmpint(
        rados_write_full(fixture->cluster->io, object, (const char *)content->data, content->len),
        ==, 0);
}

static void
test_settled_within(Fixture *fixture, gconstpointer data)
{
    g_autofree char *id = NULL;
    g_autofree char *none = NULL;

    foreign_create(fixture, AWAY, MIB);
    id = id_of(fixture, AWAY);
    lead_to(fixture, "place", id);
    settle(fixture, id, FALSE);
    assert_names(fixture, "");
    foreign_create(fixture, "place", MIB); /* the name is free */
    g_free(id);
    id = id_of(fixture, "place");
    lead_to(fixture, AWAY, id);
    settle(fixture, id, FALSE);
    assert_names(fixture, "place");
    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, AWAY, &none), ==, -ENOENT);
    g_assert_cmpint(rbd_rename(fixture->cluster->io, "place", AWAY), ==, 0);
    lead_to(fixture, "place", id);
    settle(fixture, "another", FALSE);
    assert_names(fixture, "place");
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "place"), ==, 0);
}

/* A clone that has its name and no header yet goes; one that is whole is left to libvirt. */
static void
test_settled_half(Fixture *fixture, gconstpointer data)
{
    g_autofree char *id = NULL;
    g_autofree char *header = NULL;
    g_autofree char *none = NULL;

    foreign_create(fixture, "by", MIB);
    settle(fixture, "another", FALSE);
    assert_names(fixture, "by");
    id = id_of(fixture, "by");
    header = g_strconcat("rbd_header.", id, NULL);
    g_assert_cmpint(rados_remove(fixture->cluster->io, header), ==, 0);
    assert_names(fixture, "by");
    settle(fixture, "another", FALSE);
    assert_names(fixture, "");
    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, "by", &none), ==, -ENOENT);
}

static const ImageTest tests[] = {
    {"/ceph/foreign/verify-copy", test_verify_copy},
    {"/ceph/foreign/diff-copy", test_diff_copy},
    {"/ceph/foreign/snapshot-stays", test_snapshot_stays},
    {"/ceph/foreign/names-stay", test_names_stay},
    {"/ceph/foreign/place", test_place},
    {"/ceph/foreign/place-kept", test_place_kept},
    {"/ceph/foreign/settled", test_settled},
    {"/ceph/foreign/settled-within", test_settled_within},
    {"/ceph/foreign/settled-half", test_settled_half},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
