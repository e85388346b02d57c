/*
 * test-image.c: what is read of a daemon's <volume> documents
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/image.h"

#define INFO(text) "<volume><image:info><image:uuid>u</image:uuid>" text "</image:info></volume>"
#define STATE "<image:state>saving</image:state>"

static void
test_whole(void)
{
    g_autoptr(VimgImage) image = g_new0(VimgImage, 1);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_image_parse(
        image,
        "<volume type='network' xmlns:image='urn:virtimage:volume:1'>\n  <name>a&amp;b</name>\n"
        "  <physical unit='bytes'>123</physical>\n"
        "  <target><path>x</path><format type='qcow2'/></target>\n"
        "  <image:info><image:state reason='a &lt; b'>error</image:state>\n"
        "    <image:position unit='bytes'>77</image:position><image:uuid>u-1</image:uuid>\n"
        "    <image:generation>g-1</image:generation>\n"
        "    <image:created>2026-03-01T12:00:00Z</image:created>\n"
        "    <image:checksum type='sha256'>ab</image:checksum></image:info>\n</volume>\n",
        &error));
    g_assert_no_error(error);
    g_assert_cmpstr(image->state, ==, "error");
    g_assert_cmpstr(image->reason, ==, "a < b");
    g_assert_cmpstr(image->uuid, ==, "u-1");
    g_assert_cmpstr(image->generation, ==, "g-1");
    g_assert_cmpstr(image->format, ==, "qcow2");
    g_assert_cmpstr(image->checksum_type, ==, "sha256");
    g_assert_cmpstr(image->checksum, ==, "ab");
    g_assert_cmpuint(image->physical, ==, 123);
    g_assert_cmpuint(image->position, ==, 77);
    g_assert_cmpint(image->created, ==, 1772366400);
}

static const char *const bad[] = {
    "",
    "volume",
    "<volume>",
    "<volume/>",
    "<volume><image:info>" STATE "</image:info></volume>",
    INFO(""),
    INFO(STATE "<image:position>-1</image:position>"),
    INFO(STATE "<image:position>99999999999999999999</image:position>"),
    INFO(STATE "<image:position> 7</image:position>"),
    INFO(STATE "<image:created>yesterday</image:created>"),
    INFO(STATE "&other;"),
    INFO(STATE "\xff"),
    "<other>" INFO(STATE) "</other>",
};

static void
test_bad(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(VimgImage) image = g_new0(VimgImage, 1);
        g_autoptr(GError) error = NULL;

        if (vimg_image_parse(image, bad[i], &error))
            g_test_message("accepted: %s", bad[i]);
        g_assert_error(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN);
    }
}

/* However deep a document is, it is read in the time that its length takes. */
static void
test_deep(void)
{
    g_autoptr(VimgImage) image = g_new0(VimgImage, 1);
    g_autoptr(GString) xml = g_string_new(NULL);
    gint64 began = g_get_monotonic_time();

    while (xml->len < VIMG_REMOTE_STRING_MAX / 8)
        g_string_append(xml, "<a>");
    g_assert_false(vimg_image_parse(image, xml->str, NULL));
    g_assert_cmpint(g_get_monotonic_time() - began, <, 20 * G_USEC_PER_SEC);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/whole", test_whole);
    g_test_add_func("/image/bad", test_bad);
    g_test_add_func("/image/deep", test_deep);
    return g_test_run();
}
