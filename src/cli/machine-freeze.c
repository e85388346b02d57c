/*
 * machine-freeze.c: file systems of a guest that are frozen for a moment, by its agent
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "cli/machine-freeze.h"

#define THAW_PATIENCE 30 /* seconds */

/* One that cannot be told so waits as long as it takes. */
static void
be_patient(virDomainPtr domain, guint64 seconds)
{
    virDomainAgentSetResponseTimeout(domain, (int)seconds, 0);
}

static void
wait_for_ever(virDomainPtr domain)
{
    virDomainAgentSetResponseTimeout(domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
}

/* Whether an agent is at the other end: what one that is not there is asked for is never done. */
static gboolean
is_there(virDomainPtr domain)
{
    long long seconds;
    unsigned int rest;

    return virDomainGetTime(domain, &seconds, &rest, 0) == 0 ||
           virGetLastErrorCode() != VIR_ERR_AGENT_UNRESPONSIVE;
}

/* Whether what failed so may be done all the same. */
static gboolean
is_unknown(VimgMachine *machine, const GError *why)
{
    return g_error_matches(why, VIMG_DAEMON_ERROR, VIR_ERR_AGENT_UNRESPONSIVE) ||
           g_error_matches(why, VIMG_DAEMON_ERROR, VIR_ERR_AGENT_UNSYNCED) ||
           (virConnectIsAlive(machine->connection) != 1 && vimg_machine_again(machine, NULL));
}

VimgFreeze
vimg_freeze(VimgMachine *machine, char **why)
{
    g_autoptr(GError) local = NULL;
    VimgFreeze was = VIMG_FREEZE_NOT;

    *why = NULL;
    be_patient(machine->domain, machine->patience);
    if (!is_there(machine->domain)) {
        vimg_machine_throw(&local);
    } else if (virDomainFSFreeze(machine->domain, NULL, 0, 0) >= 0) {
        was = VIMG_FREEZE_DONE;
    } else {
        vimg_machine_throw(&local);
        /* where the guest said no, what is frozen is frozen by another */
        was = is_unknown(machine, local) ? VIMG_FREEZE_UNKNOWN : VIMG_FREEZE_NOT;
    }
    wait_for_ever(machine->domain);
    if (local)
        *why = g_strdup(local->message);
    return was;
}

gboolean
vimg_thaw(virDomainPtr domain, GError **error)
{
    gboolean ok;

    be_patient(domain, THAW_PATIENCE);
    ok = virDomainFSThaw(domain, NULL, 0, 0) >= 0 || vimg_machine_throw(error);
    wait_for_ever(domain);
    return ok;
}
