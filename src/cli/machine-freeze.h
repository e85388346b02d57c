/*
 * machine-freeze.h: file systems of a guest that are frozen for a moment, by its agent
 *
 * libvirt waits for the answer of an agent as long as it takes, be it for ever, unless it is told
 * how long.  That is told for each request here, and taken back: virDomainAgentSetResponseTimeout()
 * is of the machine and not of a connection.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_MACHINE_FREEZE_H
#define VIMG_CLI_MACHINE_FREEZE_H

#include "cli/machine.h"

#define VIMG_FREEZE_PATIENCE 60 /* seconds, if nothing else is said */
#define VIMG_FREEZE_MAX 3600

typedef enum {
    VIMG_FREEZE_NOT, /* as before */
    VIMG_FREEZE_DONE,
    VIMG_FREEZE_UNKNOWN, /* it may be so, or still come */
} VimgFreeze;

/* Whether an error of libvirt, of its @domain and @code, proves that nothing was frozen. */
gboolean vimg_freeze_is_refused(int domain, int code);
/* @why: (out) (transfer full) what failed, or NULL.  Waits for machine->patience seconds. */
VimgFreeze vimg_freeze(VimgMachine *machine, char **why);
/* Does no harm to a guest that is not frozen. */
gboolean vimg_thaw(virDomainPtr domain, GError **error);

#endif
