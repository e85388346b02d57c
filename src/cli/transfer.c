/*
 * transfer.c: what uploads and downloads share: losses of the connection, Ctrl-C, progress
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <libvirt/virterror.h>

#include "cli/text.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/i18n.h"

#define RETRY_DEFAULT 60
#define RETRY_MAX (7 * 24 * 3600)
#define PAUSE_FIRST (G_USEC_PER_SEC / 4) /* doubled after each attempt */
#define PAUSE_MAX (5 * G_USEC_PER_SEC)
#define LAST_WORDS 1000 /* milliseconds from the end of a stream to that of its daemon */

static volatile sig_atomic_t interrupted;

/* The second one does not wait for anything. */
static void
on_interrupt(int number)
{
    if (interrupted)
        _exit(VIMG_EXIT_INTERRUPTED);
    interrupted = 1;
}

void
vimg_transfer_catch(void)
{
    const struct sigaction action = {.sa_handler = on_interrupt};

    sigaction(SIGINT, &action, NULL);
}

gboolean
vimg_transfer_interrupted(void)
{
    return interrupted;
}

gboolean
vimg_transfer_tick(gpointer data)
{
    VimgTransfer *transfer = data;

    vimg_progress_update(transfer->progress, transfer->phase, transfer->done, transfer->total);
    return !interrupted;
}

gboolean
vimg_transfer_init(VimgTransfer *transfer, VimgCtl *ctl, const char *name)
{
    const char *retry = vimg_ctl_option(ctl, "retry");
    guint64 seconds = RETRY_DEFAULT;

    if (retry && !g_ascii_string_to_unsigned(retry, 10, 0, RETRY_MAX, &seconds, NULL)) {
        vimg_ctl_misused(ctl, _("--retry: '%s' is no number of seconds"), retry);
        return FALSE;
    }
    transfer->ctl = ctl;
    transfer->name = name;
    transfer->patience = (gint64)seconds * G_USEC_PER_SEC;
    transfer->began = g_get_monotonic_time();
    transfer->progress = vimg_progress_begin(ctl, name, TRUE);
    return TRUE;
}

void
vimg_transfer_clear(VimgTransfer *transfer)
{
    vimg_ctl_pool_clear(&transfer->pool);
    g_clear_pointer(&transfer->progress, vimg_progress_end);
}

/* ---- again ------------------------------------------------------------------------------ */

/* What passes once a daemon that was away has opened its pools and noticed that we were cut off. */
static gboolean
is_passing(const VimgTransfer *transfer, const GError *error)
{
    static const int codes[] = {VIMG_DAEMON_UNREACHABLE,  VIR_ERR_NO_STORAGE_POOL,
                                VIR_ERR_NO_STORAGE_VOL,   VIR_ERR_OPERATION_INVALID,
                                VIR_ERR_OPERATION_FAILED, VIR_ERR_RESOURCE_BUSY};

    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (error->code == codes[i])
            return transfer->give_up != 0 && !transfer->streaming;
    }
    return FALSE;
}

/* A daemon that stops ends its streams as one that was asked to cancel them, and then goes. */
static gboolean
goes_away(VimgDaemon *daemon)
{
    gint64 until = g_get_monotonic_time() + LAST_WORDS * 1000;

    while (daemon && g_get_monotonic_time() < until) {
        if (!vimg_daemon_wait(daemon, LAST_WORDS / 10, NULL))
            return TRUE;
    }
    return FALSE;
}

static gboolean
is_worth_another(VimgTransfer *transfer, guint64 before, const GError *error)
{
    gint64 now = g_get_monotonic_time();

    if (interrupted || transfer->patience == 0 || error->domain != VIMG_DAEMON_ERROR)
        return FALSE;
    if (error->code != VIMG_DAEMON_LOST && !is_passing(transfer, error) &&
        !(error->code == VIR_ERR_OPERATION_ABORTED && goes_away(transfer->ctl->daemon)))
        return FALSE;
    if (transfer->give_up == 0 || transfer->done > before)
        transfer->give_up = now + transfer->patience;
    return now < transfer->give_up;
}

static void
pause_for(VimgTransfer *transfer, gint64 pause)
{
    gint64 until = g_get_monotonic_time() + pause;

    while (vimg_transfer_tick(transfer) && g_get_monotonic_time() < until)
        g_usleep(50000);
}

static gboolean
try_once(VimgTransfer *transfer, const char *pool, VimgTransferFunc attempt, gpointer data,
         GError **error)
{
    transfer->streaming = FALSE;
    transfer->phase = NULL;
    vimg_ctl_pool_clear(&transfer->pool);
    return vimg_ctl_find_pool(transfer->ctl, pool, &transfer->pool, error) &&
           attempt(transfer, data, error);
}

gboolean
vimg_transfer_run(VimgTransfer *transfer, const char *pool, VimgTransferFunc attempt, gpointer data,
                  GError **error)
{
    gint64 pause = PAUSE_FIRST;

    vimg_transfer_catch();
    for (;;) {
        g_autoptr(GError) local = NULL;
        guint64 before = transfer->done;

        if (try_once(transfer, pool, attempt, data, &local))
            return TRUE;
        if (!is_worth_another(transfer, before, local)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        g_clear_pointer(&transfer->ctl->daemon, vimg_daemon_close);
        transfer->phase = _("waiting for the daemon");
        pause_for(transfer, pause);
        pause = transfer->done > before ? PAUSE_FIRST : MIN(pause * 2, PAUSE_MAX);
    }
}

/* What holds something else now had been wiped, and filled anew. */
static gboolean
is_same(const VimgImage *image, const VimgImage *found)
{
    return g_strcmp0(image->uuid, found->uuid) == 0 &&
           (!image->generation || !found->generation ||
            strcmp(image->generation, found->generation) == 0);
}

gboolean
vimg_transfer_take_image(VimgImage **image, VimgImage *found, GError **error)
{
    gboolean same = !*image || is_same(*image, found);

    if (!same)
        vimg_throw(error, VIMG_ERROR_OPERATION_INVALID, _("image '%s' is another one now"),
                   found->name);
    else if (*image && !found->generation) /* as while it is filled again */
        found->generation = g_steal_pointer(&(*image)->generation);
    vimg_image_free(same ? *image : found);
    if (same)
        *image = found;
    return same;
}

/* ---- the end ---------------------------------------------------------------------------- */

static void
print_json(const VimgTransfer *transfer, const VimgImage *image)
{
    g_autoptr(JsonObject) report = json_object_new();

    json_object_set_string_member(report, "pool", image->pool);
    json_object_set_string_member(report, "name", image->name);
    json_object_set_string_member(report, "uuid", image->uuid);
    json_object_set_int_member(report, "bytes", (gint64)transfer->total);
    json_object_set_int_member(report, "sent", (gint64)transfer->sent);
    json_object_set_double_member(
        report, "seconds", (double)((g_get_monotonic_time() - transfer->began) / 1000) / 1000);
    vimg_report_print(report);
}

char *
vimg_transfer_sizes(const VimgTransfer *transfer, const char *format, guint64 a, guint64 b)
{
    g_autofree char *one = vimg_text_size(a, transfer->ctl->bytes);
    g_autofree char *other = vimg_text_size(b, transfer->ctl->bytes);

    return g_strdup_printf(format, one, other);
}

int
vimg_transfer_end(VimgTransfer *transfer, const VimgImage *image, const char *text,
                  const GError *error)
{
    VimgCtl *ctl = transfer->ctl;

    g_clear_pointer(&transfer->progress, vimg_progress_end);
    if (error && interrupted) {
        fprintf(stderr, _("interrupted: %s\n"), text);
        return VIMG_EXIT_INTERRUPTED;
    }
    if (error)
        return vimg_ctl_fail(ctl, error);
    if (ctl->json)
        print_json(transfer, image);
    else if (!ctl->quiet && text)
        puts(text);
    return VIMG_EXIT_OK;
}
