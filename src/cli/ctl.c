/*
 * ctl.c: what commands share: their options, the connection, errors and exit codes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/command.h"
#include "util/i18n.h"

const char *
vimg_ctl_option(VimgCtl *ctl, const char *name)
{
    return g_hash_table_lookup(ctl->options, name);
}

int
vimg_ctl_misused(VimgCtl *ctl, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, _("error: %s\n"), text);
    if (ctl->command)
        fprintf(stderr, _("usage: virtimagectl %1$s %2$s\n"), ctl->command->name,
                ctl->command->args);
    else
        fputs(_("See 'virtimagectl help'.\n"), stderr);
    return VIMG_EXIT_USAGE;
}
