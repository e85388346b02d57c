/*
 * test-secret-def.c: secret documents that are refused
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/secret-def.h"

static const struct {
    const char *path;
    const char *xml;
    int code;
    const char *message; /* NULL: not looked at */
} cases[] = {
    {"not-xml", "<secret", VIMG_ERROR_XML_DETAIL, NULL},
    {"root", "<foo/>", VIMG_ERROR_XML, "expecting root element of 'secret', not 'foo'"},
    {"ephemeral", "<secret ephemeral='1'/>", VIMG_ERROR_XML, "invalid value of 'ephemeral'"},
    {"private", "<secret private=''/>", VIMG_ERROR_XML, "invalid value of 'private'"},
    {"uuid", "<secret><uuid>x</uuid></secret>", VIMG_ERROR_XML, "malformed uuid element"},
    {"usage", "<secret><usage/></secret>", VIMG_ERROR_XML, "unknown secret usage type"},
    {"usage-type", "<secret><usage type='ssh'/></secret>", VIMG_ERROR_XML,
     "unknown secret usage type ssh"},
    {"volume", "<secret><usage type='volume'/></secret>", VIMG_ERROR_XML,
     "volume usage specified, but volume path is missing"},
    {"ceph", "<secret><usage type='ceph'><target>a</target></usage></secret>", VIMG_ERROR_XML,
     "Ceph usage specified, but name is missing"},
    {"iscsi", "<secret><usage type='iscsi'><target/></usage></secret>", VIMG_ERROR_XML,
     "iSCSI usage specified, but target is missing"},
    {"tls", "<secret><usage type='tls'/></secret>", VIMG_ERROR_XML,
     "TLS usage specified, but name is missing"},
    {"vtpm", "<secret><usage type='vtpm'/></secret>", VIMG_ERROR_XML,
     "vTPM usage specified, but name is missing"},
    {"id-control", "<secret><usage type='tls'><name>a&#9;b</name></usage></secret>", VIMG_ERROR_XML,
     NULL},
    {"dtd", "<!DOCTYPE secret><secret/>", VIMG_ERROR_XML, NULL},
};

static void
test_bad(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSecretDef) def = vimg_secret_def_parse(cases[i].xml, FALSE, &error);

    g_assert_null(def);
    g_assert_error(error, VIMG_ERROR, cases[i].code);
    if (cases[i].message)
        g_assert_cmpstr(error->message, ==, cases[i].message);
}

static void
test_empty(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgSecretDef) one = vimg_secret_def_parse("<secret/>", FALSE, &error);
    g_autoptr(VimgSecretDef) two = vimg_secret_def_parse("<secret/>", FALSE, &error);

    g_assert_no_error(error);
    g_assert_false(one->has_uuid);
    g_assert_cmpint(memcmp(one->uuid, two->uuid, VIMG_UUID_SIZE), !=, 0);
    g_assert_false(one->ephemeral);
    g_assert_false(one->private_);
    g_assert_cmpint(one->usage_type, ==, 0);
    g_assert_cmpstr(one->usage_id, ==, "");
    g_assert_null(one->description);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/secret-def/bad/", cases[i].path, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_bad);
    }
    g_test_add_func("/secret-def/empty", test_empty);
    return g_test_run();
}
