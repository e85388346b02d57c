/*
 * paths.c: where a daemon keeps and finds its things
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/paths.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

/* Whether this program lies in the tree it was built in: then so do its backends and schemas. */
static gboolean
runs_from_build_tree(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    return self && g_str_has_prefix(self, VIMG_BUILDDIR "/");
}

/* Returns: (transfer full) @given as an absolute path, or else @fallback, which is taken. */
static char *
choose(const char *given, char *fallback)
{
    if (!given)
        return fallback;
    g_free(fallback);
    return g_canonicalize_filename(given, NULL);
}

static void
set_system(VimgPaths *paths)
{
    paths->config_file = g_build_filename(VIMG_SYSCONFDIR, "libvirt", "virtimaged.conf", NULL);
    paths->config_dir = g_build_filename(VIMG_SYSCONFDIR, "libvirt", "image", NULL);
    paths->state_dir = g_build_filename(VIMG_LOCALSTATEDIR, "lib", "libvirt", "image", NULL);
    paths->run_dir = g_build_filename(VIMG_RUNDIR, "libvirt", NULL);
}

static void
set_session(VimgPaths *paths)
{
    const char *config = g_get_user_config_dir();

    paths->config_file = g_build_filename(config, "libvirt", "virtimaged.conf", NULL);
    paths->config_dir = g_build_filename(config, "libvirt", "image", NULL);
    paths->state_dir = g_build_filename(g_get_user_state_dir(), "libvirt", "image", NULL);
    paths->run_dir = g_build_filename(g_get_user_runtime_dir(), "libvirt", NULL);
}

void
vimg_path_options_clear(VimgPathOptions *options)
{
    g_clear_pointer(&options->config_file, g_free);
    g_clear_pointer(&options->config_dir, g_free);
    g_clear_pointer(&options->state_dir, g_free);
    g_clear_pointer(&options->run_dir, g_free);
    g_clear_pointer(&options->plugin_dir, g_free);
}

VimgPaths *
vimg_paths_new(const VimgPathOptions *options)
{
    gboolean tree = runs_from_build_tree();
    VimgPaths *paths = g_new0(VimgPaths, 1);

    paths->privileged = geteuid() == 0;
    if (paths->privileged)
        set_system(paths);
    else
        set_session(paths);
    paths->config_named = options->config_file != NULL;
    paths->config_file = choose(options->config_file, paths->config_file);
    paths->config_dir = choose(options->config_dir, paths->config_dir);
    paths->state_dir = choose(options->state_dir, paths->state_dir);
    paths->run_dir = choose(options->run_dir, paths->run_dir);
    paths->live_dir = g_build_filename(paths->run_dir, "image", NULL);
    paths->plugin_dir =
        choose(options->plugin_dir, g_strdup(tree ? VIMG_BUILDDIR "/plugin" : VIMG_PLUGINDIR));
    paths->schema_dir = g_strdup(tree ? VIMG_SOURCEDIR "/xml" : VIMG_SCHEMADIR);
    paths->export_program = g_strdup(tree ? VIMG_BUILDDIR "/src/exporter/virtimage-export"
                                          : VIMG_LIBEXECDIR "/virtimage-export");
    paths->nbd_program = g_find_program_in_path("nbdkit");
    paths->nbd_plugin = g_strdup(tree ? VIMG_BUILDDIR "/plugin/nbdkit/" VIMG_NBD_PLUGIN
                                      : VIMG_NBD_PLUGINDIR "/" VIMG_NBD_PLUGIN);
    paths->nbd_dir = g_build_filename(paths->run_dir, "image-nbd", NULL);
    return paths;
}

void
vimg_paths_free(VimgPaths *paths)
{
    if (!paths)
        return;
    g_free(paths->config_file);
    g_free(paths->config_dir);
    g_free(paths->state_dir);
    g_free(paths->run_dir);
    g_free(paths->live_dir);
    g_free(paths->plugin_dir);
    g_free(paths->schema_dir);
    g_free(paths->export_program);
    g_free(paths->nbd_program);
    g_free(paths->nbd_plugin);
    g_free(paths->nbd_dir);
    g_free(paths);
}

/* Other programs of libvirt share this one, so it is left as it is if it exists. */
static gboolean
make_run_dir(const VimgPaths *paths, GError **error)
{
    mode_t mode = paths->privileged ? 0755 : 0700;

    if (g_file_test(paths->run_dir, G_FILE_TEST_IS_DIR))
        return TRUE;
    if (!vimg_dir_make(paths->run_dir, mode, error))
        return FALSE;
    /* the umask has narrowed it */
    if (chmod(paths->run_dir, mode) < 0)
        return vimg_throw_errno(error, _("cannot set the mode of '%s'"), paths->run_dir);
    return TRUE;
}

gboolean
vimg_paths_make(const VimgPaths *paths, GError **error)
{
    return make_run_dir(paths, error) && vimg_dir_make(paths->live_dir, 0700, error) &&
           vimg_dir_make(paths->config_dir, 0700, error) &&
           vimg_dir_make(paths->state_dir, 0700, error);
}
