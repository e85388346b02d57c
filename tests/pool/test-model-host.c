/*
 * test-model-host.c: pools of ours beside those of the host's own daemon
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

/* ---- what the host has ---------------------------------------------------------------------- */

static void
add_host(GPtrArray *host, const char *name, const char *uuid)
{
    VimgPoolId *id = g_new0(VimgPoolId, 1);

    id->name = g_strdup(name);
    g_assert_true(vimg_uuid_parse(uuid, id->uuid));
    g_ptr_array_add(host, id);
}

/* Returns: (transfer full) NAME of uuid 8…, and of 9… */
static GPtrArray *
host_pools(const char *name, const char *other)
{
    GPtrArray *host = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_id_free);

    if (name)
        add_host(host, name, UUID(8));
    if (other)
        add_host(host, other, UUID(9));
    return host;
}

static void
define(Fixture *fixture, const char *name, const char *uuid)
{
    g_autofree char *xml = pool_xml(name, uuid, NULL);
    g_autoptr(GError) error = NULL;

    fixture_define(fixture, xml, &error);
    g_assert_no_error(error);
}

static void
assert_hides(Fixture *fixture, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vimg_model_status(fixture->model, "images", &error);
    g_autofree char *member =
        expected ? g_strdup_printf("\"hides\":\"%s\"", expected) : g_strdup("\"hides\":null");

    g_assert_no_error(error);
    if (!strstr(text, member))
        g_error("no %s in %s", member, text);
}

/* ---- wishes --------------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    const char *type;
    const char *name;
    const char *uuid;
    const char *refusal; /* NULL: none */
} Wish;

/* Ours has images (1…); the host dir (8…) and another images (9…). */
static const Wish wishes[] = {
    {"/pool/host/wish/new", "memory", "new", UUID(2), NULL},
    {"/pool/host/wish/new-without-uuid", "memory", "new", NULL, NULL},
    {"/pool/host/wish/name", "memory", "dir", NULL,
     "operation failed: pool 'dir' already exists with uuid " UUID(8)},
    {"/pool/host/wish/name-other-uuid", "memory", "dir", UUID(2),
     "operation failed: pool 'dir' already exists with uuid " UUID(8)},
    {"/pool/host/wish/uuid", "memory", "new", UUID(8),
     "operation failed: pool 'dir' is already defined with uuid " UUID(8)},
    {"/pool/host/wish/both", "memory", "dir", UUID(8),
     "operation failed: pool 'dir' is already defined with uuid " UUID(8)},
    {"/pool/host/wish/ours-again", "memory", "images", UUID(1), NULL},
    {"/pool/host/wish/ours-uuid-host-name", "memory", "dir", UUID(1),
     "operation failed: pool 'dir' already exists with uuid " UUID(8)},
    {"/pool/host/wish/host-new", "dir", "new", UUID(2), NULL},
    {"/pool/host/wish/host-again", "dir", "dir", UUID(8), NULL},
    {"/pool/host/wish/host-our-name", "dir", "images", NULL,
     "operation failed: pool 'images' already exists with uuid " UUID(1)},
    {"/pool/host/wish/host-our-uuid", "netfs", "new", UUID(1),
     "operation failed: pool 'images' is already defined with uuid " UUID(1)},
};

static void
test_wish(Fixture *fixture, gconstpointer data)
{
    const Wish *wish = data;
    g_autofree char *uuid = wish->uuid ? g_strdup_printf("<uuid>%s</uuid>", wish->uuid) : NULL;
    g_autofree char *xml = g_strdup_printf("<pool type='%s'><name>%s</name>%s</pool>", wish->type,
                                           wish->name, uuid ? uuid : "");
    g_autoptr(GPtrArray) host = host_pools("dir", "images");
    g_auto(VimgPoolWish) out = {0};
    g_autoptr(GError) error = NULL;

    define(fixture, "images", UUID(1));
    g_assert_true(vimg_model_pool_wish(fixture->model, xml, &out, &error));
    g_assert_no_error(error);
    g_assert_cmpint(out.ours, ==, g_str_equal(wish->type, "memory"));
    g_assert_cmpstr(out.id.name, ==, wish->name);
    if (vimg_model_check_wish(fixture->model, &out, host, &error))
        g_assert_null(wish->refusal);
    else
        assert_error_text(&error, VIMG_ERROR_FAILED, wish->refusal);
    /* nothing is known of the host: only ours can be in the way */
    g_assert_cmpint(vimg_model_check_wish(fixture->model, &out, NULL, NULL), ==,
                    out.ours || !wish->refusal);
}

typedef struct {
    const char *path;
    const char *xml;
    const char *name; /* NULL: it has none */
    gboolean ours;
    int code; /* -1: taken */
} Document;

static const Document documents[] = {
    {"/pool/host/document/source-name", "<pool type='rbd'><source><name>s</name></source></pool>",
     "s", FALSE, -1},
    {"/pool/host/document/own-name",
     "<pool type='rbd'><source><name>s</name></source><name>n</name></pool>", "n", FALSE, -1},
    {"/pool/host/document/devices",
     "<pool type='logical'><name>n</name><source><device path='/a'/><device path='/b'/></source>"
     "</pool>",
     "n", FALSE, -1},
    {"/pool/host/document/nameless", "<pool type='dir'><name></name></pool>", NULL, FALSE, -1},
    {"/pool/host/document/typeless", "<pool><name>n</name></pool>", "n", TRUE, -1},
    {"/pool/host/document/uuid", "<pool type='dir'><uuid>1</uuid></pool>", NULL, FALSE,
     VIMG_ERROR_XML},
    {"/pool/host/document/root", "<volume/>", NULL, FALSE, VIMG_ERROR_XML},
    {"/pool/host/document/cut", "<pool type='dir'>", NULL, FALSE, VIMG_ERROR_XML_DETAIL},
    {"/pool/host/document/entity", "<!DOCTYPE pool [<!ENTITY n 'x'>]><pool type='dir'/>", NULL,
     FALSE, VIMG_ERROR_XML},
};

static void
test_document(Fixture *fixture, gconstpointer data)
{
    const Document *document = data;
    g_auto(VimgPoolWish) out = {0};
    g_autoptr(GError) error = NULL;

    if (vimg_model_pool_wish(fixture->model, document->xml, &out, &error)) {
        g_assert_cmpint(document->code, ==, -1);
        g_assert_cmpstr(out.id.name, ==, document->name);
        g_assert_cmpint(out.ours, ==, document->ours);
        g_assert_false(out.has_uuid);
    } else {
        g_assert_error(error, VIMG_ERROR, document->code);
    }
}

/* ---- what is hidden ------------------------------------------------------------------------- */

static void
test_hides(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) both = host_pools("dir", "images");
    g_autoptr(GPtrArray) one = host_pools("dir", NULL);
    g_autoptr(GPtrArray) by_uuid = host_pools(NULL, NULL);

    define(fixture, "images", UUID(1));
    add_host(by_uuid, "else", UUID(1));
    g_assert_false(vimg_model_hides_host_pool(fixture->model, both->pdata[0]));
    g_assert_true(vimg_model_hides_host_pool(fixture->model, both->pdata[1]));
    g_assert_true(vimg_model_hides_host_pool(fixture->model, by_uuid->pdata[0]));
    assert_hides(fixture, NULL);
    vimg_model_note_host_pools(fixture->model, both, TRUE);
    assert_hides(fixture, UUID(9));
    vimg_model_note_host_pools(fixture->model, one, FALSE); /* one of many */
    assert_hides(fixture, UUID(9));
    vimg_model_note_host_pools(fixture->model, by_uuid, FALSE);
    assert_hides(fixture, UUID(1));
    vimg_model_note_host_pools(fixture->model, one, TRUE);
    assert_hides(fixture, NULL);
}

/* ---- capabilities --------------------------------------------------------------------------- */

static void
test_capabilities(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *ours = vimg_model_pool_capabilities(fixture->model, &error);
    g_autofree char *merged = vimg_capabilities_merge(
        ours,
        "<storagepoolCapabilities>\n  <pool type='dir' supported='yes'><a b='&lt;'/></pool>\n"
        "  <other/><pool type='fs'/></storagepoolCapabilities>",
        &error);
    const char *memory;

    g_assert_no_error(error);
    memory = strstr(merged, "<pool type='memory'");
    g_assert_nonnull(memory);
    g_assert_nonnull(strstr(memory, "<a b=\"&lt;\"/></pool>\n  <pool type=\"fs\"/>\n"
                                    "</storagepoolCapabilities>\n"));
    g_assert_null(strstr(merged, "other"));
    g_assert_null(vimg_capabilities_merge(ours, "<pool/>", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(wishes); i++)
        FIXTURE_ADD(wishes[i].path, &wishes[i], test_wish);
    for (gsize i = 0; i < G_N_ELEMENTS(documents); i++)
        FIXTURE_ADD(documents[i].path, &documents[i], test_document);
    FIXTURE_ADD("/pool/host/hides", NULL, test_hides);
    FIXTURE_ADD("/pool/host/capabilities", NULL, test_capabilities);
    return g_test_run();
}
