/*
 * machine-base.c: the image before, of which the next one has what was not changed
 *
 * It is read from the store that the next one goes to, so what is sent is there already: nothing of
 * it is stored again, and of the machine's disk nothing is read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/machine-base.h"
#include "util/error.h"
#include "util/i18n.h"
#include "wire/remote.h"

struct _VimgBase {
    VimgDaemon *daemon;
    VimgStream *stream;
    guint64 at;            /* of the first byte of @piece */
    VimgStreamPiece piece; /* what came last */
    const char *name;
};

VimgBase *
vimg_base_open(VimgCtl *ctl, const VimgImage *image, GError **error)
{
    g_autoptr(VimgBase) base = g_new0(VimgBase, 1);
    vimg_remote_vol vol = vimg_image_id(image);

    base->name = image->name;
    base->daemon = vimg_daemon_open(ctl->uri, FALSE, error);
    if (base->daemon)
        base->stream =
            vimg_stream_new(base->daemon, VIMG_REMOTE_VOL_DOWNLOAD, &vol, 0, TRUE, error);
    return base->stream ? g_steal_pointer(&base) : NULL;
}

void
vimg_base_free(VimgBase *base)
{
    if (!base)
        return;
    vimg_buffer_unref(base->piece.data);
    vimg_stream_free(base->stream);
    vimg_daemon_close(base->daemon);
    g_free(base);
}

void
vimg_base_set_tick(VimgBase *base, VimgStreamTickFunc tick, gpointer data)
{
    vimg_stream_set_tick(base->stream, tick, data);
}

/* Gets on to the piece that @offset lies in. */
static gboolean
reach(VimgBase *base, guint64 offset, GError **error)
{
    while (base->at + base->piece.length <= offset) {
        base->at += base->piece.length;
        vimg_buffer_unref(base->piece.data);
        base->piece = (VimgStreamPiece){0};
        if (!vimg_stream_receive(base->stream, &base->piece, error))
            return FALSE;
        if (base->piece.length == 0)
            return vimg_throw(error, VIMG_ERROR_DAMAGED, _("image '%s' is shorter than its disk"),
                              base->name);
    }
    return TRUE;
}

gboolean
vimg_base_send(VimgBase *base, VimgStream *to, guint64 offset, guint64 length, GError **error)
{
    while (length > 0) {
        guint64 skip, step;

        if (!reach(base, offset, error))
            return FALSE;
        skip = offset - base->at;
        step = MIN(length, base->piece.length - skip);
        if (base->piece.data)
            step = MIN(step, VIMG_STREAM_PACKET);
        if (!(base->piece.data
                  ? vimg_stream_send_data(to, base->piece.data->data + skip, (gsize)step, error)
                  : vimg_stream_send_hole(to, step, error)))
            return FALSE;
        offset += step;
        length -= step;
    }
    return TRUE;
}
