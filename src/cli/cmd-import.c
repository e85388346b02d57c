/*
 * cmd-import.c: virtimagectl import: an image that the daemon fetches itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <libvirt/virterror.h>

#include "cli/image.h"
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

/* A complete image is not touched: the daemon refuses to import into it. */
static gboolean
begin_anew(VimgCtl *ctl, const VimgCtlPool *pool, const char *name, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgImage) image = vimg_image_find(ctl, pool, name, &local);

    if (image)
        return g_strcmp0(image->state, "active") == 0 || vimg_image_wipe(ctl, image, error);
    if (g_error_matches(local, VIMG_DAEMON_ERROR, VIR_ERR_NO_STORAGE_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* Of an image that nothing can be added to, the way out. */
static void
say_how_to_go_on(VimgCtl *ctl, const VimgCtlPool *pool, const char *name)
{
    g_autoptr(VimgImage) image = vimg_image_find(ctl, pool, name, NULL);

    if (image && g_strcmp0(image->state, "error") == 0)
        fputs(
            _("What came is of no use: with --no-resume it is wiped, and the import begins anew.\n"),
            stderr);
}

int
vimg_cmd_import(VimgCtl *ctl, int argc, char **argv)
{
    vimg_remote_text digest = (char *)vimg_ctl_option(ctl, "digest");
    vimg_remote_text format = (char *)vimg_ctl_option(ctl, "format");
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    int code;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error) &&
        (!vimg_ctl_option(ctl, "no-resume") || begin_anew(ctl, &pool, argv[1], &error))) {
        const VimgWatched watched = {"import", argv[1], TRUE,
                                     _("what came is kept, and the same command goes on")};
        vimg_control_import_args args = {pool, argv[1], argv[2], digest ? &digest : NULL,
                                         format ? &format : NULL};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_VOLUME_IMPORT,
                                   (xdrproc_t)xdr_vimg_control_import_args, &args, &error);
    }
    code = vimg_ctl_show(ctl, report, show_import, error);
    if (pool.name && (code == VIMG_EXIT_FAILED || code == VIMG_EXIT_REFUSED))
        say_how_to_go_on(ctl, &pool, argv[1]);
    return code;
}
