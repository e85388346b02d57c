/*
 * test-schema.c: what the schemas let through and what they do not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/pool-def.h"
#include "conf/schema.h"
#include "conf/secret-def.h"
#include "conf/volume-def.h"
#include "conf/xml.h"
#include "util/thread.h"

static const struct {
    const char *name;
    const char *schema;
    const char *root;
    const char *xml;
    gboolean valid;
} cases[] = {
    {"define-as-everything", "pool", "pool",
     "<pool type='imagestore'>\n  <name>nm</name>\n  <source>\n    <host name='[::1]:22, h'/>\n"
     "    <dir path='/p'/>\n    <device path='/d'/>\n    <auth type='ssh' username='u'>\n"
     "      <secret usage='s'/>\n    </auth>\n    <name>n</name>\n  </source>\n  <target>\n"
     "    <path>/t</path>\n  </target>\n</pool>\n",
     TRUE},
    {"define-as-little", "pool", "pool",
     "<pool type='imagestore'>\n  <name>nm</name>\n  <target>\n    <path>/t</path>\n  </target>\n"
     "</pool>\n",
     TRUE},
    {"pool-unknown", "pool", "pool", "<pool type='x'><name>a</name><bad/></pool>", FALSE},
    {"pool-attribute", "pool", "pool", "<pool type='x' bad='1'><name>a</name></pool>", FALSE},
    {"pool-relative", "pool", "pool",
     "<pool type='x'><name>a</name><target><path>t</path></target></pool>", FALSE},
    {"pool-adapter", "pool", "pool",
     "<pool type='x'><name>a</name><source><adapter name='x'/></source></pool>", FALSE},
    {"pool-zone", "pool", "pool",
     "<pool type='x' xmlns:i='urn:virtimage:pool:1'><name>a</name><i:options><i:zone nam='z'/>"
     "</i:options></pool>",
     FALSE},
    {"pool-options-foreign", "pool", "pool",
     "<pool type='x' xmlns:i='urn:virtimage:pool:1'><name>a</name><i:options><slice/>"
     "</i:options></pool>",
     FALSE},
    {"pool-backend", "pool", "pool",
     "<pool type='x' xmlns:i='urn:virtimage:pool:1'><name>a</name><i:options><i:any a='1' b='2'>t"
     "<i:x/><y c='3'>z</y></i:any><i:any/></i:options></pool>",
     TRUE},
    {"pool-backend-foreign", "pool", "pool",
     "<pool type='x' xmlns:i='urn:virtimage:pool:1'><name>a</name><i:options><i:any>"
     "<z:x xmlns:z='urn:z'/></i:any></i:options></pool>",
     FALSE},
    {"create-as", "volume", "volume",
     "<volume>\n  <name>nm</name>\n  <capacity>10737418240</capacity>\n"
     "  <allocation>5</allocation>\n  <target>\n    <format type='qcow2'/>\n  </target>\n"
     "  <backingStore>\n    <path>imagestore://a/b</path>\n    <format type='qcow2'/>\n"
     "  </backingStore>\n</volume>\n",
     TRUE},
    {"volume-unknown", "volume", "volume", "<volume><name>a</name><bad/></volume>", FALSE},
    {"volume-encrypted", "volume", "volume",
     "<volume><name>a</name><target><encryption format='luks'/></target></volume>", FALSE},
    {"volume-unit", "volume", "volume",
     "<volume><name>a</name><capacity unit='foo'>1</capacity></volume>", FALSE},
    {"volume-checksum", "volume", "volume",
     "<volume xmlns:i='urn:virtimage:volume:1'><name>a</name><i:info><i:checksum type='sha512'>00"
     "</i:checksum></i:info></volume>",
     FALSE},
    {"secret-usage", "secret", "secret", "<secret><usage type='ssh'/></secret>", FALSE},
    {"secret-element", "secret", "secret",
     "<secret><usage type='ceph'><target>a</target></usage></secret>", FALSE},
    {"capabilities", "capabilities", "capabilities",
     "<capabilities>\n\n  <host>\n    <uuid>0c8a1fd1-ad8b-4df2-9a0b-71d2ef76cd8c</uuid>\n    <cpu>\n"
     "      <arch>x86_64</arch>\n"
     "      <topology sockets='1' dies='1' cores='2' threads='1'/>\n    </cpu>\n  </host>\n\n"
     "</capabilities>\n",
     TRUE},
    {"capabilities-empty", "capabilities", "capabilities", "<capabilities/>", FALSE},
    {"poolcaps", "poolcaps", "storagepoolCapabilities",
     "<storagepoolCapabilities xmlns:image='urn:virtimage:capabilities:1'>\n"
     "  <pool type='a' supported='yes'>\n    <volOptions>\n      <defaultFormat type='raw'/>\n"
     "      <enum name='targetFormatType'>\n        <value>raw</value>\n      </enum>\n"
     "    </volOptions>\n    <image:backend description='d'>\n"
     "      <image:source name='dir' required='yes'/>\n"
     "      <image:source name='auth' required='no' type='ssh'/>\n"
     "      <image:option element='slice' attribute='size' type='uint' min='1' max='2' "
     "default='1'/>\n"
     "      <image:option element='slice' attribute='kind' type='enum' values='a|b'/>\n"
     "      <image:option element='oss/auth' attribute='user' type='string'/>\n"
     "    </image:backend>\n  </pool>\n  <pool type='b' supported='no'>\n"
     "    <image:backend reason='no library'>\n    </image:backend>\n  </pool>\n"
     "</storagepoolCapabilities>\n",
     TRUE},
    {"poolcaps-range", "poolcaps", "storagepoolCapabilities",
     "<storagepoolCapabilities xmlns:image='urn:virtimage:capabilities:1'>"
     "<pool type='a' supported='yes'><image:backend><image:option element='a' attribute='b' "
     "type='bool' min='1' max='2'/></image:backend></pool></storagepoolCapabilities>",
     FALSE},
    {"sources", "sources", "sources",
     "<sources>\n  <source>\n    <host name='h' port='22'/>\n    <dir path='/p'/>\n  </source>\n"
     "  <source>\n    <dir path='/q'/>\n  </source>\n</sources>\n",
     TRUE},
    {"sources-name", "sources", "sources", "<sources><pool/></sources>", FALSE},
};

static void
test_case(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(xmlDoc) doc =
        vimg_xml_parse(cases[i].xml, "(test)", cases[i].root, cases[i].schema, &error);

    if (cases[i].valid) {
        g_assert_no_error(error);
        g_assert_nonnull(doc);
        return;
    }
    g_assert_null(doc);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML_SCHEMA);
    g_assert_true(g_str_has_prefix(error->message, "Unable to validate doc against "));
}

static gboolean
parse_pool(const char *xml, GError **error)
{
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(xml, TRUE, error);

    return def != NULL;
}

static gboolean
parse_volume(const char *xml, GError **error)
{
    g_autoptr(VimgVolumeDef) def = vimg_volume_def_parse(xml, TRUE, error);

    return def != NULL;
}

static gboolean
parse_secret(const char *xml, GError **error)
{
    g_autoptr(VimgSecretDef) def = vimg_secret_def_parse(xml, TRUE, error);

    return def != NULL;
}

static const struct {
    const char *prefix;
    gboolean (*parse)(const char *xml, GError **error);
} examples[] = {
    {"imagestore", parse_pool},
    {"pool", parse_pool},
    {"volume", parse_volume},
    {"secret", parse_secret},
};

/* Every XML file there, by the beginning of its name. */
static void
test_examples(void)
{
    g_autoptr(GDir) dir = g_dir_open(VIMG_SOURCEDIR "/examples", 0, NULL);
    const char *name;
    guint n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_build_filename(VIMG_SOURCEDIR, "examples", name, NULL);
        g_autofree char *xml = NULL;
        gsize i;

        if (!g_str_has_suffix(name, ".xml"))
            continue;
        g_test_message("%s", name);
        for (i = 0; i < G_N_ELEMENTS(examples); i++) {
            if (g_str_has_prefix(name, examples[i].prefix))
                break;
        }
        g_assert_cmpuint(i, <, G_N_ELEMENTS(examples));
        g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
        g_assert_true(examples[i].parse(xml, &error));
        g_assert_no_error(error);
        n++;
    }
    g_assert_cmpuint(n, >=, 6);
}

/* One schema, first read by all of them at once. */
static void
validate_often(gpointer data)
{
    guint *good = data;
    guint i;

    for (i = 0; i < 200; i++) {
        if (parse_pool("<pool type='x' xmlns:i='urn:virtimage:pool:1'><name>a</name><i:options>"
                       "<i:zone name='z'/><i:x a='1'/></i:options></pool>",
                       NULL) &&
            !parse_pool("<pool type='x'><name>a</name><bad/></pool>", NULL))
            ++*good;
    }
}

static void
test_threads(void)
{
    VimgThread threads[4];
    guint good[G_N_ELEMENTS(threads)] = {0};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_true(vimg_thread_start(&threads[i], "validate", validate_often, &good[i], NULL));
    for (i = 0; i < G_N_ELEMENTS(threads); i++) {
        vimg_thread_join(threads[i]);
        g_assert_cmpuint(good[i], ==, 200);
    }
}

/* Our own file missing is our fault, and said to be. */
static void
test_missing(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(xmlDoc) doc = NULL;

    if (g_test_subprocess()) {
        vimg_schema_set_dir("/no-such-dir");
        doc = vimg_xml_parse("<pool/>", "(test)", "pool", "pool", &error);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
        g_assert_nonnull(strstr(error->message, "/no-such-dir/pool.rng"));
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    vimg_schema_set_dir(VIMG_SOURCEDIR "/xml");
    g_test_add_func("/schema/threads", test_threads);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/schema/case/", cases[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_case);
    }
    g_test_add_func("/schema/examples", test_examples);
    g_test_add_func("/schema/missing", test_missing);
    return g_test_run();
}
