/*
 * paths.h: where a daemon keeps and finds its things
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_PATHS_H
#define VIMG_DAEMON_PATHS_H

#include <glib.h>

/* All absolute. */
typedef struct {
    gboolean privileged; /* root: the system's paths are the defaults, else the user's */
    char *config_file;
    gboolean config_named; /* given by the user: it must exist */
    char *config_dir;      /* definitions */
    char *state_dir;
    char *run_dir;  /* sockets */
    char *live_dir; /* below run_dir: the model's own */
    char *plugin_dir;
    char *schema_dir;
    char *export_program;
    char *nbd_program; /* NULL: there is none */
    char *nbd_plugin;
    char *nbd_dir; /* below run_dir: sockets */
} VimgPaths;

/* What the command line says; NULL: the default. */
typedef struct {
    char *config_file;
    char *config_dir;
    char *state_dir;
    char *run_dir;
    char *plugin_dir;
} VimgPathOptions;

void vimg_path_options_clear(VimgPathOptions *options);

/* Copies what it takes from @options. */
VimgPaths *vimg_paths_new(const VimgPathOptions *options);
void vimg_paths_free(VimgPaths *paths);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgPaths, vimg_paths_free)

/* Makes the directories that are not there: the sockets' one open to all for root, others private.
 */
gboolean vimg_paths_make(const VimgPaths *paths, GError **error);

#endif
