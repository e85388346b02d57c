/*
 * test-error.c: the table of codes, errno, and the text a client sees
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <gio/gio.h>

#include "util/error.h"

/* A hole would read as code 0, which clients take for success. */
static void
test_table(void)
{
    int code;

    for (code = 0; code < VIMG_N_ERRORS; code++) {
        g_autoptr(GError) error = g_error_new_literal(VIMG_ERROR, code, "DETAIL");
        const VimgVirError *vir = vimg_error_to_vir(error);
        g_autofree char *text = vimg_error_text(error);
        const char *hole;

        g_test_message("%d", code);
        g_assert_cmpint(vir->code, >, 0);
        g_assert_cmpint(vir->domain, >=, 0);
        g_assert_nonnull(vir->form);
        hole = strstr(vir->form, "%s");
        g_assert_nonnull(hole);
        /* the only conversion there */
        g_assert_true(strchr(vir->form, '%') == hole);
        g_assert_null(strchr(hole + 1, '%'));
        g_assert_nonnull(strstr(text, "DETAIL"));
        g_assert_null(strstr(text, "%s"));
    }
}

/* libvirt's numbers; clients branch on them. */
static void
test_codes(void)
{
    static const struct {
        VimgErrorCode code;
        int vir;
        int domain;
    } codes[] = {
        {VIMG_ERROR_INTERNAL, 1, 0},    {VIMG_ERROR_NO_SUPPORT, 3, 0},
        {VIMG_ERROR_INVALID_ARG, 8, 0}, {VIMG_ERROR_FAILED, 9, 0},
        {VIMG_ERROR_XML, 27, 0},        {VIMG_ERROR_OPERATION_DENIED, 29, 0},
        {VIMG_ERROR_XML_DETAIL, 35, 0}, {VIMG_ERROR_SYSTEM, 38, 0},
        {VIMG_ERROR_NO_SPACE, 38, 38},  {VIMG_ERROR_RPC, 39, 7},
        {VIMG_ERROR_AUTH, 45, 0},       {VIMG_ERROR_NO_POOL, 49, 18},
        {VIMG_ERROR_NO_VOL, 50, 18},    {VIMG_ERROR_OPERATION_INVALID, 55, 0},
        {VIMG_ERROR_NO_SECRET, 66, 30}, {VIMG_ERROR_CONFIG_UNSUPPORTED, 67, 0},
        {VIMG_ERROR_BUSY, 87, 0},       {VIMG_ERROR_VOL_EXISTS, 90, 18},
        {VIMG_ERROR_XML_SCHEMA, 92, 0}, {VIMG_ERROR_RPC_STATE, 1, 7},
        {VIMG_ERROR_ABORTED, 78, 0},    {VIMG_ERROR_PROBE, 75, 0},
        {VIMG_ERROR_POOL_BUILT, 76, 0}, {VIMG_ERROR_ARGUMENT_UNSUPPORTED, 74, 0},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_autoptr(GError) error = g_error_new_literal(VIMG_ERROR, (int)codes[i].code, "");

        g_assert_cmpint(vimg_error_to_vir(error)->code, ==, codes[i].vir);
        g_assert_cmpint(vimg_error_to_vir(error)->domain, ==, codes[i].domain);
    }
}

/* Errors that are not of our domain, or pretend to be. */
static void
test_foreign(void)
{
    const struct {
        GQuark domain;
        int code;
        int vir;
    } errors[] = {
        {G_IO_ERROR, G_IO_ERROR_CANCELLED, 78},
        {G_IO_ERROR, G_IO_ERROR_FAILED, 38},
        {G_FILE_ERROR, G_FILE_ERROR_NOENT, 38},
        {G_MARKUP_ERROR, G_MARKUP_ERROR_PARSE, 1},
        {VIMG_ERROR, -1, 1},
        {VIMG_ERROR, VIMG_N_ERRORS, 1},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autoptr(GError) error = g_error_new_literal(errors[i].domain, errors[i].code, "x");

        g_assert_cmpint(vimg_error_to_vir(error)->code, ==, errors[i].vir);
    }
}

static void
test_text(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    g_assert_false(vimg_throw(&error, VIMG_ERROR_NO_POOL, "no storage pool with name '%s'", "%s"));
    text = vimg_error_text(error);
    g_assert_cmpstr(text, ==, "Storage pool not found: no storage pool with name '%s'");
    g_assert_false(vimg_throw(NULL, VIMG_ERROR_NO_POOL, "nobody asks"));
}

static void
test_errno(void)
{
    static const struct {
        int number;
        VimgErrorCode code;
    } numbers[] = {
        {ENOENT, VIMG_ERROR_SYSTEM},   {EACCES, VIMG_ERROR_SYSTEM},   {EIO, VIMG_ERROR_SYSTEM},
        {ENOSPC, VIMG_ERROR_NO_SPACE}, {EDQUOT, VIMG_ERROR_NO_SPACE},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *wanted = g_strdup_printf("cannot x 7: %s", g_strerror(numbers[i].number));

        errno = numbers[i].number;
        g_assert_false(vimg_throw_errno(&error, "cannot %s %d", "x", 7));
        g_assert_error(error, VIMG_ERROR, (int)numbers[i].code);
        g_assert_cmpstr(error->message, ==, wanted);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/table", test_table);
    g_test_add_func("/error/codes", test_codes);
    g_test_add_func("/error/foreign", test_foreign);
    g_test_add_func("/error/text", test_text);
    g_test_add_func("/error/errno", test_errno);
    return g_test_run();
}
