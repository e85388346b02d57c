/*
 * cmd-machine-image.c: virtimagectl machine-image: disks of a machine become images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/machine-shot.h"
#include "cli/table.h"
#include "util/i18n.h"

static void
show_shot(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Disk"), "disk", VIMG_CELL_TEXT, 0}, {N_("Image"), "name", VIMG_CELL_TEXT, 0},
        {N_("UUID"), "uuid", VIMG_CELL_TEXT, 3}, {N_("Size"), "bytes", VIMG_CELL_SIZE, 1},
        {N_("Read"), "read", VIMG_CELL_SIZE, 2},
    };
    const char *why = vimg_report_string(report, "not_frozen");

    if (!ctl->quiet)
        vimg_table_print(ctl, report, "images", columns, G_N_ELEMENTS(columns));
    if (why && !ctl->quiet)
        fprintf(stderr, _("File systems of the guest were not frozen: %s.\n"), why);
}

static gboolean
take(VimgMachine *machine, const char *pool, const char *name, JsonObject **report, GError **error)
{
    g_autoptr(GPtrArray) disks =
        vimg_machine_choose(machine, vimg_ctl_option(machine->ctl, "disk"), error);
    g_auto(VimgShot) shot = {0};

    if (!disks)
        return FALSE;
    vimg_shot_init(&shot, machine, pool, name, disks);
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
    return vimg_ctl_show(ctl, report, show_shot, error);
}
