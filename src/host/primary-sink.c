/*
 * primary-sink.c: content on its way into a volume of the host, the first piece last
 *
 * The host's daemon shows a volume from when it is made, and knows no state "unfinished".  What
 * stands at the beginning of a disk is what everybody looks for first, so that is written when all
 * the rest is there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/primary-private.h"

#define HEAD ((gsize)1024 * 1024)  /* bytes that come last */
#define PIECE ((gsize)1024 * 1024) /* bytes handed over at once */

struct _VimgHostSink {
    virConnectPtr connect;
    virStorageVolPtr vol;
    virStreamPtr stream; /* NULL: none is open */
    guint8 *head;
    gsize n_head;
};

VimgHostSink *
vimg_host_sink_new(virConnectPtr connect, virStorageVolPtr vol)
{
    VimgHostSink *sink = g_new0(VimgHostSink, 1);

    sink->connect = connect;
    sink->vol = vol;
    sink->head = g_malloc0(HEAD);
    return sink;
}

void
vimg_host_sink_free(VimgHostSink *sink)
{
    if (!sink)
        return;
    if (sink->stream) {
        virStreamAbort(sink->stream);
        virStreamFree(sink->stream);
    }
    g_free(sink->head);
    g_free(sink);
}

static gboolean
open_stream(VimgHostSink *sink, guint64 offset, guint64 length, guint flags, GError **error)
{
    sink->stream = virStreamNew(sink->connect, 0);
    if (!sink->stream)
        return vimg_host_throw(error);
    if (virStorageVolUpload(sink->vol, sink->stream, offset, length, flags) == 0)
        return TRUE;
    vimg_host_throw(error);
    g_clear_pointer(&sink->stream, virStreamFree);
    return FALSE;
}

/* It is closed whatever comes of it. */
static gboolean
close_stream(VimgHostSink *sink, GError **error)
{
    gboolean ok = virStreamFinish(sink->stream) == 0 || vimg_host_throw(error);

    g_clear_pointer(&sink->stream, virStreamFree);
    return ok;
}

static gboolean
send_bytes(VimgHostSink *sink, const guint8 *data, gsize size, GError **error)
{
    while (size > 0) {
        int sent = virStreamSend(sink->stream, (const char *)data, MIN(size, PIECE));

        if (sent < 0)
            return vimg_host_throw(error);
        data += sent;
        size -= (gsize)sent;
    }
    return TRUE;
}

static gboolean
need_stream(VimgHostSink *sink, GError **error)
{
    return sink->stream || open_stream(sink, HEAD, 0, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM, error);
}

gboolean
vimg_host_sink_write(VimgHostSink *sink, const guint8 *data, gsize size, GError **error)
{
    gsize first = MIN(size, HEAD - sink->n_head);

    memcpy(sink->head + sink->n_head, data, first);
    sink->n_head += first;
    if (first == size)
        return TRUE;
    return need_stream(sink, error) && send_bytes(sink, data + first, size - first, error);
}

gboolean
vimg_host_sink_hole(VimgHostSink *sink, guint64 length, GError **error)
{
    gsize first = (gsize)MIN(length, HEAD - sink->n_head);

    sink->n_head += first; /* it is zeros */
    if (first == length)
        return TRUE;
    return need_stream(sink, error) &&
           (virStreamSendHole(sink->stream, (long long)(length - first), 0) == 0 ||
            vimg_host_throw(error));
}

gboolean
vimg_host_sink_finish(VimgHostSink *sink, GError **error)
{
    if (sink->stream && !close_stream(sink, error))
        return FALSE;
    return sink->n_head == 0 ||
           (open_stream(sink, 0, sink->n_head, 0, error) &&
            send_bytes(sink, sink->head, sink->n_head, error) && close_stream(sink, error));
}
