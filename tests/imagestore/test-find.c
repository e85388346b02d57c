/*
 * test-find.c: stores below a directory, of this host or of a server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "find.h"
#include "store-helper.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define STORE "{\"uuid\": \"" UUID "\", \"format\": 1}"

typedef struct {
    const char *dir;
    const char *text; /* of its store.json; NULL: none */
    gboolean found;
} Place;

static const Place places[] = {
    {"a", STORE, TRUE},
    {"a/inside", STORE, FALSE}, /* a store is not searched */
    {"b & <c>", "{\"uuid\": \"" UUID "\", \"format\": 99, \"x\": []}", TRUE},
    {"d/e/f", STORE, TRUE},
    {"d/e/f2/g", STORE, FALSE}, /* too deep */
    {"d/.hidden", STORE, FALSE},
    {"h", "{}", FALSE},
    {"i", "{\"uuid\": \"no\", \"format\": 1}", FALSE},
    {"j", "{\"uuid\": \"" UUID "\"}", FALSE},
    {"k", "[[[[[[[[[[[[[[[[[[[[[[[[", FALSE},
    {"k/l", STORE, TRUE},
    {"empty", NULL, FALSE},
};

static char *
path_of(HelperHome *home, const char *name)
{
    return g_build_filename(home->dir, name, NULL);
}

static void
make(HelperHome *home, const char *dir, const char *text)
{
    g_autofree char *path = path_of(home, dir);
    g_autofree char *file = g_build_filename(path, "store.json", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
    if (text)
        g_file_set_contents(file, text, -1, &error);
    g_assert_no_error(error);
}

/* Returns: (transfer full) what is found below @dir of @home. */
static char *
find(HelperHome *home, const char *dir, const VimgPluginAddress *host, GError **error)
{
    g_autoptr(VimgTransport) root = helper_transport("/");
    g_autofree char *path = path_of(home, dir);
    VimgPluginPool pool = {
        .size = sizeof(pool), .dir = path, .hosts = host, .n_hosts = host ? 1 : 0};

    return vimg_find_stores(root, &pool, error);
}

static guint
count(const char *text, const char *what)
{
    guint n = 0;

    while ((text = strstr(text, what))) {
        text += strlen(what);
        n++;
    }
    return n;
}

static void
test_places(HelperHome *home, gconstpointer data)
{
    g_autofree char *link = path_of(home, "link");
    g_autofree char *file = path_of(home, "file");
    g_autofree char *found = NULL;
    g_autoptr(GError) error = NULL;
    guint n = 0;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(places); i++)
        make(home, places[i].dir, places[i].text);
    g_assert_cmpint(symlink("a", link), ==, 0);
    g_assert_true(g_file_set_contents(file, STORE, -1, NULL));
    found = find(home, "", NULL, &error);
    g_assert_no_error(error);
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = path_of(home, places[i].dir);
        g_autofree char *element = g_markup_printf_escaped("<dir path='%s'/>", path);

        g_test_message("%s", places[i].dir);
        g_assert_cmpuint(count(found, element), ==, places[i].found);
        n += places[i].found;
    }
    g_assert_cmpuint(count(found, "<source>"), ==, n);
    g_assert_cmpuint(count(found, "uuid='" UUID "' format='99'/>"), ==, 1);
    g_assert_null(strstr(found, "<host"));
}

/* More directories than are looked into at once, by name. */
static void
test_many(HelperHome *home, gconstpointer data)
{
    g_autofree char *found = NULL;
    g_autoptr(GError) error = NULL;
    const char *at;
    guint i;

    for (i = 0; i < 200; i++) {
        g_autofree char *dir = g_strdup_printf("%03u", i);

        make(home, dir, STORE);
    }
    found = find(home, "", NULL, &error);
    g_assert_no_error(error);
    for (i = 0, at = found; i < 200; i++) {
        g_autofree char *end = g_strdup_printf("/%03u'/>", i);

        at = strstr(at, end);
        g_assert_nonnull(at);
    }
}

/* What is found on another host says so; the place given may be a store, or a link to one. */
static void
test_host(HelperHome *home, gconstpointer data)
{
    static const VimgPluginAddress hosts[] = {{"a&b", 0}, {"store.example", 2222}};
    static const char *const elements[] = {"<host name='a&amp;b'/>",
                                           "<host name='store.example' port='2222'/>"};
    g_autofree char *link = path_of(home, "link");
    gsize i;

    make(home, "a", STORE);
    g_assert_cmpint(symlink("a", link), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *found = find(home, i ? "link" : "a", &hosts[i], &error);

        g_assert_no_error(error);
        g_assert_cmpuint(count(found, elements[i]), ==, 1);
        g_assert_cmpuint(count(found, "<source>"), ==, 1);
    }
}

static void
test_missing(HelperHome *home, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(find(home, "none", NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, "/none"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    helper_add("/imagestore/find/places", test_places, NULL);
    helper_add("/imagestore/find/many", test_many, NULL);
    helper_add("/imagestore/find/host", test_host, NULL);
    helper_add("/imagestore/find/missing", test_missing, NULL);
    return g_test_run();
}
