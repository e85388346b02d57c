/*
 * test-inspect.c: first looks, and images of no common size
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "image-maker.h"
#include "image/inspect.h"

#define KIB 1024
#define MIB (1024 * 1024)
#define TIB (G_GUINT64_CONSTANT(1) << 40)

static void
test_sniff(void)
{
    static const struct {
        Maker make;
        const char *format;
    } rows[] = {
        {make_qcow2, "qcow2"}, {make_vmdk, "vmdk"}, {make_stream, "vmdk"}, {make_text, "vmdk"},
        {make_vdi, "vdi"},     {make_vpc, "vpc"},   {make_vhdx, "vhdx"},   {make_fixed, "raw"},
        {make_iso, "raw"},     {make_disk, "raw"},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(VimgInspector) inspector = vimg_inspector_new();
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        Image image = {bytes};

        g_assert_cmpstr(vimg_inspector_sniff(inspector), ==, "raw");
        rows[i].make(&image);
        vimg_inspector_feed(inspector, bytes->data, 3);
        g_assert_cmpstr(vimg_inspector_sniff(inspector), ==, "raw");
        vimg_inspector_feed(inspector, bytes->data + 3, MIN(bytes->len, VIMG_INSPECT_HEAD) - 3);
        g_assert_cmpstr(vimg_inspector_sniff(inspector), ==, rows[i].format);
        if (bytes->len > VIMG_INSPECT_HEAD)
            vimg_inspector_feed(inspector, bytes->data + VIMG_INSPECT_HEAD,
                                bytes->len - VIMG_INSPECT_HEAD);
        g_assert_cmpstr(vimg_inspector_sniff(inspector), ==, rows[i].format);
    }
}

/* What was found once is not looked for again. */
static void
test_sniff_found(void)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    VimgInspection found;
    Image image = {bytes};

    make_iso(&image);
    vimg_inspector_feed(inspector, bytes->data, bytes->len);
    g_assert_cmpstr(vimg_inspector_sniff(inspector), ==, "raw");
    g_assert_true(vimg_inspector_finish(inspector, NULL, &found, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(vimg_inspector_sniff(inspector), ==, "iso");
}

/* Holes of any size cost nothing, also where tables are. */
static void
test_holes(void)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    VimgInspection found;
    Image image = {bytes};

    make_qcow2(&image);
    image_number(&image, (Number){24, -8, 8 * TIB}); /* 4 Mi entries of L1, none of them there */
    image_number(&image, (Number){36, -4, 4 * MIB});
    vimg_inspector_feed(inspector, bytes->data, 12 * KIB);
    vimg_inspector_feed(inspector, NULL, 5);
    vimg_inspector_feed(inspector, NULL, G_MAXINT64 - 20 * KIB);
    g_assert_true(vimg_inspector_finish(inspector, NULL, &found, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(found.capacity, ==, 8 * TIB);
}

/* More than all is the most there can be. */
static void
test_endless(void)
{
    g_autoptr(VimgInspector) inspector = vimg_inspector_new();
    g_autoptr(GError) error = NULL;
    VimgInspection found;

    vimg_inspector_feed(inspector, NULL, G_MAXUINT64);
    vimg_inspector_feed(inspector, NULL, G_MAXUINT64);
    g_assert_true(vimg_inspector_finish(inspector, "raw", &found, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(found.capacity, ==, G_MAXINT64);
    vimg_inspector_free(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inspect/sniff", test_sniff);
    g_test_add_func("/inspect/sniff-found", test_sniff_found);
    g_test_add_func("/inspect/holes", test_holes);
    g_test_add_func("/inspect/endless", test_endless);
    return g_test_run();
}
