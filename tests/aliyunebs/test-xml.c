/*
 * test-xml.c: documents of an object storage, and those that are none
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "oss-xml.h"

#define BYTES(text) (const guint8 *)(text), strlen(text)

typedef struct {
    const char *path;
    const char *xml;
    gint entries; /* -1: refused */
} Page;

static const Page pages[] = {
    {"/xml/page/empty", "<ListBucketResult/>", 0},
    {"/xml/page/one",
     "<ListBucketResult><Contents><Key>k</Key><Size>1</Size></Contents></ListBucketResult>", 1},
    {"/xml/page/other-root", "<Other/>", -1},
    {"/xml/page/nothing", "", -1},
    {"/xml/page/cut", "<ListBucketResult>", -1},
    {"/xml/page/doctype", "<!DOCTYPE x><ListBucketResult/>", -1},
    {"/xml/page/entity",
     "<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult><Contents><Key>&a;</Key><Size>1</Size></Contents></ListBucketResult>",
     -1},
    {"/xml/page/no-size", "<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>",
     -1},
    {"/xml/page/negative",
     "<ListBucketResult><Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>", -1},
    {"/xml/page/no-key", "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
     -1},
    {"/xml/page/endless", "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
     -1},
    {"/xml/page/bad-escape",
     "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%zz</Key><Size>1</Size></Contents></ListBucketResult>",
     -1},
    {"/xml/page/nul-escape",
     "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%00b</Key><Size>1</Size></Contents></ListBucketResult>",
     -1},
    {"/xml/page/not-utf8",
     "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%ff</Key><Size>1</Size></Contents></ListBucketResult>",
     -1},
};

static void
test_page(gconstpointer data)
{
    const Page *c = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgOssPage) page = vimg_oss_xml_page(BYTES(c->xml), &error);

    if (c->entries < 0) {
        g_assert_null(page);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpint(page->entries->len, ==, c->entries);
}

static void
test_page_long(void)
{
    GString *text = g_string_new("<ListBucketResult>");
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;
    guint i;

    for (i = 0; i <= VIMG_OSS_PAGE_MAX; i++)
        g_string_append(text, "<Contents><Key>k</Key><Size>1</Size></Contents>");
    g_string_append(text, "</ListBucketResult>");
    xml = g_string_free(text, FALSE);
    g_assert_null(vimg_oss_xml_page(BYTES(xml), &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
}

static void
test_fault(void)
{
    g_auto(VimgOssFault) fault = {0};
    g_auto(VimgOssFault) none = {0};
    g_autofree char *filler = g_strnfill(5000, 'x');
    g_autofree char *xml =
        g_strdup_printf("<Error><Code>NoSuchKey</Code><Message>a\n\tb%s</Message></Error>", filler);

    g_assert_true(vimg_oss_xml_fault(BYTES(xml), &fault));
    g_assert_cmpstr(fault.code, ==, "NoSuchKey");
    g_assert_true(g_str_has_prefix(fault.message, "a  bxx"));
    g_assert_cmpuint(strlen(fault.message), ==, 512);
    g_assert_null(fault.request_id);
    g_assert_false(vimg_oss_xml_fault(BYTES("<html>no</html>"), &none));
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(pages); i++)
        g_test_add_data_func(pages[i].path, &pages[i], test_page);
    g_test_add_func("/xml/page/long", test_page_long);
    g_test_add_func("/xml/fault", test_fault);
    return g_test_run();
}
