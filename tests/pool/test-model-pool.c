/*
 * test-model-pool.c: the life of pools, their definitions, lists and documents
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "test-model-fixture.h"
#include "util/error.h"

/* ---- life ------------------------------------------------------------------------------- */

static void
test_life(Fixture *fixture, gconstpointer data)
{
    VimgPoolId id;
    gboolean flag = TRUE;

    define_pool(fixture, "images");
    fixture_assert_events(fixture, "images:defined");
    g_assert_true(fixture_exists(fixture, "config/images.xml"));
    id = pool_id(fixture, "images");
    g_assert_true(vimg_model_pool_is_active(fixture->model, &id, &flag, NULL));
    g_assert_false(flag);
    g_assert_true(vimg_model_pool_is_persistent(fixture->model, &id, &flag, NULL));
    g_assert_true(flag);

    g_assert_true(vimg_model_pool_build(fixture->model, &id, 0, NULL));
    fixture_assert_events(fixture, "images:created");
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 0);

    start_pool(fixture, "images");
    fixture_assert_events(fixture, "images:started");
    g_assert_cmpuint(pool_state(fixture, "images"), ==, VIR_STORAGE_POOL_RUNNING);
    g_assert_true(fixture_exists(fixture, "run/images.xml"));
    g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 1);

    g_assert_true(vimg_model_pool_refresh(fixture->model, &id, 0, NULL));
    fixture_assert_events(fixture, "images:refreshed");

    g_assert_true(vimg_model_pool_destroy(fixture->model, &id, NULL));
    fixture_assert_events(fixture, "images:stopped");
    g_assert_false(fixture_exists(fixture, "run/images.xml"));
    g_assert_false(fixture->memory->is_open("/mem/images"));

    g_assert_true(vimg_model_pool_delete(fixture->model, &id, 0, NULL));
    fixture_assert_events(fixture, "images:deleted");
    g_assert_true(vimg_model_pool_undefine(fixture->model, &id, NULL));
    fixture_assert_events(fixture, "images:undefined");
    g_assert_false(fixture_exists(fixture, "config/images.xml"));
}

static void
test_transient(Fixture *fixture, gconstpointer data)
{
    g_autofree char *xml = pool_xml("flash", NULL, NULL);
    g_autoptr(GError) error = NULL;
    VimgPoolId id;
    gboolean persistent = TRUE;

    g_assert_true(fixture_create(fixture, xml, VIR_STORAGE_POOL_CREATE_WITH_BUILD, NULL));
    fixture_assert_events(fixture, "flash:started");
    g_assert_cmpuint(fixture->memory->calls("/mem/flash", "build"), ==, 1);
    g_assert_false(fixture_exists(fixture, "config/flash.xml"));
    id = pool_id(fixture, "flash");
    g_assert_true(vimg_model_pool_is_persistent(fixture->model, &id, &persistent, NULL));
    g_assert_false(persistent);
    g_assert_true(destroy_pool(fixture, "flash", NULL));
    fixture_assert_events(fixture, "flash:stopped");
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

    g_assert_true(fixture_define(fixture, xml, &error));
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
        g_assert_false(fixture_create(fixture, xml, VIR_STORAGE_POOL_CREATE_WITH_BUILD, &error));
        assert_error_text(&error, VIMG_ERROR_DISCONNECTED, "operation failed: no route");
        g_assert_false(fixture->memory->is_open("/mem/flash"));
        g_assert_cmpuint(vimg_model_busy(fixture->model), ==, 0);
        fixture->memory->fail("/mem/flash", callbacks[i], 0, "", 0);
        fixture->memory->lose("/mem/flash");
    }
    fixture_assert_events(fixture, "");
    g_assert_true(fixture_create(fixture, xml, 0, NULL));
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

    g_assert_true(fixture_define(fixture, defined, NULL));
    g_assert_true(fixture_create(fixture, once, 0, NULL));
    fixture_assert_events(fixture, "images:defined images:started");
    id = pool_id(fixture, "images");
    running = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    kept = vimg_model_pool_xml(fixture->model, &id, VIR_STORAGE_XML_INACTIVE, NULL);
    g_assert_nonnull(strstr(running, "/mem/once"));
    g_assert_nonnull(strstr(kept, "/mem/images"));
    /* both sources are taken */
    g_free(once);
    once = pool_xml_full("memory", "b", NULL, "/mem/once", NULL);
    g_assert_false(fixture_define(fixture, once, NULL));
    g_free(once);
    once = pool_xml_full("memory", "b", NULL, "/mem/images", NULL);
    g_assert_false(fixture_define(fixture, once, NULL));
    g_assert_true(destroy_pool(fixture, "images", NULL));
    after = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(after, "/mem/images"));
    g_free(once);
    once = pool_xml_full("memory", "b", NULL, "/mem/once", NULL);
    g_assert_true(fixture_define(fixture, once, NULL));
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

    g_assert_true(fixture_define(fixture, first, NULL));
    start_pool(fixture, "images");
    id = pool_id(fixture, "images");

    g_assert_true(fixture_define(fixture, second, NULL));
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "golden"));
    network = fixture->memory->network("/mem/images");
    g_assert_cmpstr(network, ==, "10.1.0.0/16");

    g_assert_false(fixture_define(fixture, refused, &error));
    assert_error_text(&error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      "unsupported configuration: that network is for documents");
    g_clear_pointer(&xml, g_free);
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "10.1.0.0/16"));

    /* another storage waits for the next start */
    g_assert_true(fixture_define(fixture, moved, NULL));
    g_clear_pointer(&xml, g_free);
    xml = vimg_model_pool_xml(fixture->model, &id, 0, NULL);
    g_assert_nonnull(strstr(xml, "/mem/images"));
    fixture_assert_events(fixture, "images:defined images:started images:defined images:defined");
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

    g_assert_true(fixture_create(fixture, xml, 0, NULL));
    g_assert_true(fixture_define(fixture, xml, NULL));
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
    g_assert_true(fixture_create(fixture, xml, 0, NULL));
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

/* A pool of another host, and with @user a login there. */
static void
define_there(Fixture *fixture, const char *name, const char *host, const char *dir,
             const char *user)
{
    g_autofree char *auth =
        user ? g_strdup_printf("<auth type='ssh' username='%s'/>", user) : g_strdup("");
    g_autofree char *xml = g_strdup_printf("<pool type='memory'><name>%s</name><source>"
                                           "<host %s/><dir path='%s'/>%s</source></pool>",
                                           name, host, dir, auth);
    g_auto(VimgPoolId) id = {0};
    g_autoptr(GError) error = NULL;

    vimg_model_pool_define(fixture->model, xml, 0, &id, &error);
    g_assert_no_error(error);
}

static const struct {
    const char *source;
    const char *found; /* directories; NULL: an error */
    gint code;
} hosts[] = {
    {"<host name='ONE.example'/>", "/mem/a /mem/b /mem/srv", 0},
    {"<host name='one.example' port='23'/>", "/mem/a /mem/srv", 0},
    {"<host name='two.example'/>", "/mem/a /mem/c /mem/srv", 0},
    {"<host name='one.example'/><dir path='/mem/other'/>", "/mem/other", 0},
    {"<host name='one.example'/><dir path='/mem/x'/><auth type='ssh' username='u'/>", "/mem/x", 0},
    {"<host name='none.example'/>", NULL, VIMG_ERROR_INVALID_ARG},
    {"<host name='none.example'/><dir path='/mem/x'/>", NULL, VIMG_ERROR_AUTH},
    {"<host name='locked.example'/>", NULL, VIMG_ERROR_AUTH},
};

static int
compare_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Returns: (transfer full) the directories of @xml, sorted. */
static char *
dirs_of(const char *xml)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    const char *at = xml;

    while ((at = strstr(at, "path='"))) {
        at += strlen("path='");
        g_ptr_array_add(dirs, g_strndup(at, strcspn(at, "'")));
    }
    g_ptr_array_sort(dirs, compare_text);
    g_ptr_array_add(dirs, NULL);
    return g_strjoinv(" ", (char **)dirs->pdata);
}

/* Of a host alone: what its pools and the configuration know; with a directory: their login. */
static void
test_find_on_hosts(Fixture *fixture, gconstpointer data)
{
    const char *const paths[] = {"/mem/srv", "/mem/a", NULL};
    gsize i;

    fixture_stop(fixture);
    fixture->search_paths = paths;
    fixture_start(fixture);
    define_there(fixture, "a", "name='one.example'", "/mem/a", "root");
    define_there(fixture, "b", "name='One.Example' port='22'", "/mem/b", "root");
    define_there(fixture, "c", "name='two.example'", "/mem/c", "root");
    define_there(fixture, "d", "name='locked.example'", "/mem/d", NULL);
    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autofree char *spec = g_strdup_printf("<source>%s</source>", hosts[i].source);
        g_autoptr(GError) error = NULL;
        g_autofree char *xml = vimg_model_find_sources(fixture->model, "memory", spec, 0, &error);
        g_autofree char *found = xml ? dirs_of(xml) : NULL;

        g_test_message("%s", spec);
        g_assert_cmpstr(found, ==, hosts[i].found);
        if (!hosts[i].found)
            g_assert_error(error, VIMG_ERROR, hosts[i].code);
    }
    fixture_stop(fixture);
    fixture->search_paths = NULL;
}

/* A login that was refused is not tried again for each pool that has it. */
static void
test_find_once(Fixture *fixture, gconstpointer data)
{
    static const char spec[] = "<source><host name='shut.example'/><dir path='/mem/x'/></source>";
    g_autoptr(GError) error = NULL;

    define_there(fixture, "a", "name='shut.example'", "/mem/a", "root");
    define_there(fixture, "b", "name='Shut.example'", "/mem/b", "root");
    define_there(fixture, "c", "name='shut.example'", "/mem/c", "another");
    fixture->memory->fail("/mem/x", "find_sources", VIMG_ERROR_AUTH, "no", -1);
    g_assert_null(vimg_model_find_sources(fixture->model, "memory", spec, 0, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_AUTH);
    g_assert_cmpuint(fixture->memory->calls("/mem/x", "find_sources"), ==, 2);
    fixture->memory->fail("/mem/x", "find_sources", 0, "", 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
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
    FIXTURE_ADD("/model/pool/find-on-hosts", NULL, test_find_on_hosts);
    FIXTURE_ADD("/model/pool/find-once", NULL, test_find_once);
    return g_test_run();
}
