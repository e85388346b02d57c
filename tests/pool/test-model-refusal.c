/*
 * test-model-refusal.c: what pools refuse, in stock's words
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

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

    return fixture_define(fixture, xml, error);
}

static gboolean
same_uuid(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml("other", UUID(1), NULL);

    return fixture_define(fixture, xml, error);
}

static gboolean
same_source(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml_full("memory", "other", NULL, "/mem/off", NULL);

    return fixture_define(fixture, xml, error);
}

static gboolean
same_source_created(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml_full("memory", "other", NULL, "/mem/on", NULL);

    return fixture_create(fixture, xml, 0, error);
}

static gboolean
create_active(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml("on", UUID(2), NULL);

    return fixture_create(fixture, xml, 0, error);
}

static gboolean
unknown_type(Fixture *fixture, GError **error)
{
    g_autofree char *xml = pool_xml_full("nonesuch", "x", NULL, "/mem/x", NULL);

    return fixture_define(fixture, xml, error);
}

static gboolean
long_name(Fixture *fixture, GError **error)
{
    g_autofree char *name = g_strnfill(252, 'a');
    g_autofree char *xml = pool_xml_full("memory", name, NULL, "/mem/long", NULL);
    gboolean ok = fixture_define(fixture, xml, error);

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

    return fixture_create(fixture, xml,
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

    return vimg_model_pool_build(fixture->model, &id, VIR_STORAGE_POOL_BUILD_OVERWRITE, error);
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

    g_assert_true(fixture_define(fixture, off, NULL));
    g_assert_true(fixture_define(fixture, on, NULL));
    start_pool(fixture, "on");
    g_assert_true(fixture_create(fixture, flash, 0, NULL));
    g_free(fixture_events(fixture));

    g_assert_false(refusal->act(fixture, &error));
    g_assert_error(error, VIMG_ERROR, (gint)refusal->code);
    if (refusal->text)
        assert_error_text(&error, refusal->code, refusal->text);
    fixture_assert_events(fixture, "");
    g_assert_cmpuint(pool_state(fixture, "off"), ==, VIR_STORAGE_POOL_INACTIVE);
    g_assert_cmpuint(pool_state(fixture, "on"), ==, VIR_STORAGE_POOL_RUNNING);
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
    return g_test_run();
}
