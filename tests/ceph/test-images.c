/*
 * test-images.c: images of ours and of other tools in one RADOS pool
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "image-helper.h"
#include "layout.h"

/* ---- records ---------------------------------------------------------------------------- */

#define UUID "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
#define GOOD "\"version\":1,\"id\":\"1a\",\"uuid\":\"" UUID "\",\"name\":\"a\""

static const struct {
    const char *text;
    gboolean good;
} texts[] = {
    {"{" GOOD "}", TRUE},
    {"{" GOOD ",\"more\":true}", TRUE},
    {"{" GOOD ",\"os\":\"{[\\\"\"}", TRUE},
    {"{" GOOD ",\"capacity\":-1}", TRUE}, /* reads as 0 */
    {"", FALSE},
    {"null", FALSE},
    {"[]", FALSE},
    {"{" GOOD "} x", FALSE},
    {"{" GOOD ",\"os\":1}", FALSE},
    {"{" GOOD ",\"os\":null}", FALSE},
    {"{" GOOD ",\"os\":{}}", FALSE},
    {"{" GOOD ",\"more\":{}}", FALSE},
    {"{" GOOD ",\"os\":[\"a\"]}", FALSE},
    {"{" GOOD ",\"os\":\"\xff\"}", FALSE},
    {"{\"version\":2,\"id\":\"1a\",\"uuid\":\"" UUID "\",\"name\":\"a\"}", FALSE},
    {"{\"version\":1,\"id\":\"1a\",\"uuid\":\"6ba7\",\"name\":\"a\"}", FALSE},
    {"{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"a\"}", FALSE},
    {"{\"version\":1,\"id\":\"1a\",\"uuid\":\"" UUID "\"}", FALSE},
};

static void
test_texts(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(VimgCephRecord) record = g_new0(VimgCephRecord, 1);
        g_autoptr(GError) error = NULL;

        record->info.size = sizeof(record->info);
        g_test_message("%s", texts[i].text);
        if (vimg_ceph_record_parse(record, texts[i].text, &error) != texts[i].good)
            g_error("%s", texts[i].text);
        if (!texts[i].good)
            assert_error(&error, VIMG_ERROR_DAMAGED, NULL);
    }
}

/* Neither a long text nor a deep one reaches the parser. */
static void
test_bounds(void)
{
    g_autoptr(VimgCephRecord) record = g_new0(VimgCephRecord, 1);
    g_autofree char *spaces = g_strnfill(300 * 1024, ' ');
    g_autofree char *brackets = g_strnfill(200 * 1024, '[');
    g_autofree char *long_text = g_strconcat("{" GOOD, spaces, "}", NULL);
    g_autofree char *deep = g_strconcat("{" GOOD ",\"x\":", brackets, NULL);
    g_autoptr(GError) error = NULL;

    record->info.size = sizeof(record->info);
    g_assert_false(vimg_ceph_record_parse(record, long_text, &error));
    assert_error(&error, VIMG_ERROR_DAMAGED, NULL);
    g_assert_false(vimg_ceph_record_parse(record, deep, &error));
    assert_error(&error, VIMG_ERROR_DAMAGED, NULL);
}

static void
test_round_trip(void)
{
    VimgPluginImage image = {.size = sizeof(image),
                             .uuid = (char *)UUID,
                             .name = (char *)"Ä \"x\"",
                             .format = (char *)"iso",
                             .os = (char *)"linux",
                             .description = (char *)"{[\n",
                             .copy_of = (char *)"imagestore:1/2",
                             .capacity = G_MAXINT64,
                             .position = 5,
                             .created = 7};
    g_autoptr(VimgCephRecord) record = vimg_ceph_record_new(&image);
    g_autoptr(VimgCephRecord) again = g_new0(VimgCephRecord, 1);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autofree char *same = NULL;

    record->id = g_strdup("1a");
    record->digest = g_strdup("00");
    record->info.uploaded_format = g_strdup("qcow2");
    record->info.uploaded_size = 9;
    record->purged = TRUE;
    text = vimg_ceph_record_format(record);
    again->info.size = sizeof(again->info);
    g_assert_true(vimg_ceph_record_parse(again, text, &error));
    g_assert_no_error(error);
    same = vimg_ceph_record_format(again);
    g_assert_cmpstr(same, ==, text);
    g_assert_cmpstr(again->info.name, ==, image.name);
    g_assert_cmpstr(again->info.description, ==, image.description);
    g_assert_cmpuint(again->info.capacity, ==, G_MAXINT64);
    g_assert_cmpstr(again->info.copy_of, ==, image.copy_of);
    g_assert_cmpstr(again->info.uploaded_format, ==, "qcow2");
    g_assert_true(again->purged);
}

/* ---- making ----------------------------------------------------------------------------- */

static void
test_create(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_create(fixture, "a b");
    g_autofree char *names = image_names(fixture, FALSE);
    g_autofree char *info = g_strdup_printf("rbd info " POOL "/" VIMG_CEPH_STAGED "%s", uuid);
    g_autofree char *claim = cluster_run("rados -p " POOL " get 'virtimage.name.a b' -");
    g_autofree char *text = cluster_run(info);

    g_assert_cmpstr(names, ==, "a b");
    g_assert_cmpstr(claim, ==, uuid);
    g_assert_nonnull(strstr(text, "size 8 MiB in 2 objects"));
    g_assert_nonnull(strstr(text, "exclusive-lock, object-map, fast-diff"));
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_SAVING);
    image_delete(fixture, uuid);
}

static gboolean
try_create(Fixture *fixture, const char *name, GError **error)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgPluginImage image = {.size = sizeof(image), .uuid = uuid, .name = (char *)name};

    return vimg_ceph_image_create(fixture->store, &image, &out, error);
}

/* A name is one image's, whoever made it; what fails leaves nothing. */
static void
test_names(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;

    g_free(image_create(fixture, "saving"));
    g_free(image_active(fixture, "active"));
    foreign_create(fixture, "foreign", MIB);
    g_assert_false(try_create(fixture, "saving", &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'saving'");
    g_assert_false(try_create(fixture, "active", &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'active'");
    g_assert_false(try_create(fixture, "foreign", &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'foreign'");
    g_assert_false(try_create(fixture, "virtimage.staged.x", &error));
    assert_error(&error, VIMG_ERROR_INVALID_ARG, "virtimage.");
    names = image_names(fixture, FALSE);
    g_assert_cmpstr(names, ==, "active foreign saving");
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "foreign"), ==, 0);
}

static void
test_claims(Fixture *fixture, gconstpointer data)
{
    VimgCluster *cluster = fixture->cluster;
    g_autoptr(GPtrArray) claims = NULL;
    g_autoptr(GError) error = NULL;
    const char *other = "11111111-2222-4333-8444-555555555555";

    g_assert_true(vimg_ceph_claim_take(cluster, "x", UUID, &error));
    g_assert_true(vimg_ceph_claim_take(cluster, "x", UUID, &error));
    g_assert_false(vimg_ceph_claim_take(cluster, "x", other, &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'x'");
    g_assert_true(vimg_ceph_claim_release(cluster, "x", other, &error));
    g_assert_false(vimg_ceph_claim_take(cluster, "x", other, &error));
    assert_error(&error, VIMG_ERROR_VOL_EXISTS, "'x'");
    claims = vimg_ceph_claim_list(cluster, &error);
    g_assert_cmpuint(claims->len, ==, 1);
    g_assert_cmpstr(((VimgCephClaim *)claims->pdata[0])->uuid, ==, UUID);
    g_assert_true(vimg_ceph_claim_release(cluster, "x", UUID, &error));
    g_assert_true(vimg_ceph_claim_take(cluster, "x", other, &error));
    g_assert_true(vimg_ceph_claim_release(cluster, "x", other, &error));
    g_assert_true(vimg_ceph_claim_release(cluster, "x", other, &error));
    g_assert_no_error(error);
}

/* A claim that a crash left goes to who wants the name, after a while. */
static void
test_left_claim(Fixture *fixture, gconstpointer data)
{
    struct timespec then = {.tv_sec = g_get_real_time() / G_USEC_PER_SEC - 3600};
    rados_write_op_t op = rados_create_write_op();
    g_autofree char *uuid = NULL;

    rados_write_op_write_full(op, UUID, 36);
    g_assert_cmpint(
        rados_write_op_operate2(op, fixture->cluster->io, VIMG_CEPH_CLAIM "old", &then, 0), ==, 0);
    rados_release_write_op(op);
    uuid = image_create(fixture, "old");
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_SAVING);
}

/* ---- of other tools --------------------------------------------------------------------- */

static void
test_foreign(Fixture *fixture, gconstpointer data)
{
    VimgCephStore *store = fixture->store;
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    VimgPluginImage change = {.size = sizeof(change), .os = (char *)"x"};
    g_autoptr(GError) error = NULL;
    g_autofree char *again = NULL;
    g_autofree char *uuid = NULL;

    foreign_create(fixture, "vm-disk", 3 * MIB);
    uuid = image_uuid(fixture, "vm-disk");
    again = image_uuid(fixture, "vm-disk");
    g_assert_cmpstr(uuid, ==, again);
    g_assert_cmpint(uuid[14], ==, '5');
    g_assert_true(vimg_ceph_image_stat(store, uuid, &out, &error));
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpstr(out.format, ==, "raw");
    g_assert_cmpuint(out.capacity, ==, 3 * MIB);
    g_assert_cmpuint(out.physical, ==, 3 * MIB);
    g_assert_cmpint(out.created, >, 1600000000);
    change.uuid = uuid;
    g_assert_false(vimg_ceph_image_remove(store, uuid, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "'vm-disk' was made by other tools");
    g_assert_false(vimg_ceph_image_discard(store, uuid, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "other tools");
    g_assert_false(vimg_ceph_image_wipe(store, uuid, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "other tools");
    g_assert_false(vimg_ceph_image_resize(store, uuid, MIB, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "other tools");
    g_assert_false(vimg_ceph_image_set_metadata(store, &change, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "other tools");
    g_assert_cmpint(rbd_remove(fixture->cluster->io, "vm-disk"), ==, 0);
}

/* RBD gives copies and clones the metadata of what they were made of: they are not ours for that.
 */
static void
test_copies(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    g_autoptr(GError) error = NULL;
    g_autofree char *names = NULL;
    g_autofree char *clone = NULL;
    g_autofree char *copy = NULL;

    g_free(cluster_run("rbd cp --no-progress " POOL "/a " POOL "/copy"));
    g_free(cluster_run("rbd clone --rbd-default-clone-format 2 " POOL "/a@image " POOL "/clone"));
    names = image_names(fixture, FALSE);
    g_assert_cmpstr(names, ==, "a clone copy");
    clone = image_uuid(fixture, "clone");
    copy = image_uuid(fixture, "copy");
    g_assert_cmpstr(clone, !=, uuid);
    g_assert_cmpstr(copy, !=, uuid);
    g_assert_false(vimg_ceph_image_remove(fixture->store, clone, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "other tools");
    g_assert_false(vimg_ceph_store_remove_all(fixture->store, NULL, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, POOL "/clone");
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_ACTIVE);
    g_free(cluster_run("rbd rm --no-progress " POOL "/clone"));
    g_free(cluster_run("rbd rm --no-progress " POOL "/copy"));
}

/* As RBD made "old" of 5 MiB until 2012, and does no more. */
static void
make_old(Fixture *fixture)
{
    static const char listed[] = "\0\0\0\0\1\0\0\0\3\0\0\0old\0\0\0\0";
    struct {
        char text[40];
        char prefix[24];
        char signature[4];
        char version[8];
        guint8 options[4];
        guint64 size;
        guint64 rest[4];
    } header = {
        .text = "<<< Rados Block Device Image >>>\n",
        .prefix = "rb.0.1.2",
        .signature = "RBD",
        .version = "001.005",
        .options = {22},
        .size = GUINT64_TO_LE(5 * MIB),
    };

    G_STATIC_ASSERT(sizeof(header) == 120);
    g_assert_cmpint(rados_write_full(fixture->cluster->io, "old.rbd", (const char *)&header, 112),
                    ==, 0);
    g_assert_cmpint(
        rados_write(fixture->cluster->io, "rbd_directory", listed, sizeof(listed) - 1, 0), ==, 0);
}

/* More than are read at once, in both formats of RBD. */
static void
test_many(Fixture *fixture, gconstpointer data)
{
    g_autofree char *names = NULL;
    g_auto(GStrv) list = NULL;
    g_autofree char *old = NULL;
    guint i;

    for (i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("m%u", i);

        foreign_create(fixture, name, MIB);
    }
    make_old(fixture);
    names = image_names(fixture, FALSE);
    list = g_strsplit(names, " ", -1);
    g_assert_cmpuint(g_strv_length(list), ==, 201);
    old = image_uuid(fixture, "old");
    g_assert_cmpint(image_state(fixture, old), ==, VIMG_IMAGE_ACTIVE);
    for (i = 0; list[i]; i++)
        g_assert_cmpint(rbd_remove(fixture->cluster->io, list[i]), ==, 0);
}

#define THREADS 4

/* Each makes an image, looks for it, lists all and removes it. */
static void *
come_and_go(void *data)
{
    Fixture *fixture = data;
    guint i;

    for (i = 0; i < 5; i++) {
        g_autofree char *name = g_uuid_string_random();
        g_autofree char *uuid = image_create(fixture, name);
        g_autofree char *names = image_names(fixture, FALSE);

        g_assert_nonnull(strstr(names, name));
        g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_SAVING);
        image_delete(fixture, uuid);
    }
    return NULL;
}

static void
test_threads(Fixture *fixture, gconstpointer data)
{
    pthread_t threads[THREADS];
    g_autofree char *names = NULL;
    guint i;

    for (i = 0; i < THREADS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, come_and_go, fixture), ==, 0);
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    names = image_names(fixture, FALSE);
    g_assert_cmpstr(names, ==, "");
}

/* ---- changing --------------------------------------------------------------------------- */

static void
test_change(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_create(fixture, "a");
    g_autofree char *info = g_strdup_printf("rbd info " POOL "/" VIMG_CEPH_STAGED "%s", uuid);
    VimgPluginImage change = {
        .size = sizeof(change), .uuid = uuid, .os = (char *)"linux", .arch = (char *)"x86_64"};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    g_assert_true(vimg_ceph_image_resize(fixture->store, uuid, 12 * MIB, &error));
    g_assert_true(vimg_ceph_image_set_metadata(fixture->store, &change, &error));
    change = (VimgPluginImage){.size = sizeof(change), .uuid = uuid, .os = (char *)"bsd"};
    g_assert_true(vimg_ceph_image_set_metadata(fixture->store, &change, &error));
    g_assert_true(vimg_ceph_image_set_error(fixture->store, uuid, "bad", &error));
    g_assert_no_error(error);
    text = cluster_run(info);
    g_assert_nonnull(strstr(text, "size 12 MiB"));
    g_assert_true(vimg_ceph_image_stat(fixture->store, uuid, &out, &error));
    g_assert_cmpuint(out.capacity, ==, 12 * MIB);
    g_assert_cmpstr(out.os, ==, "bsd");
    g_assert_cmpstr(out.arch, ==, "x86_64");
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ERROR);
    g_assert_cmpstr(out.reason, ==, "bad");
}

static void
test_change_active(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_active(fixture, "a");
    VimgPluginImage change = {
        .size = sizeof(change), .uuid = uuid, .description = (char *)"golden"};
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;
    g_autofree char *id = NULL;

    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, "a", &id), ==, 0);
    g_assert_false(vimg_ceph_image_resize(fixture->store, uuid, 12 * MIB, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, NULL);
    g_assert_false(vimg_ceph_image_wipe(fixture->store, uuid, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, "purge");
    g_assert_false(vimg_ceph_image_set_error(fixture->store, uuid, "bad", &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, NULL);
    g_assert_false(vimg_ceph_image_discard(fixture->store, uuid, &error));
    assert_error(&error, VIMG_ERROR_OPERATION_INVALID, NULL);
    g_assert_true(vimg_ceph_image_set_metadata(fixture->store, &change, &error));
    g_assert_true(vimg_ceph_image_stat(fixture->store, uuid, &out, &error));
    g_assert_cmpstr(out.description, ==, "golden");
    g_assert_cmpint(out.state, ==, VIMG_IMAGE_ACTIVE);
    g_assert_cmpstr(out.generation, ==, id);
    g_free(cluster_run("rbd mv " POOL "/a " POOL "/b")); /* by its administrator */
    vimg_plugin_image_clear(&out);
    g_assert_true(vimg_ceph_image_stat(fixture->store, uuid, &out, &error));
    g_assert_cmpstr(out.name, ==, "b");
    g_assert_cmpstr(out.generation, ==, id);
}

static void
test_wipe(Fixture *fixture, gconstpointer data)
{
    g_autofree char *uuid = image_create(fixture, "a");
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, NULL);
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_autofree char *trash = NULL;
    g_autoptr(GError) error = NULL;
    char byte = 1;
    rbd_image_t image;

    image_write(fixture, staged);
    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, staged, &before), ==, 0);
    g_assert_true(vimg_ceph_image_set_error(fixture->store, uuid, "bad", &error));
    g_assert_true(vimg_ceph_image_wipe(fixture->store, uuid, &error));
    g_assert_no_error(error);
    g_assert_cmpint(vimg_layout_id_of(fixture->cluster, staged, &after), ==, 0);
    g_assert_cmpstr(before, !=, after);
    g_assert_cmpint(image_state(fixture, uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_cmpint(rbd_open_read_only(fixture->cluster->io, staged, &image, NULL), ==, 0);
    g_assert_cmpint(rbd_read(image, 0, 1, &byte), ==, 1);
    rbd_close(image);
    g_assert_cmpint(byte, ==, 0);
    trash = cluster_run("rbd trash ls --all " POOL);
    g_assert_cmpstr(trash, ==, "");
}

static const ImageTest tests[] = {
    {"/ceph/record/texts", .alone = test_texts},
    {"/ceph/record/bounds", .alone = test_bounds},
    {"/ceph/record/round-trip", .alone = test_round_trip},
    {"/ceph/images/create", test_create},
    {"/ceph/images/names", test_names},
    {"/ceph/images/claims", test_claims},
    {"/ceph/images/left-claim", test_left_claim},
    {"/ceph/images/foreign", test_foreign},
    {"/ceph/images/copies", test_copies},
    {"/ceph/images/many", test_many},
    {"/ceph/images/threads", test_threads},
    {"/ceph/images/change", test_change},
    {"/ceph/images/change-active", test_change_active},
    {"/ceph/images/wipe", test_wipe},
};

int
main(int argc, char **argv)
{
    return image_helper_run(argc, argv, tests, G_N_ELEMENTS(tests));
}
