/*
 * machine-match.h: which pool of images a machine's disks pass through if nobody says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_MATCH_H
#define VIMG_CLI_MACHINE_MATCH_H

#include "cli/machine.h"

/*
 * The one of @pools, names, that the daemon's table of matches has for the host's pool which a new
 * disk beside @like would lie in.  *@primary: (transfer full) that pool, or the kind of storage if
 * it is but a file; untouched if there is none.  Returns: (transfer full); NULL: the table has
 * none of them, or several that are as good.
 */
char *vimg_machine_match(VimgMachine *machine, const VimgMachineDisk *like, GPtrArray *pools,
                         char **primary);

#endif
