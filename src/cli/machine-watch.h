/*
 * machine-watch.h: whether a machine that is shut off was started meanwhile, be it for a moment
 *
 * It has a connection of its own, to hear of it while nobody else asks libvirt for anything, and a
 * thread that hears.  libvirt tells each start to whoever listened before it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_WATCH_H
#define VIMG_CLI_MACHINE_WATCH_H

#include "cli/machine.h"

typedef struct _VimgWatch VimgWatch;

/* From now on.  One at a time in a process.  NULL with @error. */
VimgWatch *vimg_watch_new(VimgMachine *machine, GError **error);
/*
 * Returns: whether it is shut off and was all the time; else FALSE with @error, also if that cannot
 * be known because the connection was lost.
 */
gboolean vimg_watch_check(VimgWatch *watch, GError **error);
/* Accepts NULL. */
void vimg_watch_free(VimgWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgWatch, vimg_watch_free)

#endif
