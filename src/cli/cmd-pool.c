/*
 * cmd-pool.c: virtimagectl status, doctor and pool-…: what a pool is, and what is said of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/table.h"
#include "cli/text.h"
#include "cli/watch.h"
#include "util/i18n.h"

/* ---- status --------------------------------------------------------------------------------- */

/* Why those that cannot be used cannot. */
static void
show_errors(VimgCtl *ctl, JsonObject *report)
{
    guint n = vimg_report_count(report, "pools");

    for (guint i = 0; i < n; i++) {
        JsonObject *pool = vimg_report_element(report, "pools", i);
        const char *why = vimg_report_string(pool, "error");
        g_autofree char *text = NULL;
        g_autofree char *safe = NULL;

        if (!why || g_strcmp0(vimg_report_string(pool, "status"), "connected") == 0)
            continue;
        text = g_strdup_printf("%s: %s", vimg_report_string(pool, "name"), why);
        safe = vimg_text_safe(text);
        vimg_text_print(safe, 2, ctl->columns);
    }
}

/* The host's own daemon may have taken a name of ours meanwhile. */
static void
show_hiding(VimgCtl *ctl, JsonObject *report)
{
    guint n = vimg_report_count(report, "pools");

    for (guint i = 0; i < n; i++) {
        JsonObject *pool = vimg_report_element(report, "pools", i);
        const char *hides = vimg_report_string(pool, "hides");
        g_autofree char *text = NULL;
        g_autofree char *safe = NULL;

        if (!hides)
            continue;
        text = g_strdup_printf(
            _("%1$s hides storage pool %2$s of the host's own libvirt daemon: rename one of them, as by virtimagectl pool-rename"),
            vimg_report_string(pool, "name"), hides);
        safe = vimg_text_safe(text);
        vimg_text_print(safe, 2, ctl->columns);
    }
}

static void
show_status(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Pool"), "name", VIMG_CELL_TEXT, 0},
        {N_("State"), "state", VIMG_CELL_WORD, 2},
        {N_("Status"), "status", VIMG_CELL_WORD, 0},
        {N_("Images"), "images", VIMG_CELL_NUMBER, 5},
        {N_("Capacity"), "capacity", VIMG_CELL_SIZE, 3},
        {N_("Available"), "available", VIMG_CELL_SIZE, 1},
        {N_("Dedup"), "dedup_ratio", VIMG_CELL_RATIO, 6},
        {N_("Compression"), "compression_ratio", VIMG_CELL_RATIO, 7},
        {N_("Jobs"), "jobs", VIMG_CELL_COUNT, 4},
    };

    vimg_table_print(ctl, report, "pools", columns, G_N_ELEMENTS(columns));
    show_errors(ctl, report);
    show_hiding(ctl, report);
}

static void
show_pool(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn fields[] = {
        {N_("Pool"), "name", VIMG_CELL_TEXT, 0},
        {N_("UUID"), "uuid", VIMG_CELL_TEXT, 0},
        {N_("Type"), "type", VIMG_CELL_TEXT, 0},
        {N_("State"), "state", VIMG_CELL_WORD, 0},
        {N_("Status"), "status", VIMG_CELL_WORD, 0},
        {N_("Persistent"), "persistent", VIMG_CELL_TRUTH, 0},
        {N_("Autostart"), "autostart", VIMG_CELL_TRUTH, 0},
        {N_("Last error"), "error", VIMG_CELL_TEXT, 0},
        {N_("Time of error"), "error_time", VIMG_CELL_TIME, 0},
        {N_("Capacity"), "capacity", VIMG_CELL_SIZE, 0},
        {N_("Allocation"), "allocation", VIMG_CELL_SIZE, 0},
        {N_("Available"), "available", VIMG_CELL_SIZE, 0},
        {N_("Reserved"), "reserved", VIMG_CELL_SIZE, 0},
        {N_("Images"), "images", VIMG_CELL_NUMBER, 0},
        {N_("Being saved"), "saving", VIMG_CELL_NUMBER, 0},
        {N_("Damaged"), "damaged", VIMG_CELL_NUMBER, 0},
        {N_("Size of images"), "logical", VIMG_CELL_SIZE, 0},
        {N_("Stored"), "stored", VIMG_CELL_SIZE, 0},
        {N_("Dedup"), "dedup_ratio", VIMG_CELL_RATIO, 0},
        {N_("Compression"), "compression_ratio", VIMG_CELL_RATIO, 0},
        {N_("Jobs"), "jobs", VIMG_CELL_COUNT, 0},
    };

    if (vimg_report_count(report, "pools") > 0)
        vimg_fields_print(ctl, vimg_report_element(report, "pools", 0), fields,
                          G_N_ELEMENTS(fields));
    show_hiding(ctl, report);
}

int
vimg_cmd_status(VimgCtl *ctl, int argc, char **argv)
{
    vimg_remote_text pool = argc > 0 ? argv[0] : NULL;
    vimg_control_status_args args = {pool ? &pool : NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) report = vimg_ctl_report(
        ctl, VIMG_CONTROL_STATUS, (xdrproc_t)xdr_vimg_control_status_args, &args, &error);

    return vimg_ctl_show(ctl, report, pool ? show_pool : show_status, error);
}

/* ---- doctor --------------------------------------------------------------------------------- */

static const struct {
    const char *verdict;
    const char *word;
} verdicts[] = {{"ok", N_("ok")},
                {"warning", N_("warning")},
                {"failed", N_("failed")},
                {"skipped", N_("not tried")}};

/* Steps of the backends we know; others name theirs as they like. */
static const char *const step_names[] = {
    N_("backend"),   N_("definition"), N_("zone"),       N_("connection"), N_("storage"),
    N_("record"),    N_("directory"),  N_("filesystem"), N_("store"),      N_("space"),
    N_("files"),     N_("latency"),    N_("clock"),      N_("leases"),     N_("images"),
    N_("leftovers"), N_("damage"),     N_("resolve"),    N_("connect"),    N_("key-exchange"),
    N_("host-key"),  N_("login"),      N_("subsystem"),  N_("path"),       N_("server"),
};

/* Returns: (transfer full) */
static char *
step_name(JsonObject *step)
{
    const char *name = vimg_report_string(step, "step");

    for (gsize i = 0; name && i < G_N_ELEMENTS(step_names); i++)
        if (strcmp(name, step_names[i]) == 0)
            return g_strdup(_(step_names[i]));
    return vimg_text_safe(name);
}

static const char *
verdict_word(JsonObject *step)
{
    const char *verdict = vimg_report_string(step, "verdict");

    for (gsize i = 0; i < G_N_ELEMENTS(verdicts); i++)
        if (g_strcmp0(verdict, verdicts[i].verdict) == 0)
            return _(verdicts[i].word);
    return "?";
}

/* Each step in words; what is to be done stands below it. */
static void
show_doctor(VimgCtl *ctl, JsonObject *report)
{
    guint n = vimg_report_count(report, "steps");

    for (guint i = 0; i < n; i++) {
        JsonObject *step = vimg_report_element(report, "steps", i);
        g_autofree char *name = step_name(step);
        g_autofree char *detail = vimg_text_safe(vimg_report_string(step, "detail"));
        g_autofree char *remedy = vimg_text_safe(vimg_report_string(step, "remedy"));
        g_autofree char *line = g_strdup_printf("[%s] %s: %s", verdict_word(step), name, detail);

        vimg_text_print(line, 4, ctl->columns);
        if (strcmp(remedy, "-") == 0)
            continue;
        fputs("    > ", stdout);
        vimg_text_print(remedy, 6, ctl->columns);
    }
}

static gboolean
has_failed(JsonObject *report)
{
    guint n = vimg_report_count(report, "steps");

    for (guint i = 0; i < n; i++)
        if (g_strcmp0(vimg_report_string(vimg_report_element(report, "steps", i), "verdict"),
                      "failed") == 0)
            return TRUE;
    return FALSE;
}

int
vimg_cmd_doctor(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    int code;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {"doctor", NULL, FALSE, _("nothing was changed")};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_POOL_DOCTOR,
                                   (xdrproc_t)xdr_vimg_remote_pool, &pool, &error);
    }
    code = vimg_ctl_show(ctl, report, show_doctor, error);
    return report && has_failed(report) ? VIMG_EXIT_PROBLEM : code;
}

/* ---- changes -------------------------------------------------------------------------------- */

static int
set_enabled(VimgCtl *ctl, const char *name, gboolean enabled)
{
    static const char *const names[] = {"pool", "state", NULL};
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(GError) error = NULL;
    vimg_control_enable_args args = {.enabled = enabled};

    if (!vimg_ctl_find_pool(ctl, name, &pool, &error))
        return vimg_ctl_fail(ctl, error);
    args.pool = pool;
    if (!vimg_ctl_call(ctl, VIMG_CONTROL_POOL_ENABLE, (xdrproc_t)xdr_vimg_control_enable_args,
                       &args, NULL, NULL, &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names,
                         (const char *const[]){pool.name, enabled ? "enabled" : "disabled"},
                         enabled ? _("Pool %s is enabled")
                                 : _("Pool %s is disabled: nothing is added to it or deleted"),
                         pool.name);
}

int
vimg_cmd_pool_enable(VimgCtl *ctl, int argc, char **argv)
{
    return set_enabled(ctl, argv[0], TRUE);
}

int
vimg_cmd_pool_disable(VimgCtl *ctl, int argc, char **argv)
{
    return set_enabled(ctl, argv[0], FALSE);
}

int
vimg_cmd_pool_describe(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"pool", "description", NULL};
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(GError) error = NULL;
    vimg_control_describe_args args = {.description = *argv[1] ? &argv[1] : NULL};

    if (!vimg_ctl_find_pool(ctl, argv[0], &pool, &error))
        return vimg_ctl_fail(ctl, error);
    args.pool = pool;
    if (!vimg_ctl_call(ctl, VIMG_CONTROL_POOL_DESCRIBE, (xdrproc_t)xdr_vimg_control_describe_args,
                       &args, NULL, NULL, &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){pool.name, argv[1]},
                         _("Pool %s is described"), pool.name);
}

int
vimg_cmd_pool_rename(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"pool", "was", NULL};
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(GError) error = NULL;
    vimg_control_rename_args args = {.name = argv[1]};

    if (!vimg_ctl_find_pool(ctl, argv[0], &pool, &error))
        return vimg_ctl_fail(ctl, error);
    args.pool = pool;
    if (!vimg_ctl_call(ctl, VIMG_CONTROL_POOL_RENAME, (xdrproc_t)xdr_vimg_control_rename_args,
                       &args, NULL, NULL, &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){argv[1], pool.name},
                         _("Pool %1$s is named %2$s"), pool.name, argv[1]);
}

int
vimg_cmd_host_key_accept(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"pool", "fingerprint", NULL};
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(GError) error = NULL;
    vimg_control_host_key_args args = {.fingerprint = argv[1]};

    if (!vimg_ctl_find_pool(ctl, argv[0], &pool, &error))
        return vimg_ctl_fail(ctl, error);
    args.pool = pool;
    if (!vimg_ctl_call(ctl, VIMG_CONTROL_HOST_KEY_ACCEPT, (xdrproc_t)xdr_vimg_control_host_key_args,
                       &args, NULL, NULL, &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){pool.name, argv[1]},
                         _("The server of pool %s is known by this key now"), pool.name);
}
