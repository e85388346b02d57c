/*
 * test-model-sync.c: one pool synchronised with another, by backends that move nothing themselves
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "test-model-fixture.h"
#include "util/error.h"

#define SIZE 65536

/* "images" of one type and "copy" of another. */
static void
make_pools(Fixture *fixture)
{
    g_autofree char *xml = pool_xml_full("memcopy", "copy", NULL, "/copy", NULL);
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    fixture_create(fixture, xml, 0, &error);
    g_assert_no_error(error);
}

static void
put(Fixture *fixture, const char *pool, const char *name, char byte)
{
    create_vol(fixture, pool, name, "raw", SIZE);
    upload_all(fixture, pool, name, SIZE, byte);
}

static char *
sync_pools(Fixture *fixture, const VimgSyncRequest *request, GError **error)
{
    VimgPoolId to = pool_id(fixture, "copy");
    VimgPoolId from = pool_id(fixture, "images");

    return vimg_model_pool_sync(fixture->model, &to, &from, request, error);
}

/* "copied: a b, refused: c" */
static char *
summary(const char *report)
{
    static const char *const lists[] = {"copied", "present", "deleted", "refused"};
    g_autoptr(JsonNode) node = json_from_string(report, NULL);
    JsonObject *root = json_node_get_object(node);
    GString *text = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++) {
        JsonArray *list = json_object_get_array_member(root, lists[i]);

        if (json_array_get_length(list) > 0)
            g_string_append_printf(text, "%s%s:", text->len > 0 ? ", " : "", lists[i]);
        for (guint j = 0; j < json_array_get_length(list); j++)
            g_string_append_printf(
                text, " %s",
                json_object_get_string_member(json_array_get_object_element(list, j), "name"));
    }
    return g_string_free(text, FALSE);
}

static void
assert_sync(Fixture *fixture, const VimgSyncRequest *request, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *report = sync_pools(fixture, request, &error);
    g_autofree char *found = NULL;

    g_assert_no_error(error);
    found = summary(report);
    g_assert_cmpstr(found, ==, expected);
}

static const VimgSyncRequest all;

static void
test_all(Fixture *fixture, gconstpointer data)
{
    g_autofree char *extents = NULL;

    make_pools(fixture);
    put(fixture, "images", "a", 'a');
    put(fixture, "images", "b", 'b');
    create_vol(fixture, "images", "saving", "raw", SIZE);
    fixture_events(fixture);
    assert_sync(fixture, &all, "copied: a b");
    fixture_wait_event(fixture, "copy:refreshed");
    extents = fixture->memcopy->extents("/copy", "b");
    g_assert_cmpstr(extents, ==, "d65536");
    assert_sync(fixture, &all, "present: a b");
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 2); /* pools */
}

static void
test_names(Fixture *fixture, gconstpointer data)
{
    static const char *const names[] = {"b", "none", "saving"};
    const VimgSyncRequest some = {.images = names, .n_images = G_N_ELEMENTS(names)};

    make_pools(fixture);
    put(fixture, "images", "a", 'a');
    put(fixture, "images", "b", 'b');
    create_vol(fixture, "images", "saving", "raw", SIZE);
    assert_sync(fixture, &some, "copied: b, refused: none saving");
}

/* One that came another way is compared. */
static void
test_compared(Fixture *fixture, gconstpointer data)
{
    make_pools(fixture);
    put(fixture, "images", "same", 's');
    put(fixture, "copy", "same", 's');
    put(fixture, "images", "other", 'x');
    put(fixture, "copy", "other", 'y');
    create_vol(fixture, "copy", "begun", "raw", SIZE);
    put(fixture, "images", "begun", 'z');
    assert_sync(fixture, &all, "present: same, refused: begun other");
}

/* What fails of one image keeps no other from being copied; a lost storage ends it all. */
static void
test_failures(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    make_pools(fixture);
    put(fixture, "images", "a", 'a');
    put(fixture, "images", "b", 'b');
    fixture->memcopy->fail("/copy", "writer_finish", VIMG_ERROR_NO_SPACE, "full", 1);
    assert_sync(fixture, &all, "copied: b, refused: a");
    fixture->memcopy->fail("/copy", "writer_finish", VIMG_ERROR_DISCONNECTED, "gone", 1);
    g_assert_null(sync_pools(fixture, &all, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

static void
set_enabled(Fixture *fixture, const char *pool, gboolean enabled)
{
    VimgPoolId id = pool_id(fixture, pool);

    g_assert_true(vimg_model_pool_enable(fixture->model, &id, enabled, NULL));
}

static void
test_refused(Fixture *fixture, gconstpointer data)
{
    static const char *const pools[] = {"images", "copy"};
    static const char *const uuids[] = {UUID(1)};
    const VimgSyncRequest deletes = {.deletes = uuids, .n_deletes = 1};
    VimgPoolId id;
    g_autoptr(GError) error = NULL;

    make_pools(fixture);
    put(fixture, "images", "a", 'a');
    for (gsize i = 0; i < G_N_ELEMENTS(pools); i++) {
        g_autofree char *text =
            g_strdup_printf("Requested operation is not valid: storage pool '%s' "
                            "is disabled: it is not synchronised",
                            pools[i]);

        set_enabled(fixture, pools[i], FALSE);
        g_assert_null(sync_pools(fixture, &all, &error));
        assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, text);
        set_enabled(fixture, pools[i], TRUE);
    }
    id = pool_id(fixture, "copy");
    g_assert_null(vimg_model_pool_sync(fixture->model, &id, &id, &all, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_clear_error(&error);
    /* whether the list is whole is not known here */
    g_assert_null(sync_pools(fixture, &deletes, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SUPPORT);
    g_clear_error(&error);
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_null(sync_pools(fixture, &all, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *fixture, gconstpointer data);
    } tests[] = {
        {"/model/sync/all", test_all},           {"/model/sync/names", test_names},
        {"/model/sync/compared", test_compared}, {"/model/sync/failures", test_failures},
        {"/model/sync/refused", test_refused},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        FIXTURE_ADD(tests[i].path, NULL, tests[i].func);
    return g_test_run();
}
