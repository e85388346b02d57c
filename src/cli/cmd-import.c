/*
 * cmd-import.c: virtimagectl import: an image that the daemon fetches itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/table.h"
#include "cli/watch.h"
#include "util/i18n.h"

static void
show_import(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn fields[] = {
        {N_("Name"), "name", VIMG_CELL_TEXT, 0},
        {N_("Format"), "format", VIMG_CELL_TEXT, 0},
        {N_("Capacity"), "capacity", VIMG_CELL_SIZE, 0},
        {N_("Allocation"), "allocation", VIMG_CELL_SIZE, 0},
    };

    if (!ctl->quiet)
        vimg_fields_print(ctl, report, fields, G_N_ELEMENTS(fields));
}

int
vimg_cmd_import(VimgCtl *ctl, int argc, char **argv)
{
    vimg_remote_text digest = (char *)vimg_ctl_option(ctl, "digest");
    vimg_remote_text format = (char *)vimg_ctl_option(ctl, "format");
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {"import", argv[1], TRUE,
                                     _("what came is kept, and the same command goes on")};
        vimg_control_import_args args = {pool, argv[1], argv[2], digest ? &digest : NULL,
                                         format ? &format : NULL};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_VOLUME_IMPORT,
                                   (xdrproc_t)xdr_vimg_control_import_args, &args, &error);
    }
    return vimg_ctl_show(ctl, report, show_import, error);
}
