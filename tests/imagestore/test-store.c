/*
 * test-store.c: opening rules, names, lists, damage, and two hosts on one store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "claim.h"
#include "lease.h"
#include "location.h"
#include "memory-transport.h"
#include "slice.h"
#include "store-helper.h"

typedef struct {
    char *dir; /* empty */
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->dir = helper_dir();
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    helper_remove_dir(fixture->dir);
    g_free(fixture->dir);
}

static VimgPluginPool
pool_in(const char *dir)
{
    static const char *const small[] = {"size", "1048576", NULL};
    static const VimgPluginElement slice = {"slice", small, ""};

    return (VimgPluginPool){.size = sizeof(VimgPluginPool),
                            .name = "images",
                            .uuid = "00000000-0000-4000-8000-000000000001",
                            .dir = dir,
                            .space_reserve = 0,
                            .elements = &slice,
                            .n_elements = 1};
}

static void
put_file(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static gboolean
has(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* ---- opening ---------------------------------------------------------------------------- */

static void
assert_open(const VimgPluginPool *pool, guint32 flags, gint code, const char *word)
{
    g_autoptr(GError) error = NULL;
    VimgSliceStore *store = vimg_imagestore_open(pool, flags, &error);

    if (code < 0) {
        g_assert_no_error(error);
        g_assert_nonnull(store);
    } else {
        g_assert_null(store);
        g_assert_error(error, VIMG_ERROR, code);
        g_assert_nonnull(strstr(error->message, word));
    }
    vimg_slice_store_free(store);
}

static void
test_open_missing(Fixture *fixture, gconstpointer data)
{
    g_autofree char *dir = g_build_filename(fixture->dir, "x/y", NULL);
    VimgPluginPool pool = pool_in(dir);
    g_autoptr(GError) error = NULL;

    assert_open(&pool, VIMG_OPEN_CREATE, VIMG_ERROR_SYSTEM, "pool-build");
    g_assert_true(vimg_imagestore_build(&pool, 0, NULL, &error));
    assert_open(&pool, 0, -1, NULL);
    /* again: nothing to do */
    g_assert_true(vimg_imagestore_build(&pool, 0, NULL, &error));
    g_assert_false(vimg_imagestore_build(&pool, VIMG_BUILD_NO_OVERWRITE, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_POOL_BUILT);
    g_clear_error(&error);
    g_assert_false(vimg_imagestore_build(&pool, VIMG_BUILD_OVERWRITE, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_POOL_BUILT);
    g_clear_error(&error);
    g_assert_true(vimg_imagestore_remove(&pool, NULL, &error));
    g_assert_false(has(fixture->dir, "x/y"));
}

static void
test_open_empty(Fixture *fixture, gconstpointer data)
{
    VimgPluginPool pool = pool_in(fixture->dir);

    assert_open(&pool, 0, VIMG_ERROR_OPERATION_INVALID, "pool-build");
    g_assert_false(has(fixture->dir, "store.json"));
    pool.store_id = "00000000-0000-4000-8000-00000000000a";
    assert_open(&pool, VIMG_OPEN_CREATE, VIMG_ERROR_DISCONNECTED, pool.store_id);
    g_assert_false(has(fixture->dir, "store.json"));
    pool.store_id = NULL;
    assert_open(&pool, VIMG_OPEN_CREATE, -1, NULL);
    g_assert_true(has(fixture->dir, "store.json"));
    pool.store_id = "00000000-0000-4000-8000-00000000000a";
    assert_open(&pool, VIMG_OPEN_CREATE, VIMG_ERROR_DISCONNECTED, pool.store_id);
}

static void
test_open_foreign(Fixture *fixture, gconstpointer data)
{
    VimgPluginPool pool = pool_in(fixture->dir);
    g_autoptr(GError) error = NULL;

    put_file(fixture->dir, "debian.iso", "data");
    assert_open(&pool, VIMG_OPEN_CREATE, VIMG_ERROR_PROBE, "retrieve");
    g_assert_false(vimg_imagestore_build(&pool, VIMG_BUILD_OVERWRITE, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
    g_clear_error(&error);
    pool.retrieve_existing = TRUE;
    assert_open(&pool, VIMG_OPEN_CREATE, -1, NULL);
    /* what is not ours stays, and so does its directory */
    g_assert_true(vimg_imagestore_remove(&pool, NULL, &error));
    g_assert_false(has(fixture->dir, "store.json"));
    g_assert_false(has(fixture->dir, "slices.castr"));
    g_assert_true(has(fixture->dir, "debian.iso"));
}

static void
test_build_again(Fixture *fixture, gconstpointer data)
{
    VimgPluginPool pool = pool_in(fixture->dir);
    g_autoptr(GError) error = NULL;

    pool.store_id = "00000000-0000-4000-8000-00000000000a";
    g_assert_false(vimg_imagestore_build(&pool, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_true(vimg_imagestore_build(&pool, VIMG_BUILD_OVERWRITE, NULL, &error));
    g_assert_true(has(fixture->dir, "store.json"));
}

#define STORE_FILE(slicer, content)                                                                \
    "{\"format\":1,\"uuid\":\"00000000-0000-4000-8000-00000000000a\",\"digest\":\"sha256\","       \
    "\"slicer\":" slicer ",\"contentSlicer\":" content "}"

static const struct {
    const char *name;
    const char *text;
    gint code;
    const char *word;
} store_files[] = {
    {"newer",
     "{\"format\":7,\"uuid\":\"00000000-0000-4000-8000-00000000000a\",\"digest\":\"sha256\"}",
     VIMG_ERROR_CONFIG_UNSUPPORTED, "version 7, this program knows versions up to 1"},
    {"empty", "", VIMG_ERROR_DAMAGED, "JSON"},
    {"list", "[]", VIMG_ERROR_DAMAGED, "JSON"},
    {"deep", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", VIMG_ERROR_DAMAGED, "JSON"},
    {"no-format", "{}", VIMG_ERROR_DAMAGED, "version"},
    {"no-uuid", "{\"format\":1}", VIMG_ERROR_DAMAGED, "uuid"},
    {"digest",
     "{\"format\":1,\"uuid\":\"00000000-0000-4000-8000-00000000000a\",\"digest\":\"md5\"}",
     VIMG_ERROR_CONFIG_UNSUPPORTED, "digest"},
    {"slicer", STORE_FILE("{\"kind\":\"fixed\",\"size\":65537}", "{\"kind\":\"gear\"}"),
     VIMG_ERROR_CONFIG_UNSUPPORTED, "slicer"},
    {"content-slicer", STORE_FILE("{\"kind\":\"fixed\",\"size\":65536}", "{\"kind\":\"rabin\"}"),
     VIMG_ERROR_CONFIG_UNSUPPORTED, "slicer"},
};

static void
test_store_file(Fixture *fixture, gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    VimgPluginPool pool = pool_in(fixture->dir);

    put_file(fixture->dir, "store.json", store_files[i].text);
    assert_open(&pool, VIMG_OPEN_CREATE, store_files[i].code, store_files[i].word);
}

static void
test_locations(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *dir;
        gboolean good;
    } places[] = {
        {"/srv/images", TRUE}, {"/", FALSE},           {"//", FALSE},
        {"/dev", FALSE},       {"/dev/shm/x", FALSE},  {"/proc/1", FALSE},
        {"/sys/", FALSE},      {"/usr/bin", FALSE},    {"/usr/bin/x", TRUE},
        {"/bin", FALSE},       {"/srv/../dev", FALSE}, {"srv", FALSE},
        {"", FALSE},           {"/developers", TRUE},  {"/tmp/../proc/self", FALSE},
    };
    g_autofree char *link = g_build_filename(fixture->dir, "link", NULL);
    g_autofree char *below = g_build_filename(link, "shm/images", NULL);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(vimg_location_check(places[i].dir, &error) == places[i].good);
        if (!places[i].good)
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    }
    g_assert_cmpint(symlink("/dev", link), ==, 0);
    g_assert_false(vimg_location_check(link, NULL));
    g_assert_false(vimg_location_check(below, NULL));
}

static void
test_identity(Fixture *fixture, gconstpointer data)
{
    g_autofree char *link = g_build_filename(fixture->dir, "link", NULL);
    g_autofree char *through = g_build_filename(link, "a", "..", "b", NULL);
    g_autofree char *direct = g_build_filename(fixture->dir, "b", NULL);
    VimgPluginPool one = pool_in(through);
    VimgPluginPool two = pool_in(direct);
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    g_assert_cmpint(symlink(".", link), ==, 0);
    g_assert_cmpint(g_mkdir(direct, 0755), ==, 0);
    first = vimg_imagestore_identity(&one);
    second = vimg_imagestore_identity(&two);
    g_assert_cmpstr(first, ==, second);
    g_assert_true(g_str_has_prefix(first, "dir:/"));
}

/* ---- names ------------------------------------------------------------------------------ */

static VimgSliceStore *
local_store(const Fixture *fixture)
{
    return helper_store(vimg_transport_local_new(fixture->dir));
}

static void
test_names(Fixture *fixture, gconstpointer data)
{
    g_autofree char *longest = g_strnfill(255, 'n');
    const char *names[] = {"a", ".hidden", "..a", "...", "-rf", "a b", "ä%s\\", "~", longest};
    g_autoptr(VimgSliceStore) store = local_store(fixture);
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgBuffer) content = helper_content((guint32)i, 1000, 0);
        g_autofree char *uuid = helper_create(store, names[i], 0);
        g_autofree char *other = NULL;
        g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;

        g_assert_true(helper_upload(store, uuid, content, &error));
        helper_assert_content(store, uuid, content);
        g_assert_true(vimg_image_stat(store, uuid, &image, &error));
        g_assert_cmpstr(image.name, ==, names[i]);
        g_assert_false(helper_try_create(store, names[i], &other, &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    }
}

static gboolean
count_image(const VimgPluginImage *image, gpointer data)
{
    g_assert_nonnull(image->name);
    (*(guint *)data)++;
    return TRUE;
}

static guint
count_images(VimgSliceStore *store)
{
    guint count = 0;

    g_assert_true(vimg_image_list(store, count_image, &count, NULL));
    return count;
}

/* Two hosts see each other's images, and one name has one owner. */
static void
test_two_hosts(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) one = local_store(fixture);
    g_autoptr(VimgSliceStore) two = helper_reopen(vimg_transport_local_new(fixture->dir));
    g_autoptr(VimgBuffer) content = helper_content(1, 200000, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *uuid = helper_create(one, "a", 0);
    g_autofree char *other = NULL;

    g_assert_false(helper_try_create(two, "a", &other, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    g_clear_error(&error);
    g_assert_true(helper_upload(one, uuid, content, &error));
    helper_assert_content(two, uuid, content);
    g_assert_cmpuint(count_images(two), ==, 1);
    g_assert_true(vimg_image_remove(two, uuid, &error));
    g_assert_cmpuint(count_images(one), ==, 0);
    g_clear_pointer(&other, g_free);
    g_assert_true(helper_try_create(one, "a", &other, &error));
}

typedef struct {
    VimgSliceStore *store;
    guint won;
} Claimant;

static void *
claim_all(void *data)
{
    Claimant *claimant = data;
    guint i;

    for (i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);
        g_autofree char *uuid = g_uuid_string_random();
        g_autofree char *dir = g_strconcat("images/", uuid, NULL);
        g_autoptr(GError) error = NULL;

        /* a claim is worth something as long as there is an image */
        g_assert_cmpint(vimg_transport_mkdir(claimant->store->transport, dir), ==, 0);
        if (vimg_claim_take(claimant->store, name, uuid, &error))
            claimant->won++;
        else
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS);
    }
    return NULL;
}

static void
test_claim_race(Fixture *fixture, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *one = helper_store(memory_transport_new(disk, TRUE));
    VimgSliceStore *two = helper_reopen(memory_transport_new(disk, TRUE));
    Claimant claimants[] = {{one, 0}, {two, 0}};
    pthread_t threads[2];
    guint i;

    for (i = 0; i < 2; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, claim_all, &claimants[i]), ==, 0);
    for (i = 0; i < 2; i++)
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
    g_assert_cmpuint(claimants[0].won + claimants[1].won, ==, 100);
    for (i = 0; i < 100; i++) {
        g_autofree char *dir = g_strdup_printf("names/n%u", i);
        g_autoptr(GPtrArray) names = NULL;

        g_assert_cmpint(vimg_transport_list(one->transport, dir, &names), ==, 0);
        g_assert_cmpuint(names->len, ==, 1);
    }
    vimg_slice_store_free(one);
    vimg_slice_store_free(two);
    memory_disk_free(disk);
}

static void
test_many_images(Fixture *fixture, gconstpointer data)
{
    MemoryDisk *disk = memory_disk_new();
    VimgSliceStore *store = helper_store(memory_transport_new(disk, TRUE));
    guint i;

    for (i = 0; i < 2000; i++) {
        g_autofree char *name = g_strdup_printf("image-%u", i);

        g_free(helper_create(store, name, i));
    }
    g_assert_cmpuint(count_images(store), ==, 2000);
    vimg_slice_store_free(store);
    memory_disk_free(disk);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void
replace_slice(VimgSliceStore *store, const VimgSliceId *id, gconstpointer data, gsize size)
{
    g_autofree char *path = vimg_slice_path(id);

    g_assert_cmpint(vimg_transport_unlink(store->transport, path), ==, 0);
    if (data)
        g_assert_cmpint(vimg_transport_create(store->transport, path, data, size, TRUE), ==, 0);
}

static void
test_damaged_slice(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = local_store(fixture);
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree guint8 *other = g_malloc0(65536);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *second = helper_create(store, "b", 0);
    g_autoptr(GError) error = NULL;
    const guint8 *frame;
    VimgSliceId id;
    char hex[VIMG_ID_HEX];
    gsize size;
    gint way;

    g_assert_true(helper_upload(store, uuid, content, &error));
    vimg_slice_hash(tools, content->data + 2 * 65536, 65536, &id);
    vimg_id_to_hex(&id, hex);
    other[7] = 7;
    for (way = 0; way < 5; way++) {
        g_autoptr(VimgBuffer) found = NULL;

        if (way == 0)
            frame = vimg_slice_compress(tools, other, 65536, 1, &size, &error);
        else if (way == 1)
            frame = vimg_slice_compress(tools, content->data + 2 * 65536, 65535, 1, &size, &error);
        else
            frame = way == 2 ? (const guint8 *)"junk" : way == 3 ? (const guint8 *)"" : NULL;
        if (way >= 2)
            size = way == 2 ? 4 : 0;
        replace_slice(store, &id, frame, size);
        found = helper_download(store, uuid, 0, 0, &error);
        g_assert_null(found);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
        g_assert_nonnull(strstr(error->message, hex));
        g_clear_error(&error);
        /* the rest still reads */
        found = helper_download(store, uuid, 3 * 65536, 0, &error);
        g_assert_no_error(error);
        g_clear_pointer(&found, vimg_buffer_unref);
    }
    /* who stores the same data again heals it */
    g_assert_true(helper_upload(store, second, content, &error));
    helper_assert_content(store, uuid, content);
}

static void
test_truncated_index(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = local_store(fixture);
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *good = helper_create(store, "b", 0);
    g_autofree char *path = g_strdup_printf("%s/images/%s/image.caibx", fixture->dir, uuid);
    g_autoptr(VimgBuffer) found = NULL;
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    g_assert_true(helper_upload(store, uuid, content, &error));
    g_assert_true(helper_upload(store, good, content, &error));
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    g_assert_cmpint(truncate(path, 150), ==, 0);
    g_assert_true(vimg_image_stat(store, uuid, &image, &error));
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ERROR);
    g_assert_nonnull(strstr(image.reason, "truncated"));
    found = helper_download(store, uuid, 0, 0, &error);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    g_clear_error(&error);
    g_assert_cmpuint(count_images(store), ==, 2);
    helper_assert_content(store, good, content);
    g_assert_true(vimg_image_remove(store, uuid, &error));
    g_assert_cmpuint(count_images(store), ==, 1);
}

static void
test_error_state(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = local_store(fixture);
    g_autofree char *uuid = helper_create(store, "a", 1000);
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgPluginImage) change = VIMG_PLUGIN_IMAGE_INIT;
    g_autoptr(GError) error = NULL;

    change.uuid = g_strdup(uuid);
    change.os = g_strdup("debian");
    g_assert_true(vimg_image_set_metadata(store, &change, &error));
    g_assert_true(vimg_image_set_error(store, uuid, "it is no qcow2", &error));
    g_assert_true(vimg_image_stat(store, uuid, &image, &error));
    g_assert_cmpint(image.state, ==, VIMG_IMAGE_ERROR);
    g_assert_cmpstr(image.reason, ==, "it is no qcow2");
    g_assert_cmpstr(image.os, ==, "debian");
    g_assert_cmpuint(image.capacity, ==, 1000);
    g_assert_true(vimg_image_wipe(store, uuid, &error));
    g_assert_cmpint(helper_state(store, uuid), ==, VIMG_IMAGE_SAVING);
    g_assert_true(vimg_image_remove(store, uuid, &error));
    g_assert_false(vimg_image_remove(store, uuid, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* ---- leases ----------------------------------------------------------------------------- */

/* A lease of a process of this boot that is no more is fenced, one of another boot is not. */
static void
test_fencing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = local_store(fixture);
    g_autoptr(VimgLease) lease = NULL;
    g_autofree char *staged = NULL;
    g_autofree char *owner = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GString) dead = NULL;
    g_autoptr(GPtrArray) pending = NULL;
    g_autoptr(GError) error = NULL;

    lease = vimg_lease_new(store, &error);
    g_assert_no_error(error);
    staged = vimg_lease_path(lease, "staged");
    g_assert_cmpint(vimg_transport_create(store->transport, staged, "x", 1, FALSE), ==, 0);
    vimg_slice_store_free(helper_reopen(vimg_transport_local_new(fixture->dir)));
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &pending), ==, 0);
    g_assert_cmpuint(pending->len, ==, 1);
    owner = g_strdup_printf("%s/%s/owner", fixture->dir, lease->dir);
    g_assert_true(g_file_get_contents(owner, &text, NULL, NULL));
    dead = g_string_new(text);
    g_assert_cmpuint(g_string_replace(dead, "\"start\" : ", "\"start\" : 1", 1), ==, 1);
    g_assert_true(g_file_set_contents(owner, dead->str, -1, NULL));
    vimg_slice_store_free(helper_reopen(vimg_transport_local_new(fixture->dir)));
    g_clear_pointer(&pending, g_ptr_array_unref);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &pending), ==, 0);
    g_assert_cmpuint(pending->len, ==, 0);
    /* its holder can publish nothing any more */
    g_assert_cmpint(vimg_transport_rename(store->transport, staged, "images/x"), ==, ENOENT);
}

static void
test_fenced_upload(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = local_store(fixture);
    g_autoptr(VimgBuffer) content = helper_content(1, 5 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autoptr(GPtrArray) pending = NULL;
    g_autofree char *lease = NULL;
    g_autoptr(GError) error = NULL;
    VimgWriteRequest request = {.size = sizeof(request)};
    VimgSliceWriter *writer = vimg_slice_writer_open(store, uuid, &request, NULL, &error);

    g_assert_no_error(error);
    helper_feed(writer, content, 0, 65536, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vimg_transport_list(store->transport, "pending", &pending), ==, 0);
    g_assert_cmpuint(pending->len, ==, 1);
    lease = g_strconcat("pending/", g_ptr_array_index(pending, 0), NULL);
    g_assert_cmpint(vimg_transport_rename(store->transport, lease, "gc/fenced-x"), ==, 0);
    g_assert_false(helper_finish(writer, TRUE, content->size, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_FAILED);
    g_assert_cmpint(helper_state(store, uuid), ==, VIMG_IMAGE_SAVING);
}

/* A slice that a collector condemned is read where it is and moved back by who needs it. */
static void
test_condemned(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VimgSliceStore) store = local_store(fixture);
    g_autoptr(VimgSliceTools) tools = vimg_slice_tools_new();
    g_autoptr(VimgBuffer) content = helper_content(1, 3 * 65536, 0);
    g_autofree char *uuid = helper_create(store, "a", 0);
    g_autofree char *place = NULL;
    g_autofree char *condemned = NULL;
    g_autoptr(GError) error = NULL;
    VimgSliceId id;
    char hex[VIMG_ID_HEX];

    g_assert_true(helper_upload(store, uuid, content, &error));
    vimg_slice_hash(tools, content->data, 65536, &id);
    vimg_id_to_hex(&id, hex);
    place = vimg_slice_path(&id);
    condemned = g_strdup_printf("gc/lock/run/condemned/%s.cacnk", hex);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, "gc/lock"), ==, 0);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, "gc/lock/run"), ==, 0);
    g_assert_cmpint(vimg_transport_mkdir(store->transport, "gc/lock/run/condemned"), ==, 0);
    g_assert_cmpint(vimg_transport_rename(store->transport, place, condemned), ==, 0);
    helper_assert_content(store, uuid, content);
    g_assert_true(vimg_slice_rescue(store->transport, &id));
    g_assert_cmpint(vimg_transport_rename(store->transport, condemned, place), ==, ENOENT);
    helper_assert_content(store, uuid, content);
}

static void
add(const char *path, void (*test)(Fixture *, gconstpointer), gconstpointer data)
{
    g_test_add(path, Fixture, data, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    add("/imagestore/open/missing", test_open_missing, NULL);
    add("/imagestore/open/empty", test_open_empty, NULL);
    add("/imagestore/open/foreign", test_open_foreign, NULL);
    add("/imagestore/open/build-again", test_build_again, NULL);
    for (i = 0; i < G_N_ELEMENTS(store_files); i++) {
        g_autofree char *path = g_strconcat("/imagestore/open/file/", store_files[i].name, NULL);

        add(path, test_store_file, GSIZE_TO_POINTER(i));
    }
    add("/imagestore/open/locations", test_locations, NULL);
    add("/imagestore/open/identity", test_identity, NULL);
    add("/imagestore/names/any", test_names, NULL);
    add("/imagestore/names/two-hosts", test_two_hosts, NULL);
    add("/imagestore/names/race", test_claim_race, NULL);
    add("/imagestore/list/many", test_many_images, NULL);
    add("/imagestore/damage/slice", test_damaged_slice, NULL);
    add("/imagestore/damage/index", test_truncated_index, NULL);
    add("/imagestore/image/error-state", test_error_state, NULL);
    add("/imagestore/lease/fencing", test_fencing, NULL);
    add("/imagestore/lease/fenced-upload", test_fenced_upload, NULL);
    add("/imagestore/lease/condemned", test_condemned, NULL);
    return g_test_run();
}
