/*
 * test-model-sync.c: one pool synchronised with another, by backends that move nothing themselves
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/sync-report.h"
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
    g_free(fixture_events(fixture));
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

/* What was begun of an image is gone on with only while it can become that. */
static void
test_half_of_another(Fixture *fixture, gconstpointer data)
{
    VimgVolId id = vol_id("copy", "a");
    g_autoptr(GError) error = NULL;

    make_pools(fixture);
    put(fixture, "images", "a", 'a');
    fixture->memcopy->fail("/copy", "writer_finish", VIMG_ERROR_NO_SPACE, "full", 1);
    assert_sync(fixture, &all, "refused: a");
    if (!vimg_model_vol_resize(fixture->model, &id, 2 * SIZE, 0, &error))
        g_assert_no_error(error);
    assert_sync(fixture, &all, "refused: a");
    g_assert_true(
        vimg_model_vol_resize(fixture->model, &id, SIZE, VIR_STORAGE_VOL_RESIZE_SHRINK, &error));
    assert_sync(fixture, &all, "copied: a");
}

/* What fails of one image keeps no other from being copied; one that is lost is done
 * again, and a storage that does not come back ends it all. */
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
    assert_sync(fixture, &all, "copied: a, present: b");
    put(fixture, "images", "c", 'c');
    fixture->memcopy->fail("/copy", "writer_finish", VIMG_ERROR_DISCONNECTED, "gone", 2);
    g_assert_null(sync_pools(fixture, &all, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
}

/* The reason why @name is refused. */
static char *
reason_of(Fixture *fixture, const char *name)
{
    const VimgSyncRequest one = {.images = &name, .n_images = 1};
    g_autoptr(GError) error = NULL;
    g_autofree char *report = sync_pools(fixture, &one, &error);
    g_autoptr(JsonNode) node = NULL;
    JsonArray *refused;

    g_assert_no_error(error);
    node = json_from_string(report, NULL);
    refused = json_object_get_array_member(json_node_get_object(node), "refused");
    g_assert_cmpuint(json_array_get_length(refused), ==, 1);
    return g_strdup(
        json_object_get_string_member(json_array_get_object_element(refused, 0), "reason"));
}

/* What is to pass over one network passes over no other, also where it is only compared. */
static void
test_network(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    define_and_start(fixture, "images");
    fixture_create(
        fixture,
        "<pool type='memcopy' xmlns:image='urn:virtimage:pool:1'><name>copy</name><source>"
        "<host name='far'/><dir path='/copy'/></source><image:options>"
        "<image:syncNetwork cidr='198.51.100.0/24'/></image:options></pool>",
        0, &error);
    g_assert_no_error(error);
    put(fixture, "images", "a", 'a');
    put(fixture, "images", "b", 'b');
    put(fixture, "copy", "b", 'b');
    for (const char *name = "a"; *name <= 'b'; name = *name == 'a' ? "b" : "c") {
        g_autofree char *reason = reason_of(fixture, name);
        g_autofree char *text = g_strdup_printf(
            "Operation not supported: volume '%s' would have to be read outside of the "
            "synchronisation network '198.51.100.0/24', as storage pools 'images' and 'copy' "
            "cannot pass it on as it lies",
            name);

        g_assert_cmpstr(reason, ==, text);
    }
}

/* One that can never become complete says why, and what helps. */
static void
test_broken(Fixture *fixture, gconstpointer data)
{
    VimgVolId id = vol_id("copy", "a");
    g_autoptr(VimgTransfer) transfer = NULL;
    g_autofree char *state = NULL;
    g_autofree char *reason = NULL;

    make_pools(fixture);
    put(fixture, "images", "a", 'a');
    create_vol(fixture, "copy", "a", "qcow2", SIZE);
    transfer = vimg_model_upload(fixture->model, &id, 0, 0, FALSE, NULL);
    g_assert_true(push(transfer, SIZE, 'x', NULL));
    g_assert_false(vimg_transfer_finish(transfer, NULL));
    state = vol_state(fixture, "copy", "a");
    g_assert_cmpstr(state, ==, "error");
    reason = reason_of(fixture, "a");
    g_assert_true(g_str_has_prefix(reason,
                                   "Requested operation is not valid: volume 'a' cannot be "
                                   "completed, delete or wipe it in storage pool 'copy': "));
}

/* What came of one that lies is kept no more than if it had been moved as it lies. */
static void
test_liar(Fixture *fixture, gconstpointer data)
{
    g_autofree char *names = NULL;

    make_pools(fixture);
    fixture->memory->put_image("/mem/images", "a", qcow2_image(), QCOW2_SIZE);
    assert_sync(fixture, &all, "refused: a");
    g_assert_cmpuint(fixture->memcopy->calls("/copy", "writer_write"), >, 0);
    names = vol_names(fixture, "copy");
    g_assert_cmpstr(names, ==, "");
}

/* A report has room for so many names, and counts the others. */
static void
test_long_report(void)
{
    g_autoptr(VimgSyncReport) report = vimg_sync_report_new();
    g_autoptr(GError) why = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_NO_SPACE, "full");
    g_autofree char *name = g_strnfill(255, 'n');
    g_autoptr(JsonNode) node = NULL;
    g_autofree char *text = NULL;
    g_autofree char *sum = NULL;
    VimgPluginImage image = {.name = name, .uuid = (char *)UUID(1), .allocation = 7};
    JsonObject *root;

    for (guint i = 0; i < 16000; i++)
        vimg_sync_report_copied(report, &image, 3);
    vimg_sync_report_refused(report, "last", why);
    sum = vimg_sync_report_sum(report);
    g_assert_cmpstr(sum, ==, "16000 copied, 0 present, 0 deleted, 1 refused, 48000 bytes sent");
    text = vimg_sync_report_format(report, "a", "b");
    node = json_from_string(text, NULL);
    root = json_node_get_object(node);
    g_assert_true(json_object_get_boolean_member(root, "truncated"));
    g_assert_cmpint(json_object_get_int_member(root, "copied_count"), ==, 16000);
    g_assert_cmpint(json_object_get_int_member(root, "refused_count"), ==, 1);
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
        {"/model/sync/all", test_all},
        {"/model/sync/names", test_names},
        {"/model/sync/compared", test_compared},
        {"/model/sync/failures", test_failures},
        {"/model/sync/half-of-another", test_half_of_another},
        {"/model/sync/refused", test_refused},
        {"/model/sync/network", test_network},
        {"/model/sync/broken", test_broken},
        {"/model/sync/liar", test_liar},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        FIXTURE_ADD(tests[i].path, NULL, tests[i].func);
    g_test_add_func("/model/sync/long-report", test_long_report);
    return g_test_run();
}
