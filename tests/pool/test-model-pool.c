/*
 * test-model-pool.c: pools: definitions, life, uniqueness, events, documents
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

static gboolean
define_xml(Fixture *fixture, const char *xml, GError **error)
{
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_define(fixture->model, xml, 0, &id, error);
}

static gboolean
create_xml(Fixture *fixture, const char *xml, guint flags, GError **error)
{
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_create_xml(fixture->model, xml, flags, &id, error);
}

static void
assert_events(Fixture *fixture, const char *expected)
{
    g_autofree char *heard = fixture_events(fixture);

    g_assert_cmpstr(heard, ==, expected);
}

/* ---- what is refused, in stock's words --------------------------------------------------- */

typedef struct {
    const char *path;
    gboolean (*act)(Fixture *fixture, GError **error);
    VimgErrorCode code;
    const char *text; /* NULL: the code is enough */
} Refusal;

/* The pools: "off" is inactive with uuid 1…, "on" is active with uuid 2…, "flash" is transient. */
static gboolean
same_name(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml_full("memory", "off", UUID(9), "/mem/other", NULL);

    return define_xml(fixture, xml, error);
}

static gboolean
same_uuid(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml("other", UUID(1), NULL);

    return define_xml(fixture, xml, error);
}

static gboolean
same_source(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml_full("memory", "other", NULL, "/mem/off", NULL);

    return define_xml(fixture, xml, error);
}

static gboolean
same_source_created(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml_full("memory", "other", NULL, "/mem/on", NULL);

    return create_xml(fixture, xml, 0, error);
}

static gboolean
create_active(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml("on", UUID(2), NULL);

    return create_xml(fixture, xml, 0, error);
}

static gboolean
unknown_type(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml_full("nonesuch", "x", NULL, "/mem/x", NULL);

    return define_xml(fixture, xml, error);
}

static gboolean
long_name(Fixture *fixture, GError **error)
{
    g_autofree char *name = g_strnfill(252, 'a');
    g_autofree char *xml = pool_xml_full("memory", name, NULL, "/mem/long", NULL);
    gboolean ok = define_xml(fixture, xml, error);

    g_assert_false(vimg_model_pool_by_name(fixture->model, name, &(VimgPoolId){0}, NULL));
    return ok;
}

static gboolean
define_flags(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml("x", NULL, NULL);
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_define(fixture->model, xml, 0x40, &id, error);
}

static gboolean
create_both_flags(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml("x", NULL, NULL);

    return create_xml(fixture, xml,
                      VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE |
                          VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE,
                      error);
}

static gboolean
start_active(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "on");

    return vimg_model_pool_create(fixture->model, &id, 0, error);
}

static gboolean
build_active(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "on");

    return vimg_model_pool_build(fixture->model, &id, VIR_STORAGE_POOL_BUILD_REPAIR, error);
}

static gboolean
build_resize(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "off");

    return vimg_model_pool_build(fixture->model, &id, VIR_STORAGE_POOL_BUILD_RESIZE, error);
}

static gboolean
destroy_inactive(Fixture *fixture, GError **error)
{
    return destroy_pool(fixture, "off", error);
}

static gboolean
refresh_inactive(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "off");

    return vimg_model_pool_refresh(fixture->model, &id, 0, error);
}

static gboolean
delete_active(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "on");

    return vimg_model_pool_delete(fixture->model, &id, 0, error);
}

static gboolean
delete_zeroed(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "off");

    return vimg_model_pool_delete(fixture->model, &id, VIR_STORAGE_POOL_DELETE_ZEROED, error);
}

static gboolean
undefine_active(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "on");

    return vimg_model_pool_undefine(fixture->model, &id, error);
}

static gboolean
autostart_transient(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "flash");

    return vimg_model_pool_set_autostart(fixture->model, &id, TRUE, error);
}

static gboolean
volumes_inactive(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "off");
    g_autoptr(GPtrArray) list = vimg_model_pool_volumes(fixture->model, &id, error);

    return list != NULL;
}

static gboolean
lookup_name(Fixture *fixture, GError **error)
{
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_by_name(fixture->model, "x", &id, error);
}

static gboolean
lookup_uuid(Fixture *fixture, GError **error)
{
    guint8 uuid[VIMG_UUID_SIZE] = {0x11};
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_by_uuid(fixture->model, uuid, &id, error);
}

static gboolean
lookup_pair(Fixture *fixture, GError **error)
{
    VimgPoolId id = {.name = (char *)"x", .uuid = {0x11}};
    gboolean active;

    return vimg_model_pool_is_active(fixture->model, &id, &active, error);
}

static gboolean
lookup_target(Fixture *fixture, GError **error)
{
    g_auto(VimgPoolId) id = {0};

    return vimg_model_pool_by_target_path(fixture->model, "/mem/off", &id, error);
}

static gboolean
xml_flags(Fixture *fixture, GError **error)
{
    VimgPoolId id = pool_id(fixture, "on");
    g_autofree char *xml = vimg_model_pool_xml(fixture->model, &id, 8, error);

    return xml != NULL;
}

static const Refusal refusals[] = {
    {"same-name", same_name, VIMG_ERROR_FAILED,
     "operation failed: pool 'off' already exists with uuid " UUID(1)},
    {"same-uuid", same_uuid, VIMG_ERROR_FAILED,
     "operation failed: pool 'off' is already defined with uuid " UUID(1)},
    {"same-source", same_source, VIMG_ERROR_FAILED,
     "operation failed: Storage source conflict with pool: 'off'"},
    {"same-source-created", same_source_created, VIMG_ERROR_FAILED,
     "operation failed: Storage source conflict with pool: 'on'"},
    {"create-active", create_active, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: pool is already active as 'on'"},
    {"unknown-type", unknown_type, VIMG_ERROR_XML,
     "XML error: Invalid value for attribute 'type' in element 'pool': 'nonesuch'."},
    {"long-name", long_name, VIMG_ERROR_XML, NULL},
    {"define-flags", define_flags, VIMG_ERROR_FLAGS,
     "unsupported flags (0x40) in function virStoragePoolDefineXML"},
    {"create-both-flags", create_both_flags, VIMG_ERROR_FLAGS,
     "Flags 'VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE' and "
     "'VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE' are mutually exclusive"},
    {"start-active", start_active, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: storage pool 'on' is already active"},
    {"build-active", build_active, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: storage pool 'on' is already active"},
    {"build-resize", build_resize, VIMG_ERROR_FLAGS,
     "unsupported flags (0x2) in function virStoragePoolBuild"},
    {"destroy-inactive", destroy_inactive, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: storage pool 'off' is not active"},
    {"refresh-inactive", refresh_inactive, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: storage pool 'off' is not active"},
    {"delete-active", delete_active, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: storage pool 'on' is still active"},
    {"delete-zeroed", delete_zeroed, VIMG_ERROR_FLAGS,
     "unsupported flags (0x1) in function virStoragePoolDelete"},
    {"undefine-active", undefine_active, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: storage pool 'on' is still active"},
    {"autostart-transient", autostart_transient, VIMG_ERROR_INTERNAL,
     "internal error: pool has no config file"},
    {"volumes-inactive", volumes_inactive, VIMG_ERROR_OPERATION_INVALID,
     "Requested operation is not valid: storage pool 'off' is not active"},
    {"lookup-name", lookup_name, VIMG_ERROR_NO_POOL,
     "Storage pool not found: no storage pool with matching name 'x'"},
    {"lookup-uuid", lookup_uuid, VIMG_ERROR_NO_POOL,
     "Storage pool not found: no storage pool with matching uuid "
     "'11000000-0000-0000-0000-000000000000'"},
    {"lookup-pair", lookup_pair, VIMG_ERROR_NO_POOL,
     "Storage pool not found: no storage pool with matching uuid "
     "'11000000-0000-0000-0000-000000000000' (x)"},
    {"lookup-target", lookup_target, VIMG_ERROR_NO_POOL,
     "Storage pool not found: no storage pool with matching target path '/mem/off'"},
    {"xml-flags", xml_flags, VIMG_ERROR_FLAGS,
     "unsupported flags (0x8) in function virStoragePoolGetXMLDesc"},
};

static void
test_refusal(Fixture *fixture, gconstpointer data)
{
    const Refusal *refusal = data;
    g_autofree char *off = pool_xml("off", UUID(1), NULL);
    g_autofree char *on = pool_xml("on", UUID(2), NULL);
    g_autofree char *flash = pool_xml("flash", UUID(3), NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(define_xml(fixture, off, NULL));
    g_assert_true(define_xml(fixture, on, NULL));
    start_pool(fixture, "on");
    g_assert_true(create_xml(fixture, flash, 0, NULL));
    g_free(fixture_events(fixture));

    g_assert_false(refusal->act(fixture, &error));
    g_assert_error(error, VIMG_ERROR, (gint)refusal->code);
    if (refusal->text)
        assert_error_text(&error, refusal->code, refusal->text);
    assert_events(fixture, "");
    g_assert_cmpuint(pool_state(fixture, "off"), ==, VIR_STORAGE_POOL_INACTIVE);
    g_assert_cmpuint(pool_state(fixture, "on"), ==, VIR_STORAGE_POOL_RUNNING);
}

/* ---- life ------------------------------------------------------------------------------- */

static void
test_life(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    gboolean flag = TRUE;

    define_pool(fixture, "images");
    assert_events(fixture, "images:defined");
    g_assert_true(fixture_exists(fixture, "config/images.xml"));
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_is_active(fixture->model, &id, &flag, NULL));
    g_assert_false(flag);
    g_assert_true(vimg_model_pool_is_persistent(fixture->model, &id, &flag, NULL));
    g_assert_true(flag);

    g_assert_true(vimg_model_pool_build(fixture->model, &id, 0, NULL));
    assert_events(fixture, "images:created");
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 0);

    start_pool(fixture, "images");
    assert_events(fixture, "images:started");
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_RUNNING);
    g_assert_true(fixture_exists(fixture, "run/images.xml"));
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1);

    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    assert_events(fixture, "images:refreshed");

    g_assert_true(vimg_model_pool_destroy(fixture->model, &id, NULL));
    assert_events(fixture, "images:stopped");
    g_assert_false(fixture_exists(fixture, "run/images.xml"));
    g_assert_false(fixture->memory->is_open("/mem/images"));

    g_assert_true(vimg_model_pool_delete(fixture->model, &id, 0, NULL));
    assert_events(fixture, "images:deleted");
    g_assert_true(vimg_model_pool_undefine(fixture->model, &id, NULL));
    assert_events(fixture, "images:undefined");
    g_assert_false(fixture_exists(fixture, "config/images.xml"));
}

static void
test_transient(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("flash", NULL, NULL);
    g_autoptr(GError) error = NULL;
    VimgPoolId id;
    gboolean persistent = TRUE;

    g_assert_true(create_xml(fixture, xml, VIR_STORAGE_POOL_CREATE_WITH_BUILD, NULL));
    assert_events(fixture, "flash:started");
    g_assert_cmpuint(fixture->memory->calls("/mem/flash", "build"), ==, 1);
    g_assert_false(fixture_exists(fixture, "config/flash.xml"));
    id = pool_id(fixture, "flash");
    g_assert_true(vimg_model_pool_is_persistent(fixture->model, &id, &persistent, NULL));
    g_assert_false(persistent);
    g_assert_true(destroy_pool(fixture, "flash", NULL));
    assert_events(fixture, "flash:stopped");
    g_assert_false(vimg_model_pool_get_autostart(fixture->model, &id, &persistent, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_POOL);
}

/* The longest name there is fits into every file that is made of it. */
static void
test_longest_name(Fixture *fixture, gconstpointer data)
{
    g_autofree char *name = g_strnfill(251, 'a');
    g_autofree char *xml = pool_xml_full("memory", name, NULL, "/mem/long", NULL);
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_true(define_xml(fixture, xml, &error));
    g_assert_no_error(error);
    start_pool(fixture, name);
    id = pool_id(fixture, name);
    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &id, TRUE, NULL));
    fixture_restart(fixture);
    fixture_wait_active(fixture, name);
}

/* What fails leaves nothing: no pool, no file, no claim on name or source. */
static void
test_create_fails(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("flash", NULL, NULL);
    g_autoptr(GError) error = NULL;
    const char *const callbacks[] = {"open", "probe", "list", "build"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        fixture->memory->fail("/mem/flash", callbacks[i], VIMG_ERROR_DISCONNECTED, "no route", -1);
        g_assert_false(create_xml(fixture, xml, VIR_STORAGE_POOL_CREATE_WITH_BUILD, &error));
        assert_error_text(&error, VIMG_ERROR_DISCONNECTED, "operation failed: no route");
        g_assert_false(fixture->memory->is_open("/mem/flash"));
        g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 0);
        fixture->memory->fail("/mem/flash", callbacks[i], 0, "", 0);
        fixture->memory->lose("/mem/flash");
    }
    assert_events(fixture, "");
    g_assert_true(create_xml(fixture, xml, 0, NULL));
}

/* An inactive persistent pool runs once by another definition; its file keeps its own. */
static void
test_create_persistent(Fixture *fixture, gconstpointer data)
{
    g_autofree char *defined = pool_xml("images", UUID(1), NULL);
    g_autofree char *once = pool_xml_full("memory", "images", UUID(1), "/mem/once", NULL);
    g_autofree char *running = NULL;
    g_autofree char *kept = NULL;
    g_autofree char *after = NULL;
    VimgPoolId id;

    g_assert_true(define_xml(fixture, defined, NULL));
    g_assert_true(create_xml(fixture, once, 0, NULL));
    assert_events(fixture, "images:defined images:started");
    id = pool_id(fixture, "images");
    running = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    kept = vimg_model_pool_xml(fixture->model, &id, VIR_STORAGE_XML_INACTIVE, NULL);
    g_assert_nonnull(strstr(running, "/mem/once"));
    g_assert_nonnull(strstr(kept, "/mem/images"));
    /* both sources are taken */
    g_free(once);
    once = pool_xml_full("memory", "b", NULL, "/mem/once", NULL);
    g_assert_false(define_xml(fixture, once, NULL));
    g_free(once);
    once = pool_xml_full("memory", "b", NULL, "/mem/images", NULL);
    g_assert_false(define_xml(fixture, once, NULL));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    after = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(after, "/mem/images"));
    g_free(once);
    once = pool_xml_full("memory", "b", NULL, "/mem/once", NULL);
    g_assert_true(define_xml(fixture, once, NULL));
}

static void
test_redefine(Fixture *fixture, gconstpointer data)
{
    g_autofree char *first = pool_xml("images", UUID(1), NULL);
    g_autofree char *second = pool_xml(
        "images", UUID(1),
        "<image:description>golden</image:description><image:dataNetwork cidr='10.1.0.0/16'/>");
    g_autofree char *refused =
        pool_xml("images", UUID(1), "<image:dataNetwork cidr='192.0.2.0/24'/>");
    g_autofree char *moved = pool_xml_full("memory", "images", UUID(1), "/mem/moved", NULL);
    g_autofree char *xml = NULL;
    g_autofree char *network = NULL;
    g_autoptr(GError) error = NULL;
    VimgPoolId id;

    g_assert_true(define_xml(fixture, first, NULL));
    start_pool(fixture, "images");
    id = pool_id(fixture, "images");

    g_assert_true(define_xml(fixture, second, NULL));
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "golden"));
    network = fixture->memory->network("/mem/images");
    g_assert_cmpstr(network, ==, "10.1.0.0/16");

    g_assert_false(define_xml(fixture, refused, &error));
    assert_error_text(&error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      "unsupported configuration: that network is for documents");
    g_clear_pointer(&xml, g_free);
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "10.1.0.0/16"));

    /* another storage waits for the next start */
    g_assert_true(define_xml(fixture, moved, NULL));
    g_clear_pointer(&xml, g_free);
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "/mem/images"));
    assert_events(fixture, "images:defined images:started images:defined images:defined");
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_clear_pointer(&xml, g_free);
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "/mem/moved"));
}

/* A transient pool that is defined becomes persistent, and outlives its stop. */
static void
test_define_transient(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("images", UUID(1), NULL);

    g_assert_true(create_xml(fixture, xml, 0, NULL));
    g_assert_true(define_xml(fixture, xml, NULL));
    g_assert_true(fixture_exists(fixture, "config/images.xml"));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_INACTIVE);
}

/* ---- lists ------------------------------------------------------------------------------ */

static const struct {
    guint flags;
    const char *names;
} lists[] = {
    {0, "a b c"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE, "b c"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE, "a"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE | VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE, "a b c"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT, "a b"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT, "c"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART, "b"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART, "a c"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE | VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART, "c"},
    {VIR_CONNECT_LIST_STORAGE_POOLS_DIR | VIR_CONNECT_LIST_STORAGE_POOLS_ZFS, ""},
};

static void
test_list(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("c", NULL, NULL);
    VimgPoolId b;
    gsize i;
    guint j;

    define_pool(fixture, "a");
    define_and_start(fixture, "b");
    b = pool_id(fixture, "b");
    g_assert_true(vimg_model_pool_set_autostart(fixture->model, &b, TRUE, NULL));
    g_assert_true(create_xml(fixture, xml, 0, NULL));
    for (i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(GPtrArray) list = vimg_model_pool_list(fixture->model, lists[i].flags);
        g_autoptr(GString) names = g_string_new(NULL);

        for (j = 0; j < list->len; j++)
            g_string_append_printf(names, "%s%s", j > 0 ? " " : "",
                                   ((VimgPoolId *)g_ptr_array_index(list, j))->name);
        g_assert_cmpstr(names->str, ==, lists[i].names);
    }
}

static void
test_lookups(Fixture *fixture, gconstpointer data)
{
    g_auto(VimgPoolId) by_target = {0};
    g_auto(VimgPoolId) by_volume = {0};
    VimgVolId vol = vol_id("images", "whatever");

    define_and_start(fixture, "images");
    g_assert_true(vimg_model_pool_by_target_path(fixture->model, "/mem/images/", &by_target, NULL));
    g_assert_cmpstr(by_target.name, ==, "images");
    g_assert_true(vimg_model_pool_by_volume(fixture->model, &vol, &by_volume, NULL));
    g_assert_cmpstr(by_volume.name, ==, "images");
}

/* ---- documents ----------------------------------------------------------------------------- */

static void
test_capabilities(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = vimg_model_pool_capabilities(fixture->model, NULL);

    g_assert_nonnull(strstr(xml, "<pool type='memory' supported='yes'>"));
    g_assert_nonnull(strstr(xml, "<value>qcow2</value>"));
}

static void
test_find_sources(Fixture *fixture, gconstpointer data)
{
    g_autofree char *found = NULL;
    g_autofree char *below = NULL;
    g_autoptr(GError) error = NULL;
    const char *const paths[] = {fixture->root, NULL};

    found = vimg_model_find_sources(fixture->model, "memory",
                                    "<?xml version='1.0'?><source><dir path='/mem/a'/></source>", 0,
                                    &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(found, "<source><dir path='/mem/a'/></source>"));
    g_assert_null(vimg_model_find_sources(fixture->model, "memory", "<sauce/>", 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
    g_clear_error(&error);
    g_assert_null(vimg_model_find_sources(fixture->model, "memory", "<source", 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML_DETAIL);
    fixture_stop(fixture);
    fixture->search_paths = paths;
    fixture_start(fixture);
    below = vimg_model_find_sources(fixture->model, "memory", NULL, 0, NULL);
    g_assert_nonnull(strstr(below, fixture->root));
    fixture_stop(fixture);
    fixture->search_paths = NULL;
}

int
main(int argc, char **argv)
{
    static char *paths[G_N_ELEMENTS(refusals)];
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(refusals); i++) {
        paths[i] = g_strdup_printf("/model/pool/refused/%s", refusals[i].path);
        FIXTURE_ADD(paths[i], &refusals[i], test_refusal);
    }
    FIXTURE_ADD("/model/pool/life", NULL, test_life);
    FIXTURE_ADD("/model/pool/transient", NULL, test_transient);
    FIXTURE_ADD("/model/pool/longest-name", NULL, test_longest_name);
    FIXTURE_ADD("/model/pool/create-fails", NULL, test_create_fails);
    FIXTURE_ADD("/model/pool/create-persistent", NULL, test_create_persistent);
    FIXTURE_ADD("/model/pool/redefine", NULL, test_redefine);
    FIXTURE_ADD("/model/pool/define-transient", NULL, test_define_transient);
    FIXTURE_ADD("/model/pool/list", NULL, test_list);
    FIXTURE_ADD("/model/pool/lookups", NULL, test_lookups);
    FIXTURE_ADD("/model/pool/capabilities", NULL, test_capabilities);
    FIXTURE_ADD("/model/pool/find-sources", NULL, test_find_sources);
    return g_test_run();
}
