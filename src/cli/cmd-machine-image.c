/*
 * cmd-machine-image.c: virtimagectl machine-image: disks of a machine become images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/machine-shot.h"

static gboolean
take(VimgMachine *machine, const char *pool, const char *name, JsonObject **report, GError **error)
{
    g_autoptr(GPtrArray) disks =
        vimg_machine_choose(machine, vimg_ctl_option(machine->ctl, "disk"), error);
    g_auto(VimgShot) shot = {0};

    if (!disks)
        return FALSE;
    vimg_shot_init(&shot, machine, pool, name, disks);
    shot.incremental = vimg_ctl_option(machine->ctl, "incremental") != NULL;
    if (!vimg_shot_take(&shot, error))
        return FALSE;
    vimg_undo_keep(machine->undo);
    *report = vimg_shot_report(&shot);
    return TRUE;
}

int
vimg_cmd_machine_image(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    VimgMachine machine = {0};

    if (vimg_machine_open(&machine, ctl, argv[0], &error))
        take(&machine, argv[1], argv[2], &report, &error);
    /* before a word is said: when the command has ended, all is undone */
    vimg_machine_clear(&machine);
    return vimg_ctl_show(ctl, report, vimg_shot_show, error);
}
