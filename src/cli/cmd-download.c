/*
 * cmd-download.c: virtimagectl download
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/checksum.h"
#include "cli/target.h"
#include "cli/text.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/i18n.h"
#include "wire/remote.h"

typedef struct {
    VimgChecksum checksum;
    gboolean afresh;
    VimgTarget *target;
    VimgImage *image;
} Download;

static gboolean
find(VimgTransfer *transfer, Download *download, GError **error)
{
    VimgImage *found = vimg_image_find(transfer->ctl, &transfer->pool, transfer->name, error);

    if (!found || !vimg_transfer_take_image(&download->image, found, error))
        return FALSE;
    transfer->total = download->image->physical;
    return vimg_target_open(download->target, download->image->uuid, download->image->generation,
                            download->afresh, error);
}

static gboolean
take(VimgTransfer *transfer, VimgTarget *target, const VimgStreamPiece *piece, GError **error)
{
    if (piece->length > transfer->total - target->at)
        return vimg_throw(error, VIMG_ERROR_DAMAGED,
                          _("more comes than the %1$llu bytes that image '%2$s' has"),
                          (unsigned long long)transfer->total, transfer->name);
    if (!(piece->data ? vimg_target_write(target, piece->data->data, piece->data->size, error)
                      : vimg_target_hole(target, piece->length, error)))
        return FALSE;
    transfer->done = target->at;
    transfer->sent += piece->data ? piece->length : 0;
    vimg_transfer_tick(transfer);
    return TRUE;
}

static gboolean
receive(VimgTransfer *transfer, VimgTarget *target, VimgStream *stream, GError **error)
{
    for (;;) {
        VimgStreamPiece piece;
        gboolean good;

        if (!vimg_stream_receive(stream, &piece, error))
            return FALSE;
        if (piece.length == 0)
            break;
        good = take(transfer, target, &piece, error);
        vimg_buffer_unref(piece.data);
        if (!good)
            return FALSE;
    }
    if (target->at < transfer->total)
        return vimg_throw(error, VIMG_ERROR_DAMAGED,
                          _("less came than the %1$llu bytes that image '%2$s' has"),
                          (unsigned long long)transfer->total, transfer->name);
    return vimg_stream_finish(stream, error);
}

/* A part that is longer than the image is not one of it. */
static gboolean
check_part(const VimgTransfer *transfer, VimgTarget *target, GError **error)
{
    if (!target->part || MAX(target->at, target->known) <= transfer->total)
        return TRUE;
    return vimg_target_restart(target, error);
}

static gboolean
fetch(VimgTransfer *transfer, const Download *download, GError **error)
{
    VimgTarget *target = download->target;
    g_autoptr(VimgStream) stream = NULL;
    vimg_remote_vol vol;
    gboolean good;

    transfer->done = target->at;
    vol = vimg_image_id(download->image);
    stream = vimg_stream_new(transfer->ctl->daemon, VIMG_REMOTE_VOL_DOWNLOAD, &vol, target->at,
                             vimg_target_is_sparse(target), error);
    if (!stream)
        return FALSE;
    transfer->streaming = TRUE;
    vimg_stream_set_tick(stream, vimg_transfer_tick, transfer);
    good = receive(transfer, target, stream, error);
    if (!good) {
        vimg_stream_abort(stream, NULL);
        vimg_target_checkpoint(target);
    }
    return good;
}

/* Whatever a part is worth, the file will be right. */
static gboolean
attempt(VimgTransfer *transfer, gpointer data, GError **error)
{
    Download *download = data;
    VimgTarget *target = download->target;
    g_autoptr(GError) local = NULL;

    if (!find(transfer, download, error) || !check_part(transfer, target, error))
        return FALSE;
    if (fetch(transfer, download, &local))
        return TRUE;
    if (target->is_stale)
        return vimg_target_restart(target, error) && fetch(transfer, download, error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* What was asked for, or nothing. */
static gboolean
complete(VimgTransfer *transfer, Download *download, GError **error)
{
    VimgTarget *target = download->target;

    transfer->phase = download->checksum.type ? _("verifying") : _("storing");
    if (download->checksum.type && !vimg_checksum_verify(&download->checksum, target->fd,
                                                         vimg_transfer_tick, transfer, error)) {
        if (vimg_transfer_interrupted())
            vimg_target_checkpoint(target);
        else
            vimg_target_discard(target);
        return FALSE;
    }
    return vimg_target_commit(target, error);
}

/* Returns: (transfer full) what an interrupted download leaves. */
static char *
describe_rest(const VimgTransfer *transfer, const VimgTarget *target)
{
    g_autofree char *part = vimg_text_safe(target->part);
    g_autofree char *text =
        vimg_transfer_sizes(transfer, _("%1$s of %2$s came"), target->at, transfer->total);

    if (!target->part)
        return g_steal_pointer(&text);
    return g_strdup_printf(_("%1$s to '%2$s'; the same command goes on from there"), text, part);
}

/* Only a file can be read again to be verified. */
static gboolean
check_arguments(VimgCtl *ctl, const Download *download, const char *path)
{
    struct stat info;

    if (download->checksum.type &&
        (g_str_equal(path, "-") || (stat(path, &info) == 0 && !S_ISREG(info.st_mode)))) {
        vimg_ctl_misused(ctl, "%s", _("--checksum needs a file to be downloaded to"));
        return FALSE;
    }
    if (g_str_equal(path, "-") && ctl->json) {
        vimg_ctl_misused(ctl, "%s", _("--json has no place beside content on standard output"));
        return FALSE;
    }
    if (g_str_equal(path, "-") && isatty(STDOUT_FILENO)) {
        vimg_ctl_misused(ctl, "%s",
                         _("standard output is a terminal: an image is not written to it"));
        return FALSE;
    }
    return TRUE;
}

int
vimg_cmd_download(VimgCtl *ctl, int argc, char **argv)
{
    const char *path = argc > 2 ? argv[2] : argv[1];
    g_auto(VimgTransfer) transfer = {0};
    g_autoptr(VimgTarget) target = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Download download = {.afresh = vimg_ctl_option(ctl, "no-resume") != NULL};
    int code = VIMG_EXIT_USAGE;

    if (vimg_checksum_option(ctl, &download.checksum) && check_arguments(ctl, &download, path) &&
        vimg_transfer_init(&transfer, ctl, argv[1])) {
        download.target = target = vimg_target_new(path, &error);
        if (target && vimg_transfer_run(&transfer, argv[0], attempt, &download, &error) &&
            complete(&transfer, &download, &error) && target->path)
            text = vimg_transfer_sizes(&transfer, _("%1$s downloaded, %2$s of it sent"),
                                       transfer.total, transfer.sent);
        else if (target && vimg_transfer_interrupted())
            text = describe_rest(&transfer, target);
        code = vimg_transfer_end(&transfer, download.image, text, error);
    }
    vimg_image_free(download.image);
    vimg_checksum_clear(&download.checksum);
    return code;
}
