/*
 * machine-source.h: what the host's storage pools know a disk as that no path leads to
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_SOURCE_H
#define VIMG_CLI_MACHINE_SOURCE_H

#include "cli/machine.h"

/* A volume of a pool of the host. */
typedef struct {
    char *pool, *volume;
    guint64 capacity;
} VimgMachineSource;

/* Returns: (transfer full); NULL: @disk is in no pool that the host knows and that is started. */
VimgMachineSource *vimg_machine_source_find(VimgMachine *machine, const VimgMachineDisk *disk);
void vimg_machine_source_free(VimgMachineSource *source); /* accepts NULL */
/* Whether one server is in both, of vimg_machine_hosts(); or none in either, which are those of the
 * host's configuration. */
gboolean vimg_machine_hosts_meet(GPtrArray *some, GPtrArray *others);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgMachineSource, vimg_machine_source_free)

#endif
