/*
 * help.c: what virtimagectl says of itself, all from the table of commands
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/command.h"
#include "util/i18n.h"

int
vimg_cmd_help(VimgCtl *ctl, int argc, char **argv)
{
    const VimgCommand *command;

    for (command = vimg_commands; command->name; command++)
        printf("  %s %s\n      %s\n", command->name, command->args, _(command->summary));
    return VIMG_EXIT_OK;
}

int
vimg_cmd_version(VimgCtl *ctl, int argc, char **argv)
{
    printf("virtimagectl (virtimage) %s\n", VIMG_VERSION);
    return VIMG_EXIT_OK;
}
