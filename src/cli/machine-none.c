/*
 * machine-none.c: what is said of machines by a virtimagectl that was built without libnbd
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/command.h"
#include "util/error.h"
#include "util/i18n.h"

static int
refuse(VimgCtl *ctl)
{
    g_autoptr(GError) error = NULL;

    vimg_throw(&error, VIMG_ERROR_OPERATION_UNSUPPORTED, "%s",
               _("this virtimagectl was built without libnbd, which reads disks of machines"));
    return vimg_ctl_fail(ctl, error);
}

int
vimg_cmd_machine_image(VimgCtl *ctl, int argc, char **argv)
{
    return refuse(ctl);
}

int
vimg_cmd_machine_snapshot(VimgCtl *ctl, int argc, char **argv)
{
    return refuse(ctl);
}

int
vimg_cmd_machine_restore(VimgCtl *ctl, int argc, char **argv)
{
    return refuse(ctl);
}

int
vimg_cmd_machine_clone(VimgCtl *ctl, int argc, char **argv)
{
    return refuse(ctl);
}
