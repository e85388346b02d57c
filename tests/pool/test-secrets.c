/*
 * test-secrets.c: secrets in memory and on disk
 *
 * Codes and texts of refusals are those of a stock libvirtd given the same calls.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libvirt/libvirt.h>

#include "pool/secrets.h"
#include "util/file.h"

#define U1 "11111111-1111-4111-8111-111111111111"
#define U2 "22222222-2222-4222-8222-222222222222"
#define U3 "33333333-3333-4333-8333-333333333333"

typedef struct {
    char *top; /* temporary */
    char *dir; /* in it */
    VimgSecrets *secrets;
} Fixture;

static void
load(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    f->secrets = vimg_secrets_new(f->dir);
    vimg_secrets_load(f->secrets, &error);
    g_assert_no_error(error);
}

static void
restart(Fixture *f)
{
    vimg_secrets_free(f->secrets);
    load(f);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->top = g_dir_make_tmp("secrets-XXXXXX", NULL);
    g_assert_nonnull(f->top);
    f->dir = g_build_filename(f->top, "secrets", NULL);
    load(f);
}

static void
remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_assert_cmpint(unlinkat(dirfd(dir), entry->d_name, 0), ==, 0);
    }
    if (dir)
        closedir(dir);
    g_assert_cmpint(rmdir(path), ==, 0);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    vimg_secrets_free(f->secrets);
    if (g_file_test(f->dir, G_FILE_TEST_IS_DIR))
        remove_dir(f->dir);
    else
        unlink(f->dir);
    remove_dir(f->top);
    g_free(f->dir);
    g_free(f->top);
}

/* ---- short ways ------------------------------------------------------------------------- */

static char *
document(const char *uuid, const char *usage, const char *attributes)
{
    return g_strdup_printf("<secret %s>%s%s%s<usage type='ceph'><name>%s</name></usage></secret>",
                           attributes, uuid ? "<uuid>" : "", uuid ? uuid : "",
                           uuid ? "</uuid>" : "", usage);
}

static gboolean
define(Fixture *f, const char *uuid, const char *usage, const char *attributes, GError **error)
{
    g_autofree char *xml = document(uuid, usage, attributes);
    g_auto(VimgSecretId) id = {0};

    return vimg_secrets_define(f->secrets, xml, 0, &id, error);
}

static void
must_define(Fixture *f, const char *uuid, const char *usage, const char *attributes)
{
    g_autoptr(GError) error = NULL;

    define(f, uuid, usage, attributes, &error);
    g_assert_no_error(error);
}

static gboolean
set_value(Fixture *f, const char *uuid, const char *value, GError **error)
{
    guint8 raw[VIMG_UUID_SIZE];
    g_auto(VimgSecretId) id = {0};

    g_assert_true(vimg_uuid_parse(uuid, raw));
    return vimg_secrets_set_value(f->secrets, raw, value, strlen(value), &id, error);
}

static void
must_set_value(Fixture *f, const char *uuid, const char *value)
{
    g_autoptr(GError) error = NULL;

    set_value(f, uuid, value, &error);
    g_assert_no_error(error);
}

static VimgBuffer *
get_value(Fixture *f, const char *uuid, gboolean internal, GError **error)
{
    guint8 raw[VIMG_UUID_SIZE];

    g_assert_true(vimg_uuid_parse(uuid, raw));
    return vimg_secrets_get_value(f->secrets, raw, internal, error);
}

/* @expected NULL: it has none. */
static void
assert_value(Fixture *f, const char *uuid, const char *expected)
{
    g_autoptr(GError) error = NULL;
    VimgBuffer *value = get_value(f, uuid, TRUE, &error);

    if (expected) {
        g_assert_no_error(error);
        g_assert_cmpmem(value->data, value->size, expected, strlen(expected));
    } else {
        g_assert_null(value);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SECRET);
    }
    vimg_secret_value_free(value);
}

static gboolean
undefine(Fixture *f, const char *uuid, GError **error)
{
    guint8 raw[VIMG_UUID_SIZE];
    g_auto(VimgSecretId) id = {0};

    g_assert_true(vimg_uuid_parse(uuid, raw));
    return vimg_secrets_undefine(f->secrets, raw, &id, error);
}

static guint
count(Fixture *f, guint flags)
{
    g_autoptr(GPtrArray) list = vimg_secrets_list(f->secrets, flags);

    return list->len;
}

static char *
path_of(Fixture *f, const char *file)
{
    return g_build_filename(f->dir, file, NULL);
}

static gboolean
exists(Fixture *f, const char *file)
{
    g_autofree char *path = path_of(f, file);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void
put(Fixture *f, const char *file, const char *text)
{
    g_autofree char *path = path_of(f, file);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
assert_error(GError **thrown, VimgErrorCode code, const char *text)
{
    g_assert_error(*thrown, VIMG_ERROR, (gint)code);
    g_assert_cmpstr((*thrown)->message, ==, text);
    g_clear_error(thrown);
}

/* ---- rules ------------------------------------------------------------------------------ */

static void
test_rules(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    must_define(f, U1, "a", "");
    g_assert_null(get_value(f, U1, FALSE, &error));
    assert_error(&error, VIMG_ERROR_NO_SECRET, "secret '" U1 "' does not have a value");
    must_define(f, U1, "a", "");
    g_assert_false(define(f, U1, "b", "", &error));
    assert_error(&error, VIMG_ERROR_INTERNAL,
                 "a secret with UUID " U1 " is already defined for use with a");
    g_assert_false(define(f, U2, "a", "", &error));
    assert_error(&error, VIMG_ERROR_INTERNAL,
                 "a secret with UUID " U1 " already defined for use with a");
    g_assert_false(define(f, NULL, "a", "", &error));
    assert_error(&error, VIMG_ERROR_INTERNAL,
                 "a secret with UUID " U1 " already defined for use with a");
    g_assert_cmpuint(count(f, 0), ==, 1);
    must_define(f, U1, "a", "private='yes'");
    must_set_value(f, U1, "xyz");
    g_assert_null(get_value(f, U1, FALSE, &error));
    assert_error(&error, VIMG_ERROR_INVALID_SECRET, "secret is private");
    assert_value(f, U1, "xyz");
    g_assert_false(define(f, U1, "a", "private='no'", &error));
    assert_error(&error, VIMG_ERROR_INTERNAL, "cannot change private flag on existing secret");
    g_assert_false(set_value(f, U1, "", &error));
    assert_error(&error, VIMG_ERROR_FLAGS, "value in virSecretSetValue must not be NULL");
    assert_value(f, U1, "xyz");
    g_assert_true(undefine(f, U1, &error));
    g_assert_false(undefine(f, U1, &error));
    assert_error(&error, VIMG_ERROR_NO_SECRET, "no secret with matching uuid '" U1 "'");
    g_assert_false(set_value(f, U1, "x", &error));
    assert_error(&error, VIMG_ERROR_NO_SECRET, "no secret with matching uuid '" U1 "'");
    g_assert_null(get_value(f, U1, FALSE, &error));
    assert_error(&error, VIMG_ERROR_NO_SECRET, "no secret with matching uuid '" U1 "'");
}

static void
test_bad_input(Fixture *f, gconstpointer data)
{
    g_autofree char *large = g_malloc0(65537);
    g_auto(VimgSecretId) id = {0};
    guint8 raw[VIMG_UUID_SIZE];
    GError *error = NULL;

    g_assert_false(vimg_secrets_define(f->secrets, "<secret/>", 8, &id, &error));
    assert_error(&error, VIMG_ERROR_FLAGS, "unsupported flags (0x8) in function secretDefineXML");
    g_assert_false(vimg_secrets_define(f->secrets, "<secret", 0, &id, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML_DETAIL);
    g_clear_error(&error);
    must_define(f, U1, "a", "");
    vimg_uuid_parse(U1, raw);
    g_assert_false(vimg_secrets_set_value(f->secrets, raw, large, 65537, &id, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    g_clear_error(&error);
    g_assert_true(vimg_secrets_set_value(f->secrets, raw, large, 65536, &id, &error));
    g_assert_no_error(error);
    g_free(id.usage_id);
    id.usage_id = NULL;
    restart(f);
    {
        VimgBuffer *value = get_value(f, U1, TRUE, &error);

        g_assert_no_error(error);
        g_assert_cmpmem(value->data, value->size, large, 65536);
        vimg_secret_value_free(value);
    }
}

static void
test_lookup(Fixture *f, gconstpointer data)
{
    g_auto(VimgSecretId) by_uuid = {0};
    g_auto(VimgSecretId) by_usage = {0};
    g_auto(VimgSecretId) none = {0};
    guint8 raw[VIMG_UUID_SIZE];
    GError *error = NULL;

    must_define(f, U1, "a", "");
    vimg_uuid_parse(U1, raw);
    g_assert_true(vimg_secrets_by_uuid(f->secrets, raw, &by_uuid, &error));
    g_assert_cmpstr(by_uuid.usage_id, ==, "a");
    g_assert_cmpint(by_uuid.usage_type, ==, VIR_SECRET_USAGE_TYPE_CEPH);
    g_assert_true(
        vimg_secrets_by_usage(f->secrets, VIR_SECRET_USAGE_TYPE_CEPH, "a", &by_usage, &error));
    g_assert_cmpmem(by_usage.uuid, VIMG_UUID_SIZE, raw, VIMG_UUID_SIZE);
    g_assert_false(
        vimg_secrets_by_usage(f->secrets, VIR_SECRET_USAGE_TYPE_ISCSI, "a", &none, &error));
    assert_error(&error, VIMG_ERROR_NO_SECRET, "no secret with matching usage 'a'");
    vimg_uuid_parse(U2, raw);
    g_assert_false(vimg_secrets_by_uuid(f->secrets, raw, &none, &error));
    assert_error(&error, VIMG_ERROR_NO_SECRET, "no secret with matching uuid '" U2 "'");
    g_assert_false(
        vimg_secrets_by_usage(f->secrets, VIR_SECRET_USAGE_TYPE_NONE, "", &none, &error));
    assert_error(&error, VIMG_ERROR_NO_SECRET, "no secret with matching usage ''");
}

/* Any number of secrets may have no usage; none is found by it. */
static void
test_no_usage(Fixture *f, gconstpointer data)
{
    g_auto(VimgSecretId) first = {0};
    g_auto(VimgSecretId) second = {0};
    g_auto(VimgSecretId) found = {0};

    g_assert_true(vimg_secrets_define(f->secrets, "<secret/>", 0, &first, NULL));
    g_assert_true(vimg_secrets_define(f->secrets, "<secret/>", 0, &second, NULL));
    g_assert_cmpint(memcmp(first.uuid, second.uuid, VIMG_UUID_SIZE), !=, 0);
    restart(f);
    g_assert_cmpuint(count(f, 0), ==, 2);
    g_assert_false(vimg_secrets_by_usage(f->secrets, VIR_SECRET_USAGE_TYPE_NONE, "", &found, NULL));
}

static void
test_list(Fixture *f, gconstpointer data)
{
    static const struct {
        guint flags;
        guint expected;
    } rows[] = {
        {0, 3},
        {VIR_CONNECT_LIST_SECRETS_EPHEMERAL, 1},
        {VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL, 2},
        {VIR_CONNECT_LIST_SECRETS_EPHEMERAL | VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL, 3},
        {VIR_CONNECT_LIST_SECRETS_PRIVATE, 1},
        {VIR_CONNECT_LIST_SECRETS_NO_PRIVATE, 2},
        {VIR_CONNECT_LIST_SECRETS_EPHEMERAL | VIR_CONNECT_LIST_SECRETS_PRIVATE, 0},
        {VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL | VIR_CONNECT_LIST_SECRETS_NO_PRIVATE, 1},
    };
    gsize i;

    must_define(f, U1, "a", "");
    must_define(f, U2, "b", "ephemeral='yes'");
    must_define(f, U3, "c", "private='yes'");
    for (i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpuint(count(f, rows[i].flags), ==, rows[i].expected);
}

/* ---- files ------------------------------------------------------------------------------ */

static void
assert_mode(const char *path, mode_t mode)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, mode);
}

static void
test_files(Fixture *f, gconstpointer data)
{
    g_autofree char *definition = path_of(f, U1 ".xml");
    g_autofree char *value = path_of(f, U1 ".base64");
    g_autofree char *text = NULL;
    mode_t before = umask(0);

    must_define(f, U1, "a", "private='yes'");
    must_set_value(f, U1, "secret");
    umask(before);
    assert_mode(f->dir, 0700);
    assert_mode(definition, 0600);
    assert_mode(value, 0600);
    g_assert_true(g_file_get_contents(value, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "c2VjcmV0");
    restart(f);
    g_assert_cmpuint(count(f, VIR_CONNECT_LIST_SECRETS_PRIVATE), ==, 1);
    assert_value(f, U1, "secret");
    must_set_value(f, U1, "another");
    restart(f);
    assert_value(f, U1, "another");
    g_assert_true(undefine(f, U1, NULL));
    g_assert_false(exists(f, U1 ".xml"));
    g_assert_false(exists(f, U1 ".base64"));
    restart(f);
    g_assert_cmpuint(count(f, 0), ==, 0);
}

static void
test_wide_directory(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(chmod(f->dir, 0755), ==, 0);
    restart(f);
    assert_mode(f->dir, 0700);
}

static void
test_ephemeral(Fixture *f, gconstpointer data)
{
    must_define(f, U1, "a", "ephemeral='yes'");
    must_set_value(f, U1, "x");
    g_assert_false(exists(f, U1 ".xml"));
    g_assert_false(exists(f, U1 ".base64"));
    assert_value(f, U1, "x");
    must_define(f, U1, "a", "ephemeral='no'"); /* kept from now on, value and all */
    restart(f);
    assert_value(f, U1, "x");
    must_define(f, U1, "a", "ephemeral='yes'"); /* and forgotten again */
    g_assert_false(exists(f, U1 ".xml"));
    g_assert_false(exists(f, U1 ".base64"));
    assert_value(f, U1, "x");
    restart(f);
    g_assert_cmpuint(count(f, 0), ==, 0);
}

/* What a crash can leave, and what people put there; the good secret survives all of it. */
static void
test_leftovers(Fixture *f, gconstpointer data)
{
    g_autofree char *wrong_name = document(U2, "q", "");
    g_autofree char *ephemeral = document(U3, "e", "ephemeral='yes'");

    must_define(f, U1, "a", "");
    must_set_value(f, U1, "good");
    put(f, U2 ".base64", "b3JwaGFu");          /* undefined, and then killed */
    put(f, U1 ".base64.0f0f.new", "aGFsZg=="); /* killed while it was written */
    put(f, U1 ".xml.0f0f.new", "<secret");
    put(f, "12345678-1234-4234-8234-123456789012.xml", wrong_name);
    put(f, "notes.txt", "by hand");
    put(f, U3 ".xml", ephemeral);
    put(f, "44444444-4444-4444-8444-444444444444.xml", "<secret");
    restart(f);
    g_assert_cmpuint(count(f, 0), ==, 1);
    assert_value(f, U1, "good");
    g_assert_false(exists(f, U2 ".base64"));
    g_assert_false(exists(f, U1 ".base64.0f0f.new"));
    g_assert_false(exists(f, U1 ".xml.0f0f.new"));
    g_assert_true(exists(f, "notes.txt"));
    g_assert_true(exists(f, "12345678-1234-4234-8234-123456789012.xml"));
}

static const char *const bad_values[] = {
    "", "\n", "no base64!", "=", "====", "c2Vjcm", "c2Vj====", "c2V=jcmV", "c2VjcmV0\001",
};

static void
test_bad_values(Fixture *f, gconstpointer data)
{
    g_autofree char *large = g_strnfill(100000, 'A');
    gsize i;

    must_define(f, U1, "a", "");
    for (i = 0; i < G_N_ELEMENTS(bad_values); i++) {
        put(f, U1 ".base64", bad_values[i]);
        restart(f);
        g_assert_cmpuint(count(f, 0), ==, 1);
        assert_value(f, U1, NULL);
    }
    put(f, U1 ".base64", large);
    restart(f);
    assert_value(f, U1, NULL);
    put(f, U1 ".base64", "c2VjcmV0\n"); /* an editor's line end */
    restart(f);
    assert_value(f, U1, "secret");
}

/* A change that cannot be written did not happen. */
static void
test_full_disk(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    must_define(f, U1, "a", "");
    must_set_value(f, U1, "old");
    must_define(f, U2, "b", "ephemeral='yes'");
    must_set_value(f, U2, "kept");
    remove_dir(f->dir);
    g_assert_true(g_file_set_contents(f->dir, "no directory", -1, NULL));
    g_assert_false(set_value(f, U1, "new", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_clear_error(&error);
    assert_value(f, U1, "old");
    g_assert_false(define(f, U3, "c", "", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_clear_error(&error);
    g_assert_cmpuint(count(f, 0), ==, 2);
    g_assert_false(define(f, U2, "b", "ephemeral='no'", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
    g_clear_error(&error);
    g_assert_cmpuint(count(f, VIR_CONNECT_LIST_SECRETS_EPHEMERAL), ==, 1);
    assert_value(f, U2, "kept");
    must_set_value(f, U2, "memory only"); /* needs no disk */
    assert_value(f, U2, "memory only");
}

static void
test_unusable_directory(Fixture *f, gconstpointer data)
{
    VimgSecrets *secrets;
    g_autoptr(GError) error = NULL;

    remove_dir(f->dir);
    g_assert_true(g_file_set_contents(f->dir, "no directory", -1, NULL));
    secrets = vimg_secrets_new(f->dir);
    g_assert_false(vimg_secrets_load(secrets, &error));
    g_assert_nonnull(error);
    vimg_secrets_free(secrets);
}

static void
test_xml(Fixture *f, gconstpointer data)
{
    guint8 raw[VIMG_UUID_SIZE];
    g_autofree char *xml = NULL;

    must_define(f, U1, "a", "private='yes'");
    must_set_value(f, U1, "hidden");
    vimg_uuid_parse(U1, raw);
    xml = vimg_secrets_xml(f->secrets, raw, NULL);
    g_assert_nonnull(strstr(xml, "<uuid>" U1 "</uuid>"));
    g_assert_nonnull(strstr(xml, "private='yes'"));
    g_assert_null(strstr(xml, "hidden"));
}

/* ---- wiping ----------------------------------------------------------------------------- */

/* A second reference keeps the memory, so that it can be looked at. */
static void
test_wiped(Fixture *f, gconstpointer data)
{
    static const guint8 zeros[6];
    VimgBuffer *value;
    g_autoptr(VimgBuffer) held = NULL;

    must_define(f, U1, "a", "");
    must_set_value(f, U1, "secret");
    value = get_value(f, U1, TRUE, NULL);
    held = vimg_buffer_ref(value);
    vimg_secret_value_free(value);
    g_assert_cmpmem(held->data, held->size, zeros, 6);
    assert_value(f, U1, "secret"); /* that was a copy */
    vimg_secret_value_free(NULL);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/secrets/rules", test_rules},
        {"/secrets/bad-input", test_bad_input},
        {"/secrets/lookup", test_lookup},
        {"/secrets/no-usage", test_no_usage},
        {"/secrets/list", test_list},
        {"/secrets/files", test_files},
        {"/secrets/wide-directory", test_wide_directory},
        {"/secrets/ephemeral", test_ephemeral},
        {"/secrets/leftovers", test_leftovers},
        {"/secrets/bad-values", test_bad_values},
        {"/secrets/full-disk", test_full_disk},
        {"/secrets/unusable-directory", test_unusable_directory},
        {"/secrets/xml", test_xml},
        {"/secrets/wiped", test_wiped},
    };
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].func, tear_down);
    return g_test_run();
}
