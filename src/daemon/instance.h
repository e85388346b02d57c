/*
 * instance.h: one daemon for one set of directories
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_INSTANCE_H
#define VIMG_DAEMON_INSTANCE_H

#include <glib.h>

/* A file that is locked, and holds the process id, while the daemon lives. */
typedef struct _VimgInstance VimgInstance;

/* Returns: NULL with VIMG_ERROR_OPERATION_INVALID naming the process that holds @path. */
VimgInstance *vimg_instance_new(const char *path, GError **error);
/* Removes the file.  Accepts NULL. */
void vimg_instance_free(VimgInstance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgInstance, vimg_instance_free)

#endif
