/*
 * test-names.c: names of pools and images, and mount paths
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "conf/pool-def.h"

static void
test_names(void)
{
    static const char *const good[] = {"a",    "...", ".hidden", "debian 12.qcow2",
                                       "图像", "-rf", "a\\b"};
    static const char *const bad[] = {
        "",         ".",     "..",   "a/b",          "/",           "a\n", "a\tb", "\x7f",
        "\xc2\x85", "a\xff", "\xc3", "\xe2\x80\xa8", "\xef\xbf\xbf"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(vimg_name_check("volume", good[i], &error));
        g_assert_no_error(error);
        g_assert_true(vimg_name_check_argument("volume", good[i], NULL));
    }
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(vimg_name_check("volume", bad[i], &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_clear_error(&error);
        g_assert_false(vimg_name_check_argument("volume", bad[i], &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    }
}

static void
test_length(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *longest = g_strnfill(255, 'x');
    g_autofree char *over = g_strnfill(256, 'x');
    g_autofree char *wide = g_strconcat(longest, NULL);

    g_assert_true(vimg_name_check("volume", longest, NULL));
    g_assert_false(vimg_name_check("volume", over, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
    g_clear_error(&error);
    /* a pool's name and ".xml" are a file name */
    over[252] = '\0';
    g_assert_false(vimg_name_check("pool", over, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
    over[251] = '\0';
    g_assert_true(vimg_name_check("pool", over, NULL));
    /* bytes count, not characters */
    memcpy(wide + 250, "图", 3);
    wide[253] = '\0';
    g_assert_true(vimg_name_check("volume", wide, NULL));
}

typedef struct {
    char *dir;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    fixture->dir = g_dir_make_tmp(NULL, &error);
    g_assert_no_error(error);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const char *const links[] = {"proc",  "dangling", "inner", "chain",
                                        "loop1", "loop2",    "root",  "rel"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree char *path = g_build_filename(fixture->dir, links[i], NULL);

        g_unlink(path);
    }
    g_rmdir(fixture->dir);
    g_free(fixture->dir);
}

static void
make_link(const Fixture *fixture, const char *name, const char *target)
{
    g_autofree char *path = g_build_filename(fixture->dir, name, NULL);

    g_assert_cmpint(symlink(target, path), ==, 0);
}

/* @path with a leading '@' is below the scratch directory. */
static void
check_path(const Fixture *fixture, const char *path, int code)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *whole =
        *path == '@' ? g_strconcat(fixture->dir, path + 1, NULL) : g_strdup(path);
    gboolean ok = vimg_mount_path_check(whole, &error);

    g_test_message("%s", whole);
    if (code < 0) {
        g_assert_no_error(error);
        g_assert_true(ok);
    } else {
        g_assert_false(ok);
        g_assert_error(error, VIMG_ERROR, code);
    }
}

static void
test_mount(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    static const struct {
        const char *path;
        int code; /* -1: allowed */
    } paths[] = {
        {"", VIMG_ERROR_XML},
        {"relative", VIMG_ERROR_XML},
        {"./x", VIMG_ERROR_XML},
        {"/", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"//", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/.", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/srv/..", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/bin", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/usr/bin/", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/usr//bin", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/dev", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/dev/shm/x", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/proc/self/cwd", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/sys/fs", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/no-such-dir/../proc/x", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"/usr/../sys", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/proc", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/proc/new", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/dangling", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/dangling/below", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/inner/..", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/chain", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/rel", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/root", VIMG_ERROR_CONFIG_UNSUPPORTED},
        {"@/root/srv", -1},
        {"@/loop1", VIMG_ERROR_SYSTEM},
        {"@", -1},
        {"@/new/deep", -1},
        {"/device", -1},
        {"/procs/x", -1},
        {"/usr/bin/below", -1},
        {"/srv/images", -1},
    };
    g_autofree char *up = g_strconcat("../../../../../../../../", "proc", NULL);
    gsize i;

    make_link(fixture, "proc", "/proc");
    make_link(fixture, "dangling", "/proc/no-such-thing/x");
    make_link(fixture, "inner", "/sys/kernel");
    make_link(fixture, "chain", "proc");
    make_link(fixture, "rel", up);
    make_link(fixture, "root", "/");
    make_link(fixture, "loop1", "loop2");
    make_link(fixture, "loop2", "loop1");
    for (i = 0; i < G_N_ELEMENTS(paths); i++)
        check_path(fixture, paths[i].path, paths[i].code);
}

static void
test_mount_long(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *path = g_strnfill(5000, 'x');

    *path = '/';
    check_path(fixture, path, VIMG_ERROR_XML);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/names/check", test_names);
    g_test_add_func("/names/length", test_length);
    g_test_add("/names/mount", Fixture, NULL, set_up, test_mount, tear_down);
    g_test_add("/names/mount-long", Fixture, NULL, set_up, test_mount_long, tear_down);
    return g_test_run();
}
