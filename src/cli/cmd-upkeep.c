/*
 * cmd-upkeep.c: virtimagectl cleanup and verify
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/table.h"
#include "cli/watch.h"
#include "util/i18n.h"

/* Objects with a name and a reason. */
static void
show_named(const VimgCtl *ctl, JsonObject *report, const char *member, const char *title)
{
    const VimgColumn columns[] = {
        {title, "name", VIMG_CELL_TEXT, 0},
        {N_("Reason"), "reason", VIMG_CELL_TEXT, 1},
    };

    if (vimg_report_count(report, member) == 0)
        return;
    putchar('\n');
    vimg_table_print(ctl, report, member, columns, G_N_ELEMENTS(columns));
}

/* ---- cleanup -------------------------------------------------------------------------------- */

static void
show_cleanup(VimgCtl *ctl, JsonObject *report)
{
    const char *freed = vimg_ctl_option(ctl, "dry-run") ? N_("Would free") : N_("Freed");
    const VimgColumn fields[] = {
        {freed, "freed", VIMG_CELL_SIZE, 0},
        {N_("Slices"), "slices", VIMG_CELL_TALLY, 0},
        {N_("Expired images"), "expired", VIMG_CELL_TALLY, 0},
        {N_("Abandoned uploads"), "abandoned", VIMG_CELL_TALLY, 0},
        {N_("Damaged slices"), "bad", VIMG_CELL_TALLY, 0},
        {N_("Temporary files"), "temporary", VIMG_CELL_TALLY, 0},
    };

    vimg_fields_print(ctl, report, fields, G_N_ELEMENTS(fields));
    show_named(ctl, report, "removed", N_("Removed"));
    show_named(ctl, report, "kept", N_("Kept"));
    if (vimg_report_truth(report, "truncated"))
        fputs(_("There are more.\n"), stderr);
}

int
vimg_cmd_cleanup(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {
            "cleanup", NULL, FALSE,
            _("what was freed stays freed, and the next cleanup goes on from there")};
        vimg_control_cleanup_args args = {
            pool, vimg_ctl_option(ctl, "dry-run") ? VIMG_CONTROL_DRY_RUN : 0};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_POOL_CLEANUP,
                                   (xdrproc_t)xdr_vimg_control_cleanup_args, &args, &error);
    }
    return vimg_ctl_show(ctl, report, show_cleanup, error);
}

/* ---- verify --------------------------------------------------------------------------------- */

static void
show_verify(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn fields[] = {
        {N_("Checked"), "checked", VIMG_CELL_SIZE, 0},
        {N_("Damaged images"), "damaged", VIMG_CELL_COUNT, 0},
    };
    static const VimgColumn slices[] = {
        {N_("Slices"), "checked", VIMG_CELL_NUMBER, 0},
        {N_("Damaged slices"), "bad", VIMG_CELL_NUMBER, 0},
        {N_("Missing slices"), "missing", VIMG_CELL_NUMBER, 0},
    };

    vimg_fields_print(ctl, report, fields, G_N_ELEMENTS(fields));
    vimg_fields_print(ctl, vimg_report_object(report, "slices"), slices, G_N_ELEMENTS(slices));
    show_named(ctl, report, "damaged", N_("Damaged"));
}

/* Also where no image needs it: a store that loses slices is not in order. */
static gboolean
has_damage(JsonObject *report)
{
    JsonObject *slices = vimg_report_object(report, "slices");

    return vimg_report_count(report, "damaged") > 0 || vimg_report_number(slices, "bad", 0) > 0 ||
           vimg_report_number(slices, "missing", 0) > 0;
}

int
vimg_cmd_verify(VimgCtl *ctl, int argc, char **argv)
{
    vimg_remote_text image = argc > 1 ? argv[1] : NULL;
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    int code;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {
            "verify", image, FALSE,
            _("damage that was found so far is noted, and the next verification goes on")};
        vimg_control_verify_args args = {pool, image ? &image : NULL};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_POOL_VERIFY,
                                   (xdrproc_t)xdr_vimg_control_verify_args, &args, &error);
    }
    code = vimg_ctl_show(ctl, report, show_verify, error);
    return report && has_damage(report) ? VIMG_EXIT_PROBLEM : code;
}
