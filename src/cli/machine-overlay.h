/*
 * machine-overlay.h: who else needs what a disk holds
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_OVERLAY_H
#define VIMG_CLI_MACHINE_OVERLAY_H

#include "cli/machine.h"

/*
 * Refuses the file @path if a disk of any machine of the host is an overlay upon it:
 * VIMG_ERROR_OPERATION_INVALID, naming that disk.  Files that are of no machine are not known.
 */
gboolean vimg_overlay_refuse(VimgMachine *machine, const char *path, GError **error);

#endif
