/*
 * test-backend.c: what becomes of plugins that are old, new or broken, and of definitions
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "pool/services.h"
#include "test-backend-fixture.h"

/* ---- loading ---------------------------------------------------------------------------- */

static const struct {
    const char *type;
    VimgErrorCode code;
    const char *text;
} unavailable[] = {
    {"nothing", VIMG_ERROR_XML, "Invalid value for attribute 'type' in element 'pool': 'nothing'."},
    {"../liar", VIMG_ERROR_XML, "'../liar'"},
    {"imagestore", VIMG_ERROR_CONFIG_UNSUPPORTED, "is not installed"},
    {"newer", VIMG_ERROR_CONFIG_UNSUPPORTED,
     "version 2 of the contract, this daemon has version 1"},
    {"failinit", VIMG_ERROR_CONFIG_UNSUPPORTED, "no such hardware, asked 1 times"},
    {"silent", VIMG_ERROR_CONFIG_UNSUPPORTED, "failed without an error"},
    {"misnamed", VIMG_ERROR_CONFIG_UNSUPPORTED, "it calls itself 'other'"},
    {"noprobe", VIMG_ERROR_CONFIG_UNSUPPORTED, "it lacks 'probe'"},
    {"halfwriter", VIMG_ERROR_CONFIG_UNSUPPORTED, "some of the writer_"},
    {"bothways", VIMG_ERROR_CONFIG_UNSUPPORTED, "it has 'content' and some of the"},
    {"halffiles", VIMG_ERROR_CONFIG_UNSUPPORTED, "some of the file_"},
    {"badformats", VIMG_ERROR_CONFIG_UNSUPPORTED, "bad list of formats"},
    {"badoptions", VIMG_ERROR_CONFIG_UNSUPPORTED, "bad option of element 'a'"},
    {"nosize", VIMG_ERROR_CONFIG_UNSUPPORTED, "it lacks 'type'"},
    {"noabi", VIMG_ERROR_CONFIG_UNSUPPORTED, "version 0 of the contract"},
    {"nosymbol", VIMG_ERROR_CONFIG_UNSUPPORTED, "does not export vimg_plugin_init()"},
};

/* Twice: the reason is kept, and init not called again. */
static void
test_unavailable(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    guint round;

    for (round = 0; round < 2; round++) {
        g_autoptr(GError) error = NULL;
        const VimgType *type = vimg_backends_get(backends, unavailable[i].type, &error);

        assert_refused(type != NULL, &error, unavailable[i].code, unavailable[i].text);
    }
}

static void
test_knows(void)
{
    g_assert_true(vimg_backends_knows(backends, "liar"));
    g_assert_true(vimg_backends_knows(backends, "imagestore"));
    g_assert_true(vimg_backends_knows(backends, "newer"));
    g_assert_false(vimg_backends_knows(backends, "other"));
    g_assert_false(vimg_backends_knows(backends, ""));
}

/* All that are known, and all for which there is a module. */
static guint
count_types(void)
{
    g_autoptr(GHashTable) types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) known = g_strsplit(VIMG_KNOWN_BACKENDS, " ", -1);
    GDir *dir = g_dir_open(TEST_PLUGIN_DIR, 0, NULL);
    const char *name;
    guint i;

    for (i = 0; known[i]; i++)
        g_hash_table_add(types, g_strdup(known[i]));
    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_prefix(name, "vimg-") && g_str_has_suffix(name, ".so"))
            g_hash_table_add(types, g_strndup(name + 5, strlen(name) - 8));
    }
    g_dir_close(dir);
    return g_hash_table_size(types);
}

static void
test_list(void)
{
    g_autoptr(GPtrArray) list = vimg_backends_list(backends);
    const char *before = "";
    gboolean liar = FALSE;
    guint i;

    g_assert_cmpuint(list->len, ==, count_types());
    for (i = 0; i < list->len; i++) {
        const VimgTypeStatus *status = g_ptr_array_index(list, i);

        g_assert_cmpstr(before, <, status->type);
        g_assert_true((status->loaded != NULL) != (status->reason != NULL));
        liar |= strcmp(status->type, "liar") == 0 && status->loaded == get("liar");
        before = status->type;
    }
    g_assert_true(liar);
}

/* A module that was missing is found once it is installed, without a restart. */
static void
test_installed_later(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("backends-XXXXXX", NULL);
    g_autofree char *from = g_build_filename(TEST_PLUGIN_DIR, "vimg-liar.so", NULL);
    g_autofree char *to = g_build_filename(dir, "vimg-imagestore.so", NULL);
    VimgBackends *late = vimg_backends_new(dir, vimg_services_get());
    g_autofree char *module = NULL;
    gsize size;
    gboolean found;

    found = vimg_backends_get(late, "imagestore", &error) != NULL;
    assert_refused(found, &error, VIMG_ERROR_CONFIG_UNSUPPORTED, "is not installed");
    g_clear_error(&error);
    g_assert_true(g_file_get_contents(from, &module, &size, NULL));
    g_assert_true(g_file_set_contents(to, module, (gssize)size, NULL));
    found = vimg_backends_get(late, "imagestore", &error) != NULL;
    assert_refused(found, &error, VIMG_ERROR_CONFIG_UNSUPPORTED, "it calls itself 'liar'");
    vimg_backends_free(late);
    g_assert_cmpint(unlink(to), ==, 0);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

typedef struct {
    VimgBackends *backends;
    const VimgType *liar;
    char *reason;
} Needing;

static void
need(gpointer data)
{
    Needing *needing = data;
    g_autoptr(GError) error = NULL;

    needing->liar = vimg_backends_get(needing->backends, "liar", NULL);
    g_assert_null(vimg_backends_get(needing->backends, "failinit", &error));
    needing->reason = g_strdup(error->message);
}

/* First needed by many at once, a module is loaded once: its init counts. */
static void
test_needed_at_once(void)
{
    g_autoptr(VimgWorkers) workers = vimg_workers_new("need", 4, NULL);
    VimgBackends *fresh = vimg_backends_new(TEST_PLUGIN_DIR, vimg_services_get());
    Needing needing[16] = {0};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(needing); i++) {
        needing[i].backends = fresh;
        vimg_workers_push(workers, need, &needing[i]);
    }
    g_clear_pointer(&workers, vimg_workers_free);
    for (i = 0; i < G_N_ELEMENTS(needing); i++) {
        g_assert_nonnull(needing[i].liar);
        g_assert_true(needing[i].liar == needing[0].liar);
        g_assert_cmpstr(needing[i].reason, ==, needing[0].reason);
    }
    for (i = 0; i < G_N_ELEMENTS(needing); i++)
        g_free(needing[i].reason);
    vimg_backends_free(fresh);
}

static void
test_no_directory(void)
{
    VimgBackends *none = vimg_backends_new("/nonexistent", vimg_services_get());

    g_assert_true(vimg_backends_knows(none, "imagestore"));
    g_assert_false(vimg_backends_knows(none, "liar"));
    vimg_backends_free(none);
}

static void
test_shorter(void)
{
    const VimgType *type = get("shorter");
    const VimgBackend *table = vimg_type_table(type);
    g_auto(Pool) pool = pool_new("shorter", "", "");
    g_autoptr(VimgStore) store = NULL;
    g_autoptr(GError) error = NULL;
    VimgPluginImage image = named((char *)TWO_UUID, (char *)"two");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;

    g_assert_nonnull(table->reader_close);
    g_assert_null(table->clone);
    g_assert_null(table->cleanup);
    g_assert_null(table->verify);
    g_assert_true(vimg_type_has_format(type, "raw"));
    g_assert_false(vimg_type_has_format(type, "ra"));
    g_assert_false(vimg_type_takes_undeclared(type));
    g_assert_true(vimg_type_takes_undeclared(get("liar")));
    store = vimg_store_open(type, pool.view, 0, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_false(vimg_store_can_clone(store, store));
    assert_refused(vimg_store_clone(store, store, ONE_UUID, &image, NULL, &out, &error), &error,
                   VIMG_ERROR_NO_SUPPORT, "volume creation from an existing volume");
}

/* Every absent callback has its answer. */
static void
test_absent(void)
{
    g_auto(Pool) pool = pool_new("shorter", "", "");
    const VimgType *type = get("shorter");
    g_autoptr(VimgStore) store = vimg_store_open(type, pool.view, 0, NULL, NULL, NULL);
    const VimgWriteRequest request = {.size = sizeof(request)};
    VimgPluginImage image = named((char *)TWO_UUID, (char *)"two");
    g_auto(VimgPluginImage) out = VIMG_PLUGIN_IMAGE_INIT;
    const VimgErrorCode code = VIMG_ERROR_NO_SUPPORT;
    GError *error = NULL;

    assert_refused(vimg_store_create(store, &image, &out, &error), &error, code, "volume creation");
    g_clear_error(&error);
    assert_refused(vimg_store_remove_image(store, ONE_UUID, &error), &error, code, "vol deletion");
    g_clear_error(&error);
    assert_refused(vimg_store_resize(store, ONE_UUID, 1, &error), &error, code, "capacity");
    g_clear_error(&error);
    assert_refused(vimg_store_wipe(store, ONE_UUID, &error), &error, code, "wiping");
    g_clear_error(&error);
    assert_refused(vimg_store_set_error(store, ONE_UUID, "x", &error), &error, code, "unusable");
    g_clear_error(&error);
    g_assert_false(vimg_store_can_write(store));
    assert_refused(vimg_writer_open(store, ONE_UUID, &request, NULL, &error) != NULL, &error, code,
                   "volume upload");
    g_clear_error(&error);
    assert_refused(vimg_type_remove(type, pool.view, NULL, &error), &error, code, "pool deletion");
    g_clear_error(&error);
    assert_refused(vimg_type_find_sources(type, pool.view, &error) != NULL, &error, code,
                   "pool type 'shorter' does not support source discovery");
    g_clear_error(&error);
    g_assert_true(vimg_type_build(type, pool.view, 0, NULL, &error));
    g_assert_true(vimg_store_update(store, pool.view, &error));
    g_assert_no_error(error);
}

/* ---- definitions ------------------------------------------------------------------------ */

#define HOST "<host name='h'/>"
#define DIR "<dir path='/srv/x'/>"
#define NAME "<name>n</name>"
#define DEVICE "<device path='/dev/x'/>"
#define AUTH(type) "<auth type='" type "' username='u'><secret usage='s'/></auth>"

static const struct {
    const char *path;
    const char *type;
    const char *source;
    const char *options;
    int code; /* -1: fine */
    const char *text;
} definitions[] = {
    {"whole", "shorter", HOST DIR NAME DEVICE AUTH("ssh"), "", -1, NULL},
    {"no-host", "shorter", DIR NAME DEVICE AUTH("ssh"), "", VIMG_ERROR_XML,
     "missing storage pool source host name"},
    {"no-dir", "shorter", HOST NAME DEVICE AUTH("ssh"), "", VIMG_ERROR_XML,
     "missing storage pool source path"},
    {"no-name", "shorter", HOST DIR DEVICE AUTH("ssh"), "", VIMG_ERROR_XML,
     "missing storage pool source name"},
    {"no-device", "shorter", HOST DIR NAME AUTH("ssh"), "", VIMG_ERROR_XML,
     "missing storage pool source device path"},
    {"no-auth", "shorter", HOST DIR NAME DEVICE, "", VIMG_ERROR_XML,
     "missing storage pool source auth"},
    {"two-hosts", "shorter", HOST "<host name='i'/>" DIR NAME DEVICE AUTH("ssh"), "",
     VIMG_ERROR_XML, "expected exactly one host for the storage pool"},
    {"other-auth", "shorter", HOST DIR NAME DEVICE AUTH("ceph"), "", VIMG_ERROR_CONFIG_UNSUPPORTED,
     "unknown auth type 'ceph'"},
    {"dir-not-taken", "liar", DIR, "", VIMG_ERROR_XML, "takes no source element 'dir'"},
    {"device-not-taken", "liar", DEVICE, "", VIMG_ERROR_XML, "takes no source element 'device'"},
    {"auth-not-taken", "liar", AUTH("ssh"), "", VIMG_ERROR_XML, "takes no source element 'auth'"},
    {"all-options", "liar", NAME,
     "<image:slice size='4096' mode='content'/><image:rollback import='yes'/>"
     "<image:oss><image:auth username='x'/></image:oss>",
     -1, NULL},
    {"no-attributes", "liar", NAME, "<image:slice/>", -1, NULL},
    {"highest", "liar", NAME, "<image:slice size='65536'/>", -1, NULL},
    {"too-low", "liar", NAME, "<image:slice size='4095'/>", VIMG_ERROR_XML,
     "'4095' is not a number from 4096 to 65536"},
    {"too-high", "liar", NAME, "<image:slice size='65537'/>", VIMG_ERROR_XML, "'65537'"},
    {"overflow", "liar", NAME, "<image:slice size='18446744073709555712'/>", VIMG_ERROR_XML,
     "'18446744073709555712'"},
    {"no-number", "liar", NAME, "<image:slice size='4096k'/>", VIMG_ERROR_XML, "'4096k'"},
    {"enum", "liar", NAME, "<image:slice mode='fixed|content'/>", VIMG_ERROR_XML,
     "is not one of fixed|content"},
    {"bool", "liar", NAME, "<image:rollback import='true'/>", VIMG_ERROR_XML,
     "is not one of yes|no"},
    {"unknown-attribute", "liar", NAME, "<image:slice sice='1'/>", VIMG_ERROR_XML,
     "takes: slice/@size, slice/@mode, rollback/@import, oss/auth/@username"},
    {"unknown-element", "liar", NAME, "<image:sli size='4096'/>", VIMG_ERROR_XML,
     "unknown option element 'sli'"},
    {"misplaced-attribute", "liar", NAME, "<image:oss username='x'/>", VIMG_ERROR_XML,
     "unknown attribute 'username' in element 'oss'"},
    {"text", "liar", NAME, "<image:slice>4096</image:slice>", VIMG_ERROR_XML, "takes no text"},
    {"retrieve", "shorter", HOST DIR NAME DEVICE AUTH("ssh"), "<image:retrieve existing='yes'/>",
     VIMG_ERROR_CONFIG_UNSUPPORTED, "storage pool type 'shorter' cannot retrieve existing images"},
    {"retrieve-no", "shorter", HOST DIR NAME DEVICE AUTH("ssh"), "<image:retrieve existing='no'/>",
     -1, NULL},
    {"no-options", "shorter", HOST DIR NAME DEVICE AUTH("ssh"), "<image:slice size='4096'/>",
     VIMG_ERROR_XML, "takes: none"},
};

static void
test_definition(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_auto(Pool) pool =
        pool_new(definitions[i].type, definitions[i].source, definitions[i].options);
    g_autoptr(GError) error = NULL;
    gboolean ok = vimg_type_check(get(definitions[i].type), pool.view, &error);

    if (definitions[i].code < 0) {
        g_assert_no_error(error);
        g_assert_true(ok);
    } else {
        assert_refused(ok, &error, (VimgErrorCode)definitions[i].code, definitions[i].text);
    }
}

static void
test_view(void)
{
    g_auto(Pool) pool = pool_new("liar", HOST "<host name='i' port='22'/>" DIR NAME AUTH("ssh"),
                                 "<image:oss><image:auth username='x'/></image:oss>");
    g_autoptr(VimgPoolView) view = vimg_pool_view_new(pool.def, "store", "/state");
    const VimgPluginPool *seen = vimg_pool_view_get(view);

    g_assert_cmpuint(seen->size, ==, sizeof(*seen));
    g_assert_cmpstr(seen->name, ==, "p");
    g_assert_cmpuint(strlen(seen->uuid), ==, 36);
    g_assert_cmpuint(seen->n_hosts, ==, 2);
    g_assert_cmpstr(seen->hosts[1].name, ==, "i");
    g_assert_cmpuint(seen->hosts[1].port, ==, 22);
    g_assert_cmpstr(seen->dir, ==, "/srv/x");
    g_assert_cmpstr(seen->source_name, ==, "n");
    g_assert_null(seen->device);
    g_assert_cmpstr(seen->auth_type, ==, "ssh");
    g_assert_cmpstr(seen->auth_user, ==, "u");
    g_assert_cmpstr(seen->secret_usage, ==, "s");
    g_assert_cmpstr(seen->store_id, ==, "store");
    g_assert_cmpstr(seen->state_dir, ==, "/state");
    g_assert_cmpuint(seen->keep_deleted, ==, 259200);
    g_assert_cmpstr(seen->elements[seen->n_elements - 1].path, ==, "oss/auth");
    g_assert_cmpstr(seen->elements[seen->n_elements - 1].attributes[1], ==, "x");
}

static void
test_identity(void)
{
    g_auto(Pool) pool = liar_pool("no-identity");
    g_auto(Pool) other = liar_pool("other");
    g_autofree char *identity = vimg_type_identity(get("liar"), pool.view);
    g_autofree char *given = vimg_type_identity(get("liar"), other.view);

    g_assert_true(g_str_has_prefix(identity, "liar:pool:"));
    g_assert_cmpstr(given, ==, "plain:other");
}

static void
test_sources(void)
{
    g_auto(Pool) pool = liar_pool("x");
    g_autoptr(GError) error = NULL;

    assert_refused(vimg_type_find_sources(get("liar"), pool.view, &error) != NULL, &error,
                   VIMG_ERROR_INTERNAL, "not UTF-8");
}

static void
add_definitions(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(definitions); i++) {
        g_autofree char *path = g_strdup_printf("/backend/definition/%s", definitions[i].path);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_definition);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    backends_set_up();
    add_rows("unavailable", G_N_ELEMENTS(unavailable), test_unavailable);
    add_definitions();
    g_test_add_func("/backend/knows", test_knows);
    g_test_add_func("/backend/list", test_list);
    g_test_add_func("/backend/installed-later", test_installed_later);
    g_test_add_func("/backend/needed-at-once", test_needed_at_once);
    g_test_add_func("/backend/no-directory", test_no_directory);
    g_test_add_func("/backend/shorter", test_shorter);
    g_test_add_func("/backend/absent", test_absent);
    g_test_add_func("/backend/view", test_view);
    g_test_add_func("/backend/identity", test_identity);
    g_test_add_func("/backend/sources", test_sources);
    return backends_run();
}
