/*
 * machine-sweep.h: what is left of an earlier command on a machine whose end nobody could undo
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_SWEEP_H
#define VIMG_CLI_MACHINE_SWEEP_H

#include "cli/machine.h"

/* Lets the guest go on, ends the backup job and removes its checkpoint. */
gboolean vimg_machine_sweep(VimgMachine *machine, GError **error);

#endif
