/*
 * machine-sweep.c: what is left of an earlier command on a machine whose end nobody could undo
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "cli/machine-backup.h"
#include "cli/machine-freeze.h"
#include "cli/machine-point.h"
#include "cli/machine-scratch.h"
#include "cli/machine-sweep.h"
#include "util/error.h"
#include "util/i18n.h"

static gboolean
throw_point(VimgMachine *machine, const char *name, GError **error)
{
    g_autoptr(GError) why = NULL;

    vimg_machine_throw(&why);
    return vimg_throw(
        error, VIMG_ERROR_FAILED,
        _("checkpoint '%1$s', which an earlier command left of machine '%2$s', cannot be removed: %3$s; remove it with virsh checkpoint-delete, if need be with --metadata"),
        name, machine->name, why->message);
}

static gboolean
sweep_point(VimgMachine *machine, const char *dir, GError **error)
{
    g_autofree char *note = vimg_scratch_point(dir);
    g_autofree char *name = vimg_scratch_read(note);
    virDomainCheckpointPtr checkpoint;
    gboolean ok;

    if (!vimg_point_is_ours(name))
        return TRUE;
    checkpoint = virDomainCheckpointLookupByName(machine->domain, name, 0);
    if (!checkpoint)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN_CHECKPOINT ||
               throw_point(machine, name, error);
    ok = virDomainCheckpointDelete(checkpoint, 0) == 0 || throw_point(machine, name, error);
    virDomainCheckpointFree(checkpoint);
    return ok;
}

static gboolean
sweep_stop(VimgMachine *machine, const char *dir, GError **error)
{
    g_autofree char *note = vimg_scratch_hold(dir, VIMG_UNDO_PAUSE);
    g_autofree char *run = vimg_scratch_read(note);
    int state = 0, reason = 0;

    if (!run)
        return TRUE;
    if (!vimg_backup_release(machine->domain, run, note, vimg_backup_resume, error))
        return FALSE;
    if (virDomainGetState(machine->domain, &state, &reason, 0) < 0)
        return vimg_machine_throw(error);
    machine->paused = state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_CRASHED;
    return TRUE;
}

/* What cannot be thawed yet is, after us, by who undoes what we leave; until then it is noted. */
static gboolean
sweep_freeze(VimgMachine *machine, const char *dir, GError **error)
{
    g_autofree char *note = vimg_scratch_hold(dir, VIMG_UNDO_FREEZE);
    g_autofree char *run = vimg_scratch_read(note);

    if (!run || vimg_backup_release(machine->domain, run, note, vimg_thaw, NULL))
        return TRUE;
    machine->frozen = TRUE;
    return vimg_undo_add(machine->undo, VIMG_UNDO_FREEZE, error, run, note, NULL);
}

/* First, as the guest waits; a thaw of what is not frozen does no harm. */
static gboolean
sweep_guest(VimgMachine *machine, const char *dir, GError **error)
{
    return sweep_stop(machine, dir, error) && sweep_freeze(machine, dir, error);
}

gboolean
vimg_machine_sweep(VimgMachine *machine, GError **error)
{
    g_autofree char *dir = vimg_scratch_dir(machine, error);
    g_autofree char *socket = dir ? vimg_scratch_socket(dir) : NULL;

    if (!socket || !machine->active)
        return socket != NULL;
    if (!sweep_guest(machine, dir, error) || !vimg_backup_end_job(machine->domain, socket, error) ||
        !sweep_point(machine, dir, error))
        return FALSE;
    vimg_scratch_empty(dir);
    return TRUE;
}
