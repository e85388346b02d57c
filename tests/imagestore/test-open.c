/*
 * test-open.c: which directories become a store, and which stores are opened
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "location.h"
#include "store-helper.h"

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

static void
assert_open(const VimgPluginPool *pool, guint32 flags, gint code, const char *word)
{
    g_autoptr(GError) error = NULL;
    VimgSliceStore *store = vimg_imagestore_open(pool, flags, NULL, &error);

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
test_open_missing(HelperHome *home, gconstpointer data)
{
    g_autofree char *dir = g_build_filename(home->dir, "x/y", NULL);
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
    g_assert_false(has(home->dir, "x/y"));
}

static void
test_open_empty(HelperHome *home, gconstpointer data)
{
    VimgPluginPool pool = pool_in(home->dir);

    assert_open(&pool, 0, VIMG_ERROR_OPERATION_INVALID, "pool-build");
    g_assert_false(has(home->dir, "store.json"));
    pool.store_id = "00000000-0000-4000-8000-00000000000a";
    assert_open(&pool, VIMG_OPEN_CREATE, VIMG_ERROR_DISCONNECTED, pool.store_id);
    g_assert_false(has(home->dir, "store.json"));
    pool.store_id = NULL;
    assert_open(&pool, VIMG_OPEN_CREATE, -1, NULL);
    g_assert_true(has(home->dir, "store.json"));
    pool.store_id = "00000000-0000-4000-8000-00000000000a";
    assert_open(&pool, VIMG_OPEN_CREATE, VIMG_ERROR_DISCONNECTED, pool.store_id);
}

static void
test_open_foreign(HelperHome *home, gconstpointer data)
{
    VimgPluginPool pool = pool_in(home->dir);
    g_autoptr(GError) error = NULL;

    put_file(home->dir, "debian.iso", "data");
    assert_open(&pool, VIMG_OPEN_CREATE, VIMG_ERROR_PROBE, "retrieve");
    g_assert_false(vimg_imagestore_build(&pool, VIMG_BUILD_OVERWRITE, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_PROBE);
    g_clear_error(&error);
    pool.retrieve_existing = TRUE;
    /* where a store was lost, no files are a reason to make another */
    pool.store_id = "00000000-0000-4000-8000-00000000000a";
    g_assert_false(vimg_imagestore_build(&pool, VIMG_BUILD_OVERWRITE, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    pool.store_id = NULL;
    assert_open(&pool, VIMG_OPEN_CREATE, -1, NULL);
    /* what is not ours stays, and so does its directory */
    g_assert_true(vimg_imagestore_remove(&pool, NULL, &error));
    g_assert_false(has(home->dir, "store.json"));
    g_assert_false(has(home->dir, "slices.castr"));
    g_assert_true(has(home->dir, "debian.iso"));
}

static void
test_build_again(HelperHome *home, gconstpointer data)
{
    VimgPluginPool pool = pool_in(home->dir);
    g_autoptr(GError) error = NULL;

    pool.store_id = "00000000-0000-4000-8000-00000000000a";
    g_assert_false(vimg_imagestore_build(&pool, 0, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    g_clear_error(&error);
    g_assert_true(vimg_imagestore_build(&pool, VIMG_BUILD_OVERWRITE, NULL, &error));
    g_assert_true(has(home->dir, "store.json"));
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
test_store_file(HelperHome *home, gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    VimgPluginPool pool = pool_in(home->dir);

    put_file(home->dir, "store.json", store_files[i].text);
    assert_open(&pool, VIMG_OPEN_CREATE, store_files[i].code, store_files[i].word);
}

static void
test_locations(HelperHome *home, gconstpointer data)
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
    g_autofree char *link = g_build_filename(home->dir, "link", NULL);
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
test_identity(HelperHome *home, gconstpointer data)
{
    g_autofree char *link = g_build_filename(home->dir, "link", NULL);
    g_autofree char *through = g_build_filename(link, "a", "..", "b", NULL);
    g_autofree char *direct = g_build_filename(home->dir, "b", NULL);
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

static int
no_space(VimgTransport *transport, VimgSpace *out)
{
    return EIO;
}

/* What is to be kept free is not forgotten where nobody knows how much there is. */
static void
test_reserve(HelperHome *home, gconstpointer data)
{
    VimgPluginPool pool = pool_in(home->dir);
    VimgSliceStore *store = helper_local_store(home);
    VimgTransportOps broken = *store->transport->ops;
    g_autoptr(GError) error = NULL;

    pool.space_reserve = G_MAXUINT64;
    g_assert_true(vimg_imagestore_update(store, &pool, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(store->space_reserve, >, 0);
    broken.space = no_space;
    store->transport->ops = &broken;
    g_assert_false(vimg_imagestore_update(store, &pool, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_cmpuint(store->space_reserve, >, 0);
    g_clear_error(&error);
    pool.space_reserve = 5;
    g_assert_true(vimg_imagestore_update(store, &pool, &error));
    g_assert_cmpuint(store->space_reserve, ==, 5);
    vimg_slice_store_free(store);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    helper_add("/imagestore/open/missing", test_open_missing, NULL);
    helper_add("/imagestore/open/empty", test_open_empty, NULL);
    helper_add("/imagestore/open/foreign", test_open_foreign, NULL);
    helper_add("/imagestore/open/build-again", test_build_again, NULL);
    for (i = 0; i < G_N_ELEMENTS(store_files); i++) {
        g_autofree char *path = g_strconcat("/imagestore/open/file/", store_files[i].name, NULL);

        helper_add(path, test_store_file, GSIZE_TO_POINTER(i));
    }
    helper_add("/imagestore/open/locations", test_locations, NULL);
    helper_add("/imagestore/open/identity", test_identity, NULL);
    helper_add("/imagestore/open/reserve", test_reserve, NULL);
    return g_test_run();
}
