/*
 * test-record.c: what a client remembers, and whose records it believes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "cli/record.h"
#include "util/error.h"
#include "private-state.h"

#define UUID "6c1f0e52-7f0c-4a6e-9d0a-3f6a2b8c9d10"

static const guint64 numbers[] = {0, 7, G_MAXUINT64};

static gboolean
is_known(const char *path)
{
    guint64 read[G_N_ELEMENTS(numbers)];

    if (!vimg_record_read(path, read, G_N_ELEMENTS(read)))
        return FALSE;
    g_assert_cmpmem(read, sizeof(read), numbers, sizeof(numbers));
    return TRUE;
}

static char *
remembered(void)
{
    char *path = vimg_record_path("uploads", UUID, NULL);

    g_assert_true(vimg_record_write(path, numbers, G_N_ELEMENTS(numbers), NULL));
    g_assert_true(is_known(path));
    return path;
}

static void
test_record(void)
{
    g_autofree char *path = remembered();
    guint64 read[G_N_ELEMENTS(numbers) + 1];
    GStatBuf info;

    g_assert_cmpint(g_stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0600);
    g_assert_false(vimg_record_read(path, read, G_N_ELEMENTS(read)));
    g_assert_false(vimg_record_read(path, read, G_N_ELEMENTS(read) - 2));
    g_assert_true(vimg_record_remove(path, NULL));
    g_assert_false(is_known(path));
    g_assert_true(vimg_record_remove(path, NULL));
}

/* Somebody else may have written it. */
static void
test_not_private(void)
{
    g_autofree char *path = remembered();
    g_autofree char *other = g_strconcat(path, ".other", NULL);

    g_assert_cmpint(g_chmod(path, 0620), ==, 0);
    g_assert_false(is_known(path));
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
    g_assert_cmpint(link(path, other), ==, 0);
    g_assert_false(is_known(path));
    g_unlink(path);
    g_assert_true(is_known(other));
    g_assert_cmpint(symlink(other, path), ==, 0);
    g_assert_false(is_known(path));
}

static void
test_nonsense(void)
{
    static const char *const texts[] = {"",        "\n",     "0 7\n",   "0 7 8 9\n",
                                        "0 7 x\n", "0  7\n", "-1 0 7\n"};
    g_autofree char *path = remembered();

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_true(g_file_set_contents_full(path, texts[i], -1, G_FILE_SET_CONTENTS_CONSISTENT,
                                               0600, NULL));
        g_assert_false(is_known(path));
    }
    g_assert_null(vimg_record_path("uploads", "../../etc/passwd", NULL));
    g_assert_null(vimg_record_path("uploads", NULL, NULL));
}

/* Nothing can be written there, and nothing old is left to be believed. */
static void
test_no_place(void)
{
    g_autofree char *path = vimg_record_path("uploads", UUID, NULL);
    g_autofree char *below = g_build_filename("/dev/null", "uploads", UUID, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(vimg_record_remove(path, NULL));
    g_assert_true(vimg_record_write(below, numbers, G_N_ELEMENTS(numbers), NULL));
    g_assert_false(is_known(below));
    g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
    g_assert_false(vimg_record_write(path, numbers, G_N_ELEMENTS(numbers), &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
}

int
main(int argc, char **argv)
{
    char *state = private_state_enter();
    int result;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/numbers", test_record);
    g_test_add_func("/record/not-private", test_not_private);
    g_test_add_func("/record/nonsense", test_nonsense);
    g_test_add_func("/record/no-place", test_no_place);
    result = g_test_run();
    private_state_leave(state);
    return result;
}
