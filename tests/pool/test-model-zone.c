/*
 * test-model-zone.c: zones listed, pools attached and detached, and what goes with a zone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "test-model-fixture.h"
#include "util/error.h"

#define INVALID "Requested operation is not valid: "

static const char *const here[] = {"zone-1", "zone-2", NULL};

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->zones = here;
    fixture_set_up(fixture, data);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, fixture_tear_down)

static void
define_in(Fixture *fixture, const char *name, const char *uuid, const char *zones)
{
    g_autofree char *xml = pool_xml(name, uuid, zones);

    g_assert_true(fixture_define(fixture, xml, NULL));
}

#define ZONE(name) "<image:zone name='" name "'/>"

static gboolean
attach(Fixture *fixture, const char *pool, const char *zone, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_zone_attach(fixture->model, &id, zone, error);
}

static gboolean
detach(Fixture *fixture, const char *pool, const char *zone, GError **error)
{
    VimgPoolId id = pool_id(fixture, pool);

    return vimg_model_zone_detach(fixture->model, &id, zone, error);
}

static gboolean
delete_zone(Fixture *fixture, const char *zone, const char *uuid, GError **error)
{
    return vimg_model_zone_delete(fixture->model, zone, &uuid, uuid ? 1 : 0, error);
}

static gboolean
has_pool(Fixture *fixture, const char *name)
{
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_by_name(fixture->model, name, &id, NULL);
}

static void
assert_zones(Fixture *fixture, const char *expected)
{
    g_autofree char *text = vimg_model_zone_list(fixture->model);

    g_assert_cmpstr(text, ==, expected);
}

/* ---- seen and changed ----------------------------------------------------------------------- */

#define EMPTY(name, is_current)                                                                    \
    "{\"name\":\"" name "\",\"here\":true,\"current\":" is_current ",\"pools\":[]}"

static void
test_list(Fixture *fixture, gconstpointer data)
{
    assert_zones(fixture, "{\"zones\":[" EMPTY("zone-1", "true") "," EMPTY("zone-2", "false") "]}");
    define_in(fixture, "images", UUID(1), NULL);
    define_in(fixture, "both", UUID(2), ZONE("zone-1") ZONE("far"));
    assert_zones(fixture,
                 "{\"zones\":["
                 "{\"name\":\"far\",\"here\":false,\"current\":false,\"pools\":["
                 "{\"name\":\"both\",\"uuid\":\"" UUID(
                     2) "\",\"only\":false}]},"
                        "{\"name\":\"zone-1\",\"here\":true,\"current\":true,\"pools\":["
                        "{\"name\":\"both\",\"uuid\":\"" UUID(
                            2) "\",\"only\":false},"
                               "{\"name\":\"images\",\"uuid\":\"" UUID(
                                   1) "\",\"only\":true}]}," EMPTY("zone-2", "false") "]}");
}

static void
test_none_here(Fixture *fixture, gconstpointer data)
{
    assert_zones(fixture, "{\"zones\":[]}");
    define_in(fixture, "images", UUID(1), NULL);
    g_assert_true(attach(fixture, "images", "far", NULL));
    start_pool(fixture, "images");
    g_assert_true(detach(fixture, "images", "far", NULL)); /* zones mean nothing here */
    assert_zones(fixture, "{\"zones\":[]}");
}

static void
test_attach(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;
    VimgPoolId id;

    define_in(fixture, "images", UUID(1), NULL);
    start_pool(fixture, "images");
    g_free(fixture_events(fixture));
    g_assert_true(attach(fixture, "images", "far", NULL));
    fixture_assert_events(fixture, "images:defined");
    g_assert_true(attach(fixture, "images", "far", NULL));
    g_assert_false(attach(fixture, "images", "", &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG, "invalid argument: zone name is empty");
    g_assert_false(attach(fixture, "images", "a\nb", &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                      "invalid argument: zone name contains a control character");
    fixture_restart(fixture);
    fixture_wait_active(fixture, "images");
    id = pool_id(fixture, "images");
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, ZONE("far")));
}

static void
test_attach_many(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) zones = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    for (guint i = 1; i < 256; i++)
        g_string_append_printf(zones, ZONE("z%u"), i);
    define_in(fixture, "images", UUID(1), zones->str);
    g_assert_true(attach(fixture, "images", "z256", NULL));
    g_assert_false(attach(fixture, "images", "z257", &error));
    assert_error_text(&error, VIMG_ERROR_XML, "XML error: more than 256 zones");
}

static void
test_detach(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    define_in(fixture, "images", UUID(1), ZONE("zone-1") ZONE("far"));
    start_pool(fixture, "images");
    g_assert_false(detach(fixture, "images", "zone-2", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "storage pool 'images' is not attached to zone 'zone-2'");
    g_assert_false(detach(fixture, "images", "zone-1", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "storage pool 'images' is active, and attached to no other zone of "
                              "this host than 'zone-1': stop it first");
    g_free(fixture_events(fixture));
    g_assert_true(detach(fixture, "images", "far", NULL));
    fixture_assert_events(fixture, "images:defined");
    g_assert_true(attach(fixture, "images", "far", NULL));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_true(detach(fixture, "images", "zone-1", NULL));
    g_assert_false(detach(fixture, "images", "far", &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "storage pool 'images' is attached to no other zone than 'far': "
                              "attach it to another one first, or undefine it");
}

/* ---- a zone that goes ----------------------------------------------------------------------- */

static void
test_delete(Fixture *fixture, gconstpointer data)
{
    g_autofree char *transient = pool_xml("flash", UUID(3), ZONE("zone-2"));
    const char *const uuids[] = {UUID(3), "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA", UUID(3), UUID(4)};
    g_autoptr(GError) error = NULL;

    define_in(fixture, "alone", "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", ZONE("zone-2"));
    define_in(fixture, "both", UUID(2), ZONE("zone-1") ZONE("zone-2"));
    define_in(fixture, "idle", UUID(4), ZONE("zone-2"));
    define_in(fixture, "other", UUID(5), ZONE("zone-1"));
    start_pool(fixture, "alone");
    start_pool(fixture, "both");
    create_vol(fixture, "alone", "debian", "raw", 4096);
    g_assert_true(fixture_create(fixture, transient, 0, NULL));
    g_free(fixture_events(fixture));
    g_assert_true(
        vimg_model_zone_delete(fixture->model, "zone-2", uuids, G_N_ELEMENTS(uuids), NULL));
    fixture_assert_events(fixture, "both:defined alone:stopped alone:undefined flash:stopped "
                                   "idle:undefined");
    assert_zones(fixture, "{\"zones\":["
                          "{\"name\":\"zone-1\",\"here\":true,\"current\":true,\"pools\":["
                          "{\"name\":\"both\",\"uuid\":\"" UUID(
                              2) "\",\"only\":true},"
                                 "{\"name\":\"other\",\"uuid\":\"" UUID(
                                     5) "\",\"only\":true}]}," EMPTY("zone-2", "false") "]}");
    g_assert_false(has_pool(fixture, "alone"));
    g_assert_false(fixture_exists(fixture, "config/alone.xml"));
    g_assert_false(fixture_exists(fixture, "run/alone.xml"));
    g_assert_cmpuint(fixture->memory->calls("/mem/alone", "remove"), ==, 0);
    g_assert_false(delete_zone(fixture, "zone-2", NULL, &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG,
                      "invalid argument: no storage pool is attached to zone 'zone-2'");
    define_in(fixture, "alone", "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", ZONE("zone-1"));
    start_pool(fixture, "alone");
    {
        g_autofree char *names = vol_names(fixture, "alone"); /* the data stayed */

        g_assert_cmpstr(names, ==, "debian");
    }
}

/* Whoever confirmed other pools than those that would go is asked again. */
static void
test_confirmed(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *uuid;
        const char *difference;
    } cases[] = {
        {NULL, "'alone' goes too"},
        {UUID(2), "'alone' goes too, 'both' does not"},
        {UUID(9), "'alone' goes too, '" UUID(9) "' does not"},
    };
    g_autoptr(GError) error = NULL;

    define_in(fixture, "alone", UUID(1), ZONE("zone-2"));
    define_in(fixture, "both", UUID(2), ZONE("zone-1") ZONE("zone-2"));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf(
            INVALID "the storage pools that go with zone 'zone-2' are not those that were "
                    "confirmed: %s",
            cases[i].difference);

        g_assert_false(delete_zone(fixture, "zone-2", cases[i].uuid, &error));
        assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID, text);
    }
    g_assert_false(delete_zone(fixture, "zone-2", "nonsense", &error));
    assert_error_text(&error, VIMG_ERROR_INVALID_ARG, "invalid argument: 'nonsense' is not a uuid");
    g_assert_true(has_pool(fixture, "alone"));
    g_assert_true(attach(fixture, "both", "zone-2", NULL)); /* nobody has them any more */
    g_assert_true(delete_zone(fixture, "zone-2", UUID(1), NULL));
}

/* Nothing is done while something runs on one of those that go. */
static void
test_jobs(Fixture *fixture, gconstpointer data)
{
    VimgVolId vol = vol_id("alone", "debian");
    g_autoptr(VimgTransfer) upload = NULL;
    g_autoptr(GError) error = NULL;

    define_in(fixture, "alone", UUID(1), ZONE("zone-2"));
    define_in(fixture, "both", UUID(2), ZONE("zone-1") ZONE("zone-2"));
    start_pool(fixture, "alone");
    start_pool(fixture, "both");
    create_vol(fixture, "alone", "debian", "raw", 4096);
    upload = vimg_model_upload(fixture->model, &vol, 0, 4096, FALSE, NULL);
    g_free(fixture_events(fixture));
    g_assert_false(delete_zone(fixture, "zone-2", UUID(1), &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "storage pools that go with zone 'zone-2' have jobs running: "
                              "'alone' (upload of 'debian')");
    fixture_assert_events(fixture, "");
    g_assert_true(push(upload, 4096, 'x', NULL));
    g_assert_true(vimg_transfer_finish(upload, NULL));
    g_clear_pointer(&upload, vimg_transfer_free);
    g_assert_true(delete_zone(fixture, "zone-2", UUID(1), NULL));
}

/* One that runs and could not be started again keeps the zone. */
static void
test_active_elsewhere(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    define_in(fixture, "alone", UUID(1), ZONE("zone-2"));
    define_in(fixture, "far", UUID(2), ZONE("zone-2") ZONE("zone-9"));
    start_pool(fixture, "far");
    g_assert_false(delete_zone(fixture, "zone-2", UUID(1), &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "storage pool 'far' is active, and attached to no other zone of "
                              "this host than 'zone-2': stop it first");
    g_assert_true(has_pool(fixture, "alone"));
    g_assert_true(destroy_pool(fixture, "far", NULL));
    g_assert_true(delete_zone(fixture, "zone-2", UUID(1), NULL));
}

/* One that waits for its next start is attached by two definitions: both are asked before. */
static void
test_waiting(Fixture *fixture, gconstpointer data)
{
    g_autofree char *next =
        pool_xml_full("memory", "second", UUID(2), "/mem/moved", ZONE("zone-2") ZONE("far"));
    g_autofree char *path = fixture_path(fixture, "config/first.xml");
    g_autoptr(GError) error = NULL;
    g_autofree char *kept = fixture_path(fixture, "first.kept");
    GStatBuf after;

    define_in(fixture, "first", UUID(1), ZONE("zone-2") ZONE("zone-1"));
    define_in(fixture, "second", UUID(2), ZONE("zone-2") ZONE("zone-1"));
    start_pool(fixture, "second");
    g_assert_true(fixture_define(fixture, next, NULL));
    g_assert_cmpint(link(path, kept), ==, 0);
    g_assert_false(delete_zone(fixture, "zone-2", NULL, &error));
    assert_error_text(&error, VIMG_ERROR_OPERATION_INVALID,
                      INVALID "storage pool 'second' is active, and attached to no other zone of "
                              "this host than 'zone-2': stop it first");
    g_assert_cmpint(g_stat(path, &after), ==, 0);
    g_assert_cmpuint(after.st_nlink, ==, 2); /* nothing was written in its place */
}

static char *
read_file(Fixture *fixture, const char *name)
{
    g_autofree char *path = fixture_path(fixture, name);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Of what one of them refuses all is taken back from the others: each zone is where it was. */
static void
test_taken_back(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = fixture_path(fixture, "run/second.xml");
    g_autofree char *next =
        pool_xml_full("memory", "first", UUID(2), "/mem/moved", ZONE("zone-2") ZONE("zone-1"));
    static const char *const files[] = {"config/first.xml", "run/first.xml"};
    char *texts[G_N_ELEMENTS(files)];
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;

    define_in(fixture, "alone", UUID(1), ZONE("zone-2"));
    define_in(fixture, "first", UUID(2), ZONE("zone-1"));
    start_pool(fixture, "first");
    g_assert_true(fixture_define(fixture, next, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(files); i++)
        texts[i] = read_file(fixture, files[i]);
    define_in(fixture, "second", UUID(3), ZONE("zone-1") ZONE("zone-2"));
    start_pool(fixture, "second");
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    before = vimg_model_zone_list(fixture->model);
    g_free(fixture_events(fixture));
    g_assert_false(delete_zone(fixture, "zone-2", UUID(1), NULL));
    fixture_assert_events(fixture, "");
    after = vimg_model_zone_list(fixture->model);
    g_assert_cmpstr(after, ==, before);
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = read_file(fixture, files[i]);

        g_assert_cmpstr(text, ==, texts[i]);
        g_free(texts[i]);
    }
    g_assert_cmpint(rmdir(path), ==, 0);
    g_assert_true(delete_zone(fixture, "zone-2", UUID(1), NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/zone/list", test_list);
    FIXTURE_ADD("/zone/none-here", NULL, test_none_here);
    ADD("/zone/attach", test_attach);
    ADD("/zone/attach-many", test_attach_many);
    ADD("/zone/detach", test_detach);
    ADD("/zone/delete", test_delete);
    ADD("/zone/confirmed", test_confirmed);
    ADD("/zone/jobs", test_jobs);
    ADD("/zone/active-elsewhere", test_active_elsewhere);
    ADD("/zone/waiting", test_waiting);
    ADD("/zone/taken-back", test_taken_back);
    return g_test_run();
}
