/*
 * test-volume-def.c: volume documents, and sizes with units
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/volume-def.h"

#define VOLUME(content)                                                                            \
    "<volume xmlns:image='urn:virtimage:volume:1'><name>a</name>" content "</volume>"
#define INFO(content) VOLUME("<image:info>" content "</image:info>")

static const struct {
    const char *path;
    const char *xml;
    int code;            /* -1: it is fine */
    const char *message; /* NULL: not looked at */
} cases[] = {
    {"minimal", VOLUME(""), -1, NULL},
    {"not-xml", "<volume", VIMG_ERROR_XML_DETAIL,
     "(storage_volume_definition):1: Couldn't find end of Start Tag volume line 1\n<volume\n"
     "-------^"},
    {"root", "<foo/>", VIMG_ERROR_XML, "expecting root element of 'volume', not 'foo'"},
    {"name-missing", "<volume/>", VIMG_ERROR_XML, "missing volume name element"},
    {"name-slash", "<volume><name>a/b</name></volume>", VIMG_ERROR_XML,
     "name a/b cannot contain '/'"},
    {"name-dot", "<volume><name>.</name></volume>", VIMG_ERROR_XML,
     "volume name '.' is not allowed"},
    {"type", "<volume type='zz'><name>a</name></volume>", VIMG_ERROR_CONFIG_UNSUPPORTED,
     "unknown volume type 'zz'"},
    {"capacity-empty", VOLUME("<capacity/>"), -1, NULL},
    {"capacity-negative", VOLUME("<capacity>-1</capacity>"), VIMG_ERROR_XML,
     "malformed capacity element"},
    {"capacity-blank", VOLUME("<capacity> 1 </capacity>"), VIMG_ERROR_XML,
     "malformed capacity element"},
    {"capacity-unit", VOLUME("<capacity unit='foo'>1</capacity>"), VIMG_ERROR_INVALID_ARG,
     "unknown suffix 'foo'"},
    {"capacity-large", VOLUME("<capacity unit='E'>999</capacity>"), VIMG_ERROR_XML,
     "value too large: 999E"},
    {"allocation", VOLUME("<allocation>x</allocation>"), VIMG_ERROR_XML,
     "malformed capacity element"},
    {"format", VOLUME("<target><format type='zz'/></target>"), VIMG_ERROR_CONFIG_UNSUPPORTED,
     "unknown volume format type zz"},
    {"encryption", VOLUME("<target><encryption format='luks'/></target>"),
     VIMG_ERROR_CONFIG_UNSUPPORTED, "storage pool does not support encrypted volumes"},
    {"backing-empty", VOLUME("<backingStore/>"), -1, NULL},
    {"foreign-ignored", VOLUME("<bad/><target><bad/></target>"), -1, NULL},
    {"ours-in-volume", VOLUME("<image:bad/>"), VIMG_ERROR_XML,
     "unknown element 'bad' in element 'volume'"},
    {"ours-in-target", VOLUME("<target><image:bad/></target>"), VIMG_ERROR_XML, NULL},
    {"ours-in-info", INFO("<image:bad/>"), VIMG_ERROR_XML,
     "unknown element 'bad' in element 'info'"},
    {"info-twice", VOLUME("<image:info/><image:info/>"), VIMG_ERROR_XML, NULL},
    {"read-only-ignored", INFO("<image:state>x</image:state><image:uuid>x</image:uuid>"), -1, NULL},
    {"parent", INFO("<image:parent>x</image:parent>"), VIMG_ERROR_XML, "malformed parent element"},
    {"machine", INFO("<image:machine disk='vda'/>"), VIMG_ERROR_XML, "malformed machine element"},
    {"machine-disk", INFO("<image:machine uuid='4b0a2f3e-8f8b-4a86-a6c6-0ffb2d6f0d11'/>"),
     VIMG_ERROR_XML, "malformed machine element"},
    {"machine-part",
     INFO("<image:machine uuid='4b0a2f3e-8f8b-4a86-a6c6-0ffb2d6f0d11' disk='a/b'/>"),
     VIMG_ERROR_XML, "malformed machine element"},
    {"flatten", INFO("<image:flatten>maybe</image:flatten>"), VIMG_ERROR_XML,
     "malformed flatten element"},
    {"checksum-type", INFO("<image:checksum type='md5'>00</image:checksum>"),
     VIMG_ERROR_CONFIG_UNSUPPORTED, "unknown checksum type 'md5'"},
    {"checksum-short", INFO("<image:checksum type='sha256'>00</image:checksum>"), VIMG_ERROR_XML,
     "malformed checksum element"},
    {"checksum-not-hex",
     INFO("<image:checksum type='sha256'>"
          "zz00000000000000000000000000000000000000000000000000000000000000</image:checksum>"),
     VIMG_ERROR_XML, "malformed checksum element"},
    {"os-control", INFO("<image:os>a&#10;b</image:os>"), VIMG_ERROR_XML, NULL},
};

static void
test_parse(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgVolumeDef) def = vimg_volume_def_parse(cases[i].xml, FALSE, &error);

    if (cases[i].code < 0) {
        g_assert_no_error(error);
        g_assert_cmpstr(def->name, ==, "a");
        return;
    }
    g_assert_null(def);
    g_assert_error(error, VIMG_ERROR, cases[i].code);
    if (cases[i].message)
        g_assert_cmpstr(error->message, ==, cases[i].message);
}

static void
test_fields(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgVolumeDef) def = vimg_volume_def_parse(
        VOLUME("<capacity unit='k'>2</capacity><target><format type='iso'/></target>"
               "<backingStore><path>p</path></backingStore><image:info><image:os>o</image:os>"
               "<image:description> d </image:description></image:info>"),
        FALSE, &error);

    g_assert_no_error(error);
    g_assert_true(def->has_capacity);
    g_assert_cmpuint(def->capacity, ==, 2048);
    g_assert_false(def->has_allocation);
    g_assert_cmpuint(def->allocation, ==, 0);
    g_assert_cmpstr(def->format, ==, "iso");
    g_assert_cmpstr(def->backing_path, ==, "p");
    g_assert_cmpstr(def->os, ==, "o");
    g_assert_cmpstr(def->description, ==, "d");
    g_assert_null(def->arch);
    g_assert_null(def->parent);
    g_assert_null(def->checksum);
}

#define FAILS G_MAXUINT64

static const struct {
    const char *text;
    const char *unit;
    guint64 bytes; /* or FAILS */
    int code;
} sizes[] = {
    {"0", NULL, 0, 0},
    {"7", "", 7, 0},
    {"7", "b", 7, 0},
    {"7", "BYTES", 7, 0},
    {"7", "byte", 7, 0},
    {"1", "k", 1024, 0},
    {"1", "KiB", 1024, 0},
    {"1", "kb", 1000, 0},
    {"1", "M", G_GUINT64_CONSTANT(1) << 20, 0},
    {"1", "MB", 1000000, 0},
    {"1", "gib", G_GUINT64_CONSTANT(1) << 30, 0},
    {"1", "T", G_GUINT64_CONSTANT(1) << 40, 0},
    {"1", "PiB", G_GUINT64_CONSTANT(1) << 50, 0},
    {"7", "E", G_GUINT64_CONSTANT(7) << 60, 0},
    {"9", "EB", G_GUINT64_CONSTANT(9000000000000000000), 0},
    {"9223372036854775807", NULL, G_MAXINT64, 0},
    {"9223372036854775808", NULL, FAILS, VIMG_ERROR_XML},
    {"8", "E", FAILS, VIMG_ERROR_XML},
    {"10", "EB", FAILS, VIMG_ERROR_XML},
    {"18446744073709551616", NULL, FAILS, VIMG_ERROR_XML},
    {"", NULL, FAILS, VIMG_ERROR_XML},
    {"-1", NULL, FAILS, VIMG_ERROR_XML},
    {"+1", NULL, FAILS, VIMG_ERROR_XML},
    {"0x10", NULL, FAILS, VIMG_ERROR_XML},
    {"1.5", "G", FAILS, VIMG_ERROR_XML},
    {"1", "Z", FAILS, VIMG_ERROR_INVALID_ARG},
    {"1", "kk", FAILS, VIMG_ERROR_INVALID_ARG},
    {"1", "i", FAILS, VIMG_ERROR_INVALID_ARG},
    {"1", "kibb", FAILS, VIMG_ERROR_INVALID_ARG},
};

static void
test_units(void)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GError) error = NULL;
        guint64 bytes = 42;
        gboolean ok = vimg_size_parse(sizes[i].text, sizes[i].unit, &bytes, &error);

        g_test_message("%s %s", sizes[i].text, sizes[i].unit ? sizes[i].unit : "");
        if (sizes[i].bytes == FAILS) {
            g_assert_false(ok);
            g_assert_error(error, VIMG_ERROR, sizes[i].code);
            g_assert_cmpuint(bytes, ==, 42);
        } else {
            g_assert_no_error(error);
            g_assert_cmpuint(bytes, ==, sizes[i].bytes);
        }
    }
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/volume-def/parse/", cases[i].path, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_parse);
    }
    g_test_add_func("/volume-def/fields", test_fields);
    g_test_add_func("/volume-def/units", test_units);
    return g_test_run();
}
