/*
 * machine-fill.c: the content of an image becomes that of a disk
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "cli/machine-file.h"
#include "cli/machine-fill.h"
#include "cli/machine-nbd.h"
#include "cli/stream.h"
#include "cli/transfer.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"
#include "wire/remote.h"

static gboolean
tick(gpointer data)
{
    VimgFill *fill = data;

    vimg_progress_update(fill->progress, fill->phase, *fill->done, fill->total);
    return !vimg_transfer_interrupted();
}

static gboolean
put(VimgFill *fill, VimgNbd *nbd, const VimgStreamPiece *piece, guint64 at, GError **error)
{
    if (piece->length > vimg_nbd_size(nbd) - at)
        return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                          _("image '%1$s' is larger than the disk at '%2$s'"), fill->image->name,
                          fill->path);
    if (piece->data)
        return vimg_nbd_write(nbd, piece->data->data, piece->data->size, at, error);
    return fill->zeroed || vimg_nbd_zero(nbd, piece->length, at, error);
}

static gboolean
receive(VimgFill *fill, VimgNbd *nbd, VimgStream *stream, GError **error)
{
    guint64 at = 0;

    for (;;) {
        VimgStreamPiece piece;
        gboolean ok;

        if (!vimg_stream_receive(stream, &piece, error))
            return FALSE;
        if (piece.length == 0)
            break;
        ok = put(fill, nbd, &piece, at, error);
        at += piece.length;
        *fill->done += piece.length;
        vimg_buffer_unref(piece.data);
        if (!ok || !tick(fill))
            return ok ? vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("interrupted")) : FALSE;
    }
    /* a disk may be larger than what is put on it, but for what it held before */
    return fill->zeroed || at == vimg_nbd_size(nbd) ||
           vimg_nbd_zero(nbd, vimg_nbd_size(nbd) - at, at, error);
}

static gboolean
sync_path(const char *path, GError **error)
{
    vimg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);

    return (fd >= 0 && fsync(fd) == 0) || vimg_throw_errno(error, "'%s'", path);
}

gboolean
vimg_fill_run(VimgFill *fill, GError **error)
{
    vimg_remote_vol vol = vimg_image_id(fill->image);
    g_autoptr(VimgNbd) nbd = vimg_nbd_open(fill->path, fill->format, TRUE, error);
    g_autoptr(VimgStream) stream = NULL;

    if (nbd)
        stream = vimg_stream_new(fill->ctl->daemon, VIMG_REMOTE_VOL_DOWNLOAD, &vol, 0, TRUE, error);
    if (!stream)
        return FALSE;
    vimg_stream_set_tick(stream, tick, fill);
    if (!receive(fill, nbd, stream, error)) {
        vimg_stream_abort(stream, NULL);
        return FALSE;
    }
    if (!vimg_stream_finish(stream, error) || !vimg_nbd_flush(nbd, error))
        return FALSE;
    g_clear_pointer(&nbd, vimg_nbd_free);
    return sync_path(fill->path, error);
}

gboolean
vimg_fill_create(VimgUndo *undo, const char *path, const char *format, guint64 size, GError **error)
{
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    char *argv[] = {"qemu-img", "create", "-q", "-f", (char *)format, (char *)path, bytes, NULL};
    g_autofree char *said = NULL;
    int status;

    if (!vimg_file_create(undo, path, error))
        return FALSE;
    /* into the file that is there */
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL,
                      NULL, NULL, &said, &status, error))
        return FALSE;
    return status == 0 ||
           vimg_throw(error, VIMG_ERROR_SYSTEM, _("qemu-img cannot make the disk at '%1$s': %2$s"),
                      path, g_strchomp(said));
}
