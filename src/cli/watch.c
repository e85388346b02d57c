/*
 * watch.c: calls that may take hours: their progress, and their end by Ctrl-C
 *
 * The call and the events come on one connection, and the daemon says which jobs are of its calls.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <gio/gio.h>
#include <libvirt/virterror.h>

#include "cli/progress.h"
#include "cli/watch.h"
#include "util/i18n.h"

/* Milliseconds after which a signal is seen at the latest. */
#define LOOK_AGAIN 300

typedef struct {
    VimgCtl *ctl;
    const VimgWatched *watched;
    guint64 id; /* 0: not known yet */
    gboolean cancelled;
    VimgProgress *progress; /* NULL until something is known */
} Watch;

static volatile sig_atomic_t interrupted;

/* The second one does not wait for anything. */
static void
on_interrupt(int number)
{
    if (interrupted)
        _exit(VIMG_EXIT_INTERRUPTED);
    interrupted = 1;
}

/* A call may be several jobs, as of both images that it compares. */
static gboolean
is_ours(const Watch *watch, const vimg_control_job_event *event)
{
    const vimg_control_job *job = &event->job;

    return event->own && g_strcmp0(job->kind, watch->watched->kind) == 0 &&
           g_strcmp0(job->volume ? *job->volume : NULL, watch->watched->volume) == 0;
}

static void
on_event(const vimg_control_job_event *event, gpointer data)
{
    Watch *watch = data;
    const vimg_control_job *job = &event->job;

    if (watch->id == 0 && is_ours(watch, event))
        watch->id = job->id;
    if (watch->id == 0 || watch->id != job->id || event->ended)
        return;
    if (!watch->progress)
        watch->progress = vimg_progress_begin(
            watch->ctl, watch->watched->volume ? watch->watched->volume : job->kind,
            watch->watched->bytes);
    vimg_progress_update(watch->progress, *job->phase ? job->phase : NULL, job->done, job->total);
}

/* An older daemon tells of no jobs; then they are seen by their end alone. */
static void
watch_jobs(VimgCtl *ctl)
{
    vimg_control_watch_args args = {.on = TRUE};

    vimg_ctl_call(ctl, VIMG_CONTROL_JOB_WATCH, (xdrproc_t)xdr_vimg_control_watch_args, &args, NULL,
                  NULL, NULL);
}

/* ---- cancelling ----------------------------------------------------------------------------- */

/* What cannot be cancelled yet, because it has not begun, is tried again. */
static void
cancel(Watch *watch)
{
    vimg_control_job_args args;

    if (watch->id == 0)
        return;
    args.id = watch->id;
    watch->cancelled = TRUE;
    vimg_ctl_call(watch->ctl, VIMG_CONTROL_JOB_CANCEL, (xdrproc_t)xdr_vimg_control_job_args, &args,
                  NULL, NULL, NULL);
    g_clear_pointer(&watch->progress, vimg_progress_end);
    if (!watch->ctl->quiet)
        fputs(_("cancelling; again leaves at once, and the job to the daemon\n"), stderr);
}

/* ---- the call ------------------------------------------------------------------------------- */

static gboolean
wait_for(Watch *watch, gint32 serial, GError **error)
{
    VimgDaemon *daemon = watch->ctl->daemon;

    while (!vimg_daemon_answered(daemon, serial)) {
        if (!vimg_daemon_wait(daemon, LOOK_AGAIN, error))
            return FALSE;
        if (interrupted && !watch->cancelled)
            cancel(watch);
    }
    return TRUE;
}

static gboolean
run(Watch *watch, gint32 procedure, xdrproc_t args_proc, gpointer args, xdrproc_t ret_proc,
    gpointer ret, GError **error)
{
    gint32 serial = vimg_daemon_start(watch->ctl->daemon, VIMG_PROGRAM_CONTROL, procedure,
                                      args_proc, args, error);

    return serial >= 0 && wait_for(watch, serial, error) &&
           vimg_daemon_finish(watch->ctl->daemon, serial, ret_proc, ret, error);
}

/* Ours is not an error of the daemon: it did what it was asked. */
static void
say_interrupted(const Watch *watch, GError **error)
{
    if (!interrupted || !g_error_matches(*error, VIMG_DAEMON_ERROR, VIR_ERR_OPERATION_ABORTED))
        return;
    g_clear_error(error);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, watch->watched->left);
}

gboolean
vimg_watch_call(VimgCtl *ctl, const VimgWatched *watched, gint32 procedure, xdrproc_t args_proc,
                gpointer args, xdrproc_t ret_proc, gpointer ret, GError **error)
{
    const struct sigaction action = {.sa_handler = on_interrupt}; /* calls are not restarted */
    Watch watch = {.ctl = ctl, .watched = watched};
    g_autoptr(GError) local = NULL;
    struct sigaction before;

    if (!vimg_ctl_daemon(ctl, error))
        return FALSE;
    vimg_daemon_set_event(ctl->daemon, on_event, &watch);
    watch_jobs(ctl);
    sigaction(SIGINT, &action, &before);
    run(&watch, procedure, args_proc, args, ret_proc, ret, &local);
    sigaction(SIGINT, &before, NULL);
    vimg_daemon_set_event(ctl->daemon, NULL, NULL);
    vimg_progress_end(watch.progress);
    if (!local)
        return TRUE;
    say_interrupted(&watch, &local);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

JsonObject *
vimg_watch_report(VimgCtl *ctl, const VimgWatched *watched, gint32 procedure, xdrproc_t args_proc,
                  gpointer args, GError **error)
{
    vimg_control_report ret = {0};
    JsonObject *report = NULL;

    if (vimg_watch_call(ctl, watched, procedure, args_proc, args,
                        (xdrproc_t)xdr_vimg_control_report, &ret, error))
        report = vimg_report_parse(ret.value, error);
    xdr_free((xdrproc_t)xdr_vimg_control_report, (char *)&ret);
    return report;
}
