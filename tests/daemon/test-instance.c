/*
 * test-instance.c: one daemon for one set of directories
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "dir-fixture.h"
#include "daemon/instance.h"
#include "util/error.h"

static void
test_life(DirFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autofree char *expected = g_strdup_printf("%d\n", (int)getpid());
    VimgInstance *instance = vimg_instance_new(f->path, &error);

    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(f->path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, expected);
    vimg_instance_free(instance);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
}

static void
test_second(DirFixture *f, gconstpointer data)
{
    g_autoptr(VimgInstance) first = vimg_instance_new(f->path, NULL);
    g_autoptr(VimgInstance) second = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *pid = g_strdup_printf("(process %d)", (int)getpid());

    g_assert_nonnull(first);
    second = vimg_instance_new(f->path, &error);
    g_assert_null(second);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID);
    g_assert_nonnull(strstr(error->message, pid));
    g_assert_true(g_file_test(f->path, G_FILE_TEST_EXISTS));
}

/* The file of one that was killed stays, longer than ours will be, and is no obstacle. */
static void
test_left_behind(DirFixture *f, gconstpointer data)
{
    g_autoptr(VimgInstance) instance = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autofree char *expected = g_strdup_printf("%d\n", (int)getpid());

    g_assert_true(g_file_set_contents(f->path, "123456789012345678901234567890\n", -1, NULL));
    instance = vimg_instance_new(f->path, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(f->path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, expected);
}

/* A lock that was inherited by nobody: it ends with its process, whatever way that ends. */
static void
test_killed(DirFixture *f, gconstpointer data)
{
    g_autoptr(VimgInstance) instance = NULL;
    g_autoptr(GError) error = NULL;
    int status;
    pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0)
        _exit(vimg_instance_new(f->path, NULL) ? 0 : 1);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_file_test(f->path, G_FILE_TEST_EXISTS));
    instance = vimg_instance_new(f->path, &error);
    g_assert_no_error(error);
}

static void
test_no_directory(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_instance_new("/nonexistent/directory/pid", &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_SYSTEM);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir_fixture_add("/instance/life", NULL, test_life);
    dir_fixture_add("/instance/second", NULL, test_second);
    dir_fixture_add("/instance/left-behind", NULL, test_left_behind);
    dir_fixture_add("/instance/killed", NULL, test_killed);
    g_test_add_func("/instance/no-directory", test_no_directory);
    return g_test_run();
}
