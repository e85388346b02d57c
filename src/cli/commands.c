/*
 * commands.c: the commands of virtimagectl, in the order in which its help shows them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/command.h"
#include "util/i18n.h"

const VimgCommandOption vimg_common_options[] = {
    {"connect", "URI", N_("The daemon to ask, as virsh -c names it")},
    {"readonly", NULL, N_("Use the socket on which nothing can be changed")},
    {"json", NULL, N_("Print JSON for programs")},
    {"bytes", NULL, N_("Print sizes exactly")},
    {"quiet", NULL, N_("Print no headings and nothing that only says that all went well")},
    {"progress", "WHEN", N_("auto (on a terminal), json (lines on standard error) or none")},
    {"yes", NULL, N_("Do not ask for confirmation")},
    {"help", NULL, N_("Explain the command")},
    {"version", NULL, N_("Show the version")},
    {0},
};

const VimgCommand vimg_commands[] = {
    {"help", "[COMMAND]", 0, 2, N_("Explain the commands, or one of them"), vimg_cmd_help, NULL},
    {"version", "", 0, 0, N_("Show the version"), vimg_cmd_version, NULL},
    {0},
};
