/*
 * machine-freeze.c: file systems of a guest that are frozen for a moment, by its agent
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "cli/machine-freeze.h"
#include "util/i18n.h"

#define THAW_PATIENCE 30 /* seconds */

/*
 * What fails so was not done: libvirt did not ask the agent, or the agent said no.  An error of the
 * way to libvirt (VIR_FROM_RPC, VIR_FROM_REMOTE) says nothing, whatever its code; nor does any that
 * is not here, as that of an agent that did not answer in time, of which there are several.
 */
static const struct {
    int code;
    int domain; /* VIR_FROM_NONE: any of libvirt's drivers */
} refusals[] = {
    {VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU}, /* the agent's own error */
    {VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU},
    {VIR_ERR_OPERATION_UNSUPPORTED, VIR_FROM_NONE},
    {VIR_ERR_ARGUMENT_UNSUPPORTED, VIR_FROM_NONE},
    {VIR_ERR_NO_SUPPORT, VIR_FROM_NONE},
    {VIR_ERR_OPERATION_TIMEOUT, VIR_FROM_NONE}, /* of the lock that is taken first */
    {VIR_ERR_OPERATION_DENIED, VIR_FROM_NONE},
    {VIR_ERR_ACCESS_DENIED, VIR_FROM_NONE},
    {VIR_ERR_NO_DOMAIN, VIR_FROM_NONE},
};

gboolean
vimg_freeze_is_refused(int domain, int code)
{
    if (domain == VIR_FROM_RPC || domain == VIR_FROM_REMOTE)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(refusals); i++)
        if (refusals[i].code == code &&
            (refusals[i].domain == VIR_FROM_NONE || refusals[i].domain == domain))
            return TRUE;
    return FALSE;
}

static gboolean
was_refused(void)
{
    const virError *last = virGetLastError();

    return last && vimg_freeze_is_refused(last->domain, last->code);
}

static gboolean
be_patient(virDomainPtr domain, guint64 seconds)
{
    return virDomainAgentSetResponseTimeout(domain, (int)seconds, 0) == 0;
}

static void
wait_for_ever(virDomainPtr domain)
{
    virDomainAgentSetResponseTimeout(domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
}

/* Whether an agent answers, be it that it does not know that: what one that is not there is asked
 * for is never done. */
static gboolean
is_there(virDomainPtr domain)
{
    long long seconds;
    unsigned int rest;

    return virDomainGetTime(domain, &seconds, &rest, 0) == 0 || was_refused();
}

static VimgFreeze
ask(virDomainPtr domain)
{
    if (!is_there(domain))
        return VIMG_FREEZE_NOT;
    if (virDomainFSFreeze(domain, NULL, 0, 0) >= 0)
        return VIMG_FREEZE_DONE;
    /* where the guest said no, what is frozen is frozen by another */
    return was_refused() ? VIMG_FREEZE_NOT : VIMG_FREEZE_UNKNOWN;
}

VimgFreeze
vimg_freeze(VimgMachine *machine, char **why)
{
    g_autoptr(GError) local = NULL;
    VimgFreeze was;

    *why = NULL;
    if (!be_patient(machine->domain, machine->patience)) {
        vimg_machine_throw(&local);
        *why = g_strdup_printf(_("libvirt cannot be told how long to wait for the guest agent: %s"),
                               local->message);
        return VIMG_FREEZE_NOT;
    }
    was = ask(machine->domain);
    if (was != VIMG_FREEZE_DONE) {
        vimg_machine_throw(&local);
        *why = g_strdup(local->message);
    }
    wait_for_ever(machine->domain);
    return was;
}

gboolean
vimg_thaw(virDomainPtr domain, GError **error)
{
    gboolean ok;

    /* one that cannot be told so waits as long as it takes */
    be_patient(domain, THAW_PATIENCE);
    ok = virDomainFSThaw(domain, NULL, 0, 0) >= 0 || vimg_machine_throw(error);
    wait_for_ever(domain);
    return ok;
}
