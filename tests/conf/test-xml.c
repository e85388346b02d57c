/*
 * test-xml.c: documents made to hurt, and the writer
 *
 * Those that would take libxml2 minutes have no limit of time here beyond the test runner's, which
 * they would exceed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/pool-def.h"
#include "conf/xml.h"

static void
check(const char *xml, int code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(xml, FALSE, &error);

    g_assert_null(def);
    g_assert_error(error, VIMG_ERROR, code);
    /* never the whole document back at the client */
    g_assert_cmpuint(strlen(error->message), <, 1024);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

/* @before, @piece as often as the largest document takes it, @after. */
static char *
fill(const char *before, const char *piece, const char *after)
{
    GString *xml = g_string_sized_new(VIMG_XML_MAX + 1);

    g_string_append(xml, before);
    while (xml->len + strlen(piece) + strlen(after) <= VIMG_XML_MAX)
        g_string_append(xml, piece);
    g_string_append(xml, after);
    return g_string_free(xml, FALSE);
}

static void
test_entities(void)
{
    check("<!DOCTYPE pool [<!ENTITY a 'x'>]><pool type='x'><name>&a;</name></pool>",
          VIMG_ERROR_XML);
    check("<!DOCTYPE pool [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
          "<pool type='x'><name>&a;</name></pool>",
          VIMG_ERROR_XML);
    check("<!DOCTYPE pool SYSTEM 'http://127.0.0.1:1/x.dtd'><pool type='x'><name>a</name></pool>",
          VIMG_ERROR_XML);
    check("<!DOCTYPE pool [<!ENTITY a0 'ha'><!ENTITY a1 '&a0;&a0;&a0;&a0;&a0;&a0;&a0;&a0;'>"
          "<!ENTITY a2 '&a1;&a1;&a1;&a1;&a1;&a1;&a1;&a1;'><!ENTITY % p '%p;%p;'>%p;]>"
          "<pool type='&a2;'><name>&a2;</name></pool>",
          VIMG_ERROR_XML);
    check("<pool type='x'><name>&undefined;</name></pool>", VIMG_ERROR_XML_DETAIL);
}

static void
test_depth(void)
{
    static const guint depths[] = {200, 300, 100000};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(depths); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgPoolDef) def = NULL;
        g_autoptr(GString) xml = g_string_new("<pool type='x' xmlns:i='urn:virtimage:pool:1'>"
                                              "<name>a</name><i:options>");
        guint n;

        for (n = 0; n < depths[i]; n++)
            g_string_append(xml, "<x>");
        for (n = 0; n < depths[i]; n++)
            g_string_append(xml, "</x>");
        g_string_append(xml, "</i:options></pool>");
        def = vimg_pool_def_parse(xml->str, FALSE, &error);
        if (i == 0)
            g_assert_no_error(error);
        else
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML_DETAIL);
    }
}

static void
test_size(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *fits = fill("<pool type='x'><name>a</name><!--", "x", "--></pool>");
    g_autofree char *over = g_strconcat(fits, "\n", NULL);
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(fits, FALSE, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(def->name, ==, "a");
    g_assert_cmpuint(strlen(fits), ==, VIMG_XML_MAX);
    check(over, VIMG_ERROR_XML_DETAIL);
}

static const struct {
    const char *name;
    const char *before;
    const char *piece;
    const char *after;
} slow[] = {
    {"comments", "<pool>", "<!--", "</pool>"},
    {"comments-in-value", "<pool><a b=\"", "<!--", "\"/></pool>"},
    {"comments-in-instruction", "<pool><?1 ", "<!--", "?></pool>"},
    {"comments-in-cdata", "<pool><![CDATA[\x01", "<!--", "]]></pool>"},
    {"tags", "<pool>", "<a b", "</pool>"},
    {"quotes", "<pool>", "<a='", "</pool>"},
    {"ampersands", "<pool>", "&", "</pool>"},
    {"references", "<pool>", "&#0;", "</pool>"},
    {"prefixes", "<pool>", "<a:b/>", "</pool>"},
    {"ends", "<pool>", "</a>", "</pool>"},
    {"elements", "<pool type='x' xmlns:i='urn:virtimage:pool:1'><name>a</name><i:options>",
     "<i:b/>", "</i:options></pool>"},
};

static void
test_slow(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autofree char *xml = fill(slow[i].before, slow[i].piece, slow[i].after);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(xml, FALSE, &error);

    g_assert_null(def);
    g_assert_nonnull(error);
    g_assert_cmpuint(strlen(error->message), <, 1024);
}

static void
test_attributes(void)
{
    guint more;

    for (more = 0; more < 2; more++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VimgPoolDef) def = NULL;
        g_autoptr(GString) xml = g_string_new("<pool type='x' s='a = b'");
        guint i;

        for (i = 2; i < VIMG_XML_ATTRIBUTES_MAX + more; i++)
            g_string_append_printf(xml, " a%u='='", i);
        g_string_append(xml, "><name>a</name></pool>");
        def = vimg_pool_def_parse(xml->str, FALSE, &error);
        if (more)
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML_DETAIL);
        else
            g_assert_no_error(error);
    }
}

static void
test_bytes(void)
{
    check("<pool type='x'><name>\xff</name></pool>", VIMG_ERROR_XML_DETAIL);
    check("<pool type='x'><name>\x01</name></pool>", VIMG_ERROR_XML_DETAIL);
    check("<pool type='x'><name>\xef\xbf\xbf</name></pool>", VIMG_ERROR_XML_DETAIL);
    check("<pool type='x'><name>a</name></pool>trailing", VIMG_ERROR_XML_DETAIL);
    check("\xff\xfe<", VIMG_ERROR_XML_DETAIL);
    check("<pool type='\xe5\x9b\xbe", VIMG_ERROR_XML_DETAIL);
}

/* What stock takes and we must, around and in a document. */
static void
test_harmless(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgPoolDef) def = vimg_pool_def_parse(
        "<?xml version='1.0' encoding='gbk'?><!-- <a b=\" -->\n<?note x='>'?><pool type='x' "
        "a='>'><![CDATA[<!-- -- ]]><name>a<!-- no -->b<![CDATA[<c>]]>&#x56fe;</name></pool>\n",
        FALSE, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(def->name, ==, "ab<c>\xe5\x9b\xbe");
}

static void
test_write(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    vimg_xml_add_element(out, 1, "a", "<&>'\"\r\n\t\x01\xff");
    vimg_xml_add_element(out, 1, "absent", NULL);
    vimg_xml_add_attribute(out, "b", "<\r\n\t'\xef\xbf\xbe");
    vimg_xml_add_bytes(out, 0, "c", G_MAXUINT64);
    g_assert_cmpstr(out->str, ==,
                    "  <a>&lt;&amp;&gt;&apos;&quot;&#13;\n\t?\xef\xbf\xbd</a>\n"
                    " b='&lt;&#13;&#10;&#9;&apos;?'"
                    "<c unit='bytes'>18446744073709551615</c>\n");
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/entities", test_entities);
    g_test_add_func("/xml/depth", test_depth);
    g_test_add_func("/xml/size", test_size);
    g_test_add_func("/xml/attributes", test_attributes);
    g_test_add_func("/xml/bytes", test_bytes);
    g_test_add_func("/xml/harmless", test_harmless);
    g_test_add_func("/xml/write", test_write);
    for (i = 0; i < G_N_ELEMENTS(slow); i++) {
        g_autofree char *path = g_strconcat("/xml/slow/", slow[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_slow);
    }
    return g_test_run();
}
