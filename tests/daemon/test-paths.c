/*
 * test-paths.c: what an option says, relative or not, and what is made
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "daemon/paths.h"

static guint
mode_of(const char *path)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_true(S_ISDIR(st.st_mode));
    return st.st_mode & 07777;
}

static void
test_defaults(void)
{
    const VimgPathOptions none = {0};
    g_autoptr(VimgPaths) paths = vimg_paths_new(&none);
    g_autofree char *live = g_build_filename(paths->run_dir, "image", NULL);

    g_assert_cmpint(paths->privileged, ==, geteuid() == 0);
    g_assert_false(paths->config_named);
    g_assert_cmpstr(paths->live_dir, ==, live);
    /* this program lies in the build tree */
    g_assert_cmpstr(paths->plugin_dir, ==, VIMG_BUILDDIR "/plugin");
    g_assert_cmpstr(paths->schema_dir, ==, VIMG_SOURCEDIR "/xml");
    if (paths->privileged) {
        g_assert_cmpstr(paths->run_dir, ==, VIMG_RUNDIR "/libvirt");
        g_assert_cmpstr(paths->config_dir, ==, VIMG_SYSCONFDIR "/libvirt/image");
        g_assert_cmpstr(paths->state_dir, ==, VIMG_LOCALSTATEDIR "/lib/libvirt/image");
        g_assert_cmpstr(paths->config_file, ==, VIMG_SYSCONFDIR "/libvirt/virtimaged.conf");
    } else {
        g_assert_true(g_str_has_prefix(paths->run_dir, g_get_user_runtime_dir()));
        g_assert_true(g_str_has_prefix(paths->config_dir, g_get_user_config_dir()));
        g_assert_true(g_str_has_prefix(paths->state_dir, g_get_user_state_dir()));
        g_assert_true(g_str_has_prefix(paths->config_file, g_get_user_config_dir()));
    }
}

static void
test_given(void)
{
    VimgPathOptions options = {
        .config_file = g_strdup("/a/../b.conf"),
        .config_dir = g_strdup("etc"),
        .state_dir = g_strdup("/state/"),
        .run_dir = g_strdup("./run"),
        .plugin_dir = g_strdup("/plugins"),
    };
    g_autoptr(VimgPaths) paths = vimg_paths_new(&options);
    g_autofree char *here = g_get_current_dir();
    g_autofree char *etc = g_build_filename(here, "etc", NULL);
    g_autofree char *live = g_build_filename(here, "run", "image", NULL);

    vimg_path_options_clear(&options);
    g_assert_true(paths->config_named);
    g_assert_cmpstr(paths->config_file, ==, "/b.conf");
    g_assert_cmpstr(paths->config_dir, ==, etc);
    g_assert_cmpstr(paths->state_dir, ==, "/state");
    g_assert_cmpstr(paths->live_dir, ==, live);
    g_assert_cmpstr(paths->plugin_dir, ==, "/plugins");
}

/* Whatever the umask: private, but for the directory of the system's sockets. */
static void
test_make(void)
{
    g_autofree char *top = g_dir_make_tmp("paths-XXXXXX", NULL);
    VimgPathOptions options = {
        .config_dir = g_build_filename(top, "etc", NULL),
        .state_dir = g_build_filename(top, "state", NULL),
        .run_dir = g_build_filename(top, "run", NULL),
    };
    g_autoptr(VimgPaths) paths = vimg_paths_new(&options);
    g_autoptr(GError) error = NULL;
    mode_t before = umask(077);

    vimg_path_options_clear(&options);
    g_assert_true(vimg_paths_make(paths, &error));
    g_assert_no_error(error);
    g_assert_cmphex(mode_of(paths->run_dir), ==, geteuid() == 0 ? 0755 : 0700);
    g_assert_cmphex(mode_of(paths->live_dir), ==, 0700);
    g_assert_cmphex(mode_of(paths->config_dir), ==, 0700);
    g_assert_cmphex(mode_of(paths->state_dir), ==, 0700);

    /* one that is there keeps its mode */
    g_assert_cmpint(g_chmod(paths->run_dir, 0711), ==, 0);
    g_assert_true(vimg_paths_make(paths, &error));
    g_assert_cmphex(mode_of(paths->run_dir), ==, 0711);

    umask(before);
    g_assert_cmpint(g_rmdir(paths->live_dir), ==, 0);
    g_assert_cmpint(g_rmdir(paths->run_dir), ==, 0);
    g_assert_cmpint(g_rmdir(paths->state_dir), ==, 0);
    g_assert_cmpint(g_rmdir(paths->config_dir), ==, 0);
    g_assert_cmpint(g_rmdir(top), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/paths/defaults", test_defaults);
    g_test_add_func("/paths/given", test_given);
    g_test_add_func("/paths/make", test_make);
    return g_test_run();
}
