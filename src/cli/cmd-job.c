/*
 * cmd-job.c: virtimagectl jobs, job-cancel and metrics
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/ctl.h"
#include "cli/table.h"
#include "cli/text.h"
#include "util/i18n.h"

/* ---- jobs ----------------------------------------------------------------------------------- */

static JsonObject *
job_to_json(const vimg_control_job *job)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "id", (gint64)job->id);
    json_object_set_string_member(object, "pool", job->pool);
    json_object_set_string_member(object, "volume", job->volume ? *job->volume : NULL);
    json_object_set_string_member(object, "kind", job->kind);
    json_object_set_string_member(object, "phase", job->phase);
    json_object_set_int_member(object, "done", (gint64)job->done);
    json_object_set_int_member(object, "total", (gint64)job->total);
    json_object_set_int_member(object, "started", job->started);
    json_object_set_boolean_member(object, "cancelled", job->cancelled != 0);
    return object;
}

static void
show_jobs(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Id"), "id", VIMG_CELL_NUMBER, 0},
        {N_("Kind"), "kind", VIMG_CELL_TEXT, 0},
        {N_("Pool"), "pool", VIMG_CELL_TEXT, 1},
        {N_("Image"), "volume", VIMG_CELL_TEXT, 2},
        {N_("Phase"), "phase", VIMG_CELL_TEXT, 5},
        {N_("Done"), NULL, VIMG_CELL_PERCENT, 0},
        {N_("Since"), "started", VIMG_CELL_TIME, 3},
        {N_("Cancelled"), "cancelled", VIMG_CELL_TRUTH, 4},
    };

    vimg_table_print(ctl, report, "jobs", columns, G_N_ELEMENTS(columns));
}

int
vimg_cmd_jobs(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(JsonObject) report = json_object_new();
    JsonArray *jobs = json_array_new();
    vimg_control_jobs_ret ret = {0};
    g_autoptr(GError) error = NULL;
    gboolean ok = vimg_ctl_call(ctl, VIMG_CONTROL_JOB_LIST, NULL, NULL,
                                (xdrproc_t)xdr_vimg_control_jobs_ret, &ret, &error);

    for (u_int i = 0; ok && i < ret.jobs.jobs_len; i++)
        json_array_add_object_element(jobs, job_to_json(&ret.jobs.jobs_val[i]));
    json_object_set_array_member(report, "jobs", jobs);
    xdr_free((xdrproc_t)xdr_vimg_control_jobs_ret, (char *)&ret);
    return vimg_ctl_show(ctl, ok ? report : NULL, show_jobs, error);
}

int
vimg_cmd_job_cancel(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"job", NULL};
    vimg_control_job_args args;
    g_autoptr(GError) error = NULL;
    guint64 id;
    int code;

    if (!g_ascii_string_to_unsigned(argv[0], 10, 1, G_MAXINT64, &id, NULL))
        return vimg_ctl_misused(ctl, _("'%s' is not the number of a job"), argv[0]);
    args.id = id;
    if (!vimg_ctl_call(ctl, VIMG_CONTROL_JOB_CANCEL, (xdrproc_t)xdr_vimg_control_job_args, &args,
                       NULL, NULL, &error)) {
        /* it is a number: of no job */
        code = vimg_ctl_fail(ctl, error);
        return code == VIMG_EXIT_USAGE ? VIMG_EXIT_NOT_FOUND : code;
    }
    return vimg_ctl_done(ctl, names, (const char *const[]){argv[0]}, _("Job %s is being cancelled"),
                         argv[0]);
}

/* ---- metrics -------------------------------------------------------------------------------- */

/* For a terminal: of what is no visible character, line feeds alone. */
static void
print_metrics(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i] && (lines[i][0] || lines[i + 1]); i++) {
        g_autofree char *safe = vimg_text_safe(lines[i]);

        puts(safe);
    }
}

int
vimg_cmd_metrics(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(JsonObject) report = json_object_new();
    vimg_control_report ret = {0};
    g_autoptr(GError) error = NULL;
    gboolean ok = vimg_ctl_call(ctl, VIMG_CONTROL_METRICS, NULL, NULL,
                                (xdrproc_t)xdr_vimg_control_report, &ret, &error);

    if (ok && ctl->json) {
        json_object_set_string_member(report, "openmetrics", ret.value);
        vimg_report_print(report);
    } else if (ok && ctl->columns > 0) {
        print_metrics(ret.value);
    } else if (ok) {
        fputs(ret.value, stdout);
    }
    xdr_free((xdrproc_t)xdr_vimg_control_report, (char *)&ret);
    return ok ? VIMG_EXIT_OK : vimg_ctl_fail(ctl, error);
}
