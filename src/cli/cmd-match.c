/*
 * cmd-match.c: virtimagectl match: which pools of images serve which primary storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/ctl.h"
#include "cli/table.h"
#include "util/i18n.h"

static JsonObject *
get_matches(VimgCtl *ctl, char *name, GError **error)
{
    vimg_control_status_args args = {.pool = name ? &name : NULL};

    return vimg_ctl_report(ctl, VIMG_CONTROL_MATCH, (xdrproc_t)xdr_vimg_control_status_args, &args,
                           error);
}

/* Whether it is a way that asks for more than a command of libvirt's. */
static gboolean
has_download(JsonObject *report)
{
    guint n = vimg_report_count(report, "matches");

    for (guint i = 0; i < n; i++) {
        JsonObject *row = vimg_report_element(report, "matches", i);

        if (g_strcmp0(vimg_report_string(row, "way"), "download") == 0)
            return TRUE;
    }
    return FALSE;
}

static void
show_matches(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Primary storage"), "primary", VIMG_CELL_TEXT, 0},
        {N_("Images in"), "storage", VIMG_CELL_TEXT, 0},
        {N_("Default"), "default", VIMG_CELL_TRUTH, 1},
        {N_("In the guide"), "guide", VIMG_CELL_TRUTH, 4},
        {N_("Way"), "way", VIMG_CELL_WORD, 2},
        {N_("Pools of images"), "pools", VIMG_CELL_NAMES, 0},
        {N_("Pools of the host"), "host_pools", VIMG_CELL_NAMES, 3},
    };

    vimg_table_print(ctl, report, "matches", columns, G_N_ELEMENTS(columns));
    if (!vimg_ctl_option(ctl, "quiet") && has_download(report))
        fputs(
            _("download: libvirt has no such pools; download the image, export it or serve it over NBD.\n"),
            stderr);
}

int
vimg_cmd_match(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) report = get_matches(ctl, argc > 0 ? argv[0] : NULL, &error);

    return vimg_ctl_show(ctl, report, show_matches, error);
}
