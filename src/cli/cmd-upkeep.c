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

/* What a backend may count by kind: an object with "count". */
static const struct {
    const char *member;
    const char *label;
} kinds[] = {
    {"slices", N_("Slices")},
    {"expired", N_("Expired images")},
    {"abandoned", N_("Abandoned uploads")},
    {"bad", N_("Damaged slices")},
    {"temporary", N_("Temporary files")},
};

/* Objects with a name and a reason. */
static void
show_named(const VimgCtl *ctl, JsonObject *report, const char *member, const char *title)
{
    const VimgColumn columns[] = {{title, 0, FALSE}, {N_("Reason"), 1, FALSE}};
    g_autoptr(VimgTable) table = vimg_table_new(columns, G_N_ELEMENTS(columns));
    guint n = vimg_report_count(report, member);

    for (guint i = 0; i < n; i++) {
        JsonObject *element = vimg_report_element(report, member, i);

        vimg_table_add(table, vimg_report_string(element, "name"));
        vimg_table_add(table, vimg_report_string(element, "reason"));
    }
    if (n == 0)
        return;
    putchar('\n');
    vimg_table_print(table, ctl);
}

/* ---- cleanup -------------------------------------------------------------------------------- */

static void
show_cleanup(VimgCtl *ctl, JsonObject *report)
{
    const char *freed = vimg_ctl_option(ctl, "dry-run") ? _("Would free") : _("Freed");
    g_autoptr(VimgTable) fields = vimg_fields_new();

    vimg_fields_add_size(fields, ctl, freed, (guint64)vimg_report_number(report, "freed", 0));
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        JsonObject *kind = vimg_report_object(report, kinds[i].member);
        gint64 count = vimg_report_number(kind, "count", 0);

        if (count > 0)
            vimg_fields_add_number(fields, _(kinds[i].label), (guint64)count);
    }
    vimg_table_print(fields, ctl);
    show_named(ctl, report, "removed", N_("Removed"));
    show_named(ctl, report, "kept", N_("Kept"));
}

int
vimg_cmd_cleanup(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {
            "cleanup", pool.name, NULL,
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
    JsonObject *slices = vimg_report_object(report, "slices");
    g_autoptr(VimgTable) fields = vimg_fields_new();

    vimg_fields_add_size(fields, ctl, _("Checked"),
                         (guint64)vimg_report_number(report, "checked", 0));
    if (slices) {
        vimg_fields_add_number(fields, _("Slices"),
                               (guint64)vimg_report_number(slices, "checked", 0));
        vimg_fields_add_number(fields, _("Damaged slices"),
                               (guint64)vimg_report_number(slices, "bad", 0));
        vimg_fields_add_number(fields, _("Missing slices"),
                               (guint64)vimg_report_number(slices, "missing", 0));
    }
    vimg_fields_add_number(fields, _("Damaged images"), vimg_report_count(report, "damaged"));
    vimg_table_print(fields, ctl);
    show_named(ctl, report, "damaged", N_("Damaged"));
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
            "verify", pool.name, image,
            _("damage that was found so far is noted, and the next verification goes on")};
        vimg_control_verify_args args = {pool, image ? &image : NULL};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_POOL_VERIFY,
                                   (xdrproc_t)xdr_vimg_control_verify_args, &args, &error);
    }
    code = vimg_ctl_show(ctl, report, show_verify, error);
    return report && vimg_report_count(report, "damaged") > 0 ? VIMG_EXIT_PROBLEM : code;
}
