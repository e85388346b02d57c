/*
 * cmd-zone.c: virtimagectl zone list, attach, detach and delete
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/table.h"
#include "cli/text.h"
#include "cli/ctl.h"
#include "util/error.h"
#include "util/i18n.h"

/* ---- list ----------------------------------------------------------------------------------- */

static JsonObject *
get_zones(VimgCtl *ctl, GError **error)
{
    return vimg_ctl_report(ctl, VIMG_CONTROL_ZONE_LIST, NULL, NULL, error);
}

static void
show_zones(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Zone"), "name", VIMG_CELL_TEXT, 0},
        {N_("Here"), "here", VIMG_CELL_TRUTH, 1},
        {N_("Current"), "current", VIMG_CELL_TRUTH, 2},
        {N_("Pools"), "pools", VIMG_CELL_NAMES, 0},
    };

    vimg_table_print(ctl, report, "zones", columns, G_N_ELEMENTS(columns));
}

int
vimg_cmd_zone_list(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) report = get_zones(ctl, &error);

    return vimg_ctl_show(ctl, report, show_zones, error);
}

/* ---- attach and detach ---------------------------------------------------------------------- */

static gboolean
call_zone(VimgCtl *ctl, gint32 procedure, const VimgCtlPool *pool, char *zone, GError **error)
{
    vimg_control_zone_args args = {*pool, zone};

    return vimg_ctl_call(ctl, procedure, (xdrproc_t)xdr_vimg_control_zone_args, &args, NULL, NULL,
                         error);
}

int
vimg_cmd_zone_attach(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"pool", "zone", NULL};
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(GError) error = NULL;

    if (!vimg_ctl_find_pool(ctl, argv[0], &pool, &error) ||
        !call_zone(ctl, VIMG_CONTROL_ZONE_ATTACH, &pool, argv[1], &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){pool.name, argv[1]},
                         _("Pool %1$s is attached to zone %2$s"), pool.name, argv[1]);
}

int
vimg_cmd_zone_detach(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"pool", "zone", NULL};
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(GError) error = NULL;

    if (!vimg_ctl_find_pool(ctl, argv[0], &pool, &error) ||
        !call_zone(ctl, VIMG_CONTROL_ZONE_DETACH, &pool, argv[1], &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){pool.name, argv[1]},
                         _("Pool %1$s is detached from zone %2$s"), pool.name, argv[1]);
}

/* ---- delete --------------------------------------------------------------------------------- */

/* Those attached to zone @name alone: their uuids, which belong to @report, and their names. */
static gboolean
find_doomed(JsonObject *report, const char *name, GPtrArray *uuids, GPtrArray *names,
            GError **error)
{
    guint n = vimg_report_count(report, "zones");
    JsonObject *zone = NULL;

    for (guint i = 0; i < n && !zone; i++) {
        zone = vimg_report_element(report, "zones", i);
        if (g_strcmp0(vimg_report_string(zone, "name"), name) != 0)
            zone = NULL;
    }
    if (!zone)
        return vimg_throw(error, VIMG_ERROR_NO_POOL, _("no pool is attached to zone '%s'"), name);
    for (guint i = 0; i < vimg_report_count(zone, "pools"); i++) {
        JsonObject *pool = vimg_report_element(zone, "pools", i);
        const char *uuid = vimg_report_string(pool, "uuid");

        if (!vimg_report_truth(pool, "only") || !uuid)
            continue;
        g_ptr_array_add(uuids, (gpointer)uuid);
        g_ptr_array_add(names, vimg_text_safe(vimg_report_string(pool, "name")));
    }
    return TRUE;
}

static gboolean
confirm(VimgCtl *ctl, const char *name, GPtrArray *names, GError **error)
{
    g_autofree char *zone = vimg_text_safe(name);
    g_autofree char *list = NULL;
    g_autofree char *question = NULL;

    g_ptr_array_add(names, NULL);
    list = g_strjoinv(", ", (char **)names->pdata);
    if (*list)
        question = g_strdup_printf(
            _("Delete zone %1$s and the definitions of the pools attached to it alone: %2$s?  Their data stays."),
            zone, list);
    else
        question = g_strdup_printf(_("Delete zone %s?  No pool is attached to it alone."), zone);
    return vimg_ctl_confirm(ctl, question, error);
}

static gboolean
delete_zone(VimgCtl *ctl, char *name, GError **error)
{
    g_autoptr(GPtrArray) uuids = g_ptr_array_new();
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(JsonObject) report = get_zones(ctl, error);
    vimg_control_zone_delete_args args = {.zone = name};

    if (!report || !find_doomed(report, name, uuids, names, error) ||
        !confirm(ctl, name, names, error))
        return FALSE;
    args.uuids.uuids_len = uuids->len;
    args.uuids.uuids_val = (vimg_remote_text *)uuids->pdata;
    return vimg_ctl_call(ctl, VIMG_CONTROL_ZONE_DELETE,
                         (xdrproc_t)xdr_vimg_control_zone_delete_args, &args, NULL, NULL, error);
}

int
vimg_cmd_zone_delete(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"zone", NULL};
    g_autoptr(GError) error = NULL;

    if (!delete_zone(ctl, argv[0], &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){argv[0]}, _("Zone %s is deleted"),
                         argv[0]);
}
