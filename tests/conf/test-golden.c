/*
 * test-golden.c: documents in, documents out
 *
 * Every tests/data/KIND/NAME.in.xml is validated, parsed and formatted; the result must be
 * NAME.out.xml, validate, and format to itself again.  VIMG_REGENERATE=1 writes NAME.out.xml
 * instead: read the difference before it is committed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "conf/pool-def.h"
#include "conf/schema.h"
#include "conf/secret-def.h"
#include "conf/volume-def.h"

typedef struct {
    const char *name;
    char *(*through)(const char *xml, GError **error); /* parse with validation, format */
} Kind;

typedef struct {
    const Kind *kind;
    char *in;
    char *out;
} Case;

static char *
pool_through(const char *xml, GError **error)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(xml, TRUE, error);
    g_autoptr(VimgPoolDef) copy = def ? vimg_pool_def_copy(def) : NULL;

    /* of a copy, so that a member forgotten there shows here */
    g_clear_pointer(&def, vimg_pool_def_free);
    return copy ? vimg_pool_def_format(copy, NULL) : NULL;
}

static char *
secret_through(const char *xml, GError **error)
{
    g_autoptr(VimgSecretDef) def = vimg_secret_def_parse(xml, TRUE, error);
    g_autoptr(VimgSecretDef) copy = def ? vimg_secret_def_copy(def) : NULL;

    g_clear_pointer(&def, vimg_secret_def_free);
    return copy ? vimg_secret_def_format(copy) : NULL;
}

/* What a backend would make of the wishes. */
static char *
volume_through(const char *xml, GError **error)
{
    g_autoptr(VimgVolumeDef) def = vimg_volume_def_parse(xml, TRUE, error);
    VimgPluginImage image = VIMG_PLUGIN_IMAGE_INIT;
    VimgVolumeView view = {
        .image = &image, .key = "imagestore:STORE/IMAGE", .path = "imagestore://images/x"};

    if (!def)
        return NULL;
    view.unique = 7;
    view.shared = 8;
    view.as_of = def->checksum ? 1767323046 : 0;
    image.uuid = (char *)"0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8c";
    image.name = def->name;
    image.generation = def->checksum ? (char *)"5d41402a-1" : NULL;
    image.format = def->format;
    image.state = def->checksum ? VIMG_IMAGE_ERROR : VIMG_IMAGE_SAVING;
    image.reason = (char *)"bits 'rot'";
    image.capacity = def->capacity;
    image.allocation = def->allocation;
    image.physical = 12345;
    image.position = 512;
    image.created = 1767323045;
    image.parent = def->parent;
    image.checksum_type = def->checksum_type;
    image.checksum = def->checksum;
    image.uploaded_format = def->checksum ? (char *)"vmdk" : NULL;
    image.uploaded_size = 9;
    image.os = def->os;
    image.arch = def->arch;
    image.description = def->description;
    image.machine = def->machine;
    return vimg_volume_format(&view);
}

static const Kind kinds[] = {
    {"pool", pool_through},
    {"secret", secret_through},
    {"volume", volume_through},
};

static char *
read_file(const char *path)
{
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static void
test_golden(gconstpointer data)
{
    const Case *c = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *in = read_file(c->in);
    g_autofree char *got = c->kind->through(in, &error);
    g_autofree char *wanted = NULL;
    g_autofree char *again = NULL;

    g_assert_no_error(error);
    if (g_getenv("VIMG_REGENERATE")) {
        g_file_set_contents(c->out, got, -1, &error);
        g_assert_no_error(error);
    }
    wanted = read_file(c->out);
    g_assert_cmpstr(got, ==, wanted);
    again = c->kind->through(got, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again, ==, got);
}

static void
free_case(gpointer data)
{
    Case *c = data;

    g_free(c->in);
    g_free(c->out);
    g_free(c);
}

static guint
add_kind(const Kind *kind)
{
    g_autofree char *dir = g_test_build_filename(G_TEST_DIST, "data", kind->name, NULL);
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *entry;
    guint n = 0;

    while (entries && (entry = g_dir_read_name(entries))) {
        g_autofree char *base = NULL;
        g_autofree char *path = NULL;
        Case *c;

        if (!g_str_has_suffix(entry, ".in.xml"))
            continue;
        base = g_strndup(entry, strlen(entry) - strlen(".in.xml"));
        path = g_strdup_printf("/golden/%s/%s", kind->name, base);
        c = g_new0(Case, 1);
        c->kind = kind;
        c->in = g_build_filename(dir, entry, NULL);
        c->out = g_strdup_printf("%s/%s.out.xml", dir, base);
        g_test_add_data_func_full(path, c, test_golden, free_case);
        n++;
    }
    return n;
}

int
main(int argc, char **argv)
{
    guint i;

    g_test_init(&argc, &argv, NULL);
    vimg_schema_set_dir(VIMG_SOURCEDIR "/xml");
    for (i = 0; i < G_N_ELEMENTS(kinds); i++)
        g_assert_cmpuint(add_kind(&kinds[i]), >, 0);
    return g_test_run();
}
