/*
 * stream.h: the content of one image on its way to a daemon or from it
 *
 * A connection has one at a time.  The functions wait; while they do, what vimg_stream_set_tick()
 * was given is asked at least four times a second whether to go on.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_STREAM_H
#define VIMG_CLI_STREAM_H

#include "cli/daemon.h"

#define VIMG_STREAM_PACKET (1024 * 1024) /* bytes that one packet brings to a daemon at most */

typedef struct _VimgStream VimgStream;

/*
 * Begins @procedure, VIMG_REMOTE_VOL_UPLOAD or _DOWNLOAD, at @offset of the image @vol and to its
 * end; with @sparse, holes come as such, as a stream to a daemon always may have them.
 */
VimgStream *vimg_stream_new(VimgDaemon *daemon, gint32 procedure, const vimg_remote_vol *vol,
                            guint64 offset, gboolean sparse, GError **error);
/* Packets of a stream that has not ended are dropped from now on.  Accepts NULL. */
void vimg_stream_free(VimgStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgStream, vimg_stream_free)

/*
 * FALSE ends what waits with VIMG_ERROR_ABORTED; a packet that was half sent gets some seconds
 * more, so that the stream can still be ended in order.
 */
typedef gboolean (*VimgStreamTickFunc)(gpointer data);
void vimg_stream_set_tick(VimgStream *stream, VimgStreamTickFunc tick, gpointer data);

/* @size bytes, at most VIMG_STREAM_PACKET, of the file @fd at @offset, without being copied here.
 */
gboolean vimg_stream_send_file(VimgStream *stream, int fd, guint64 offset, gsize size,
                               GError **error);
/* @size bytes, at most VIMG_STREAM_PACKET, at @data. */
gboolean vimg_stream_send_data(VimgStream *stream, const void *data, gsize size, GError **error);
gboolean vimg_stream_send_hole(VimgStream *stream, guint64 length, GError **error);

/* What came next: data, or a hole of @length bytes; neither at the end.  Clear it. */
typedef struct {
    VimgBuffer *data;
    guint64 length;
} VimgStreamPiece;

gboolean vimg_stream_receive(VimgStream *stream, VimgStreamPiece *piece, GError **error);

/* All was sent, or received: waits until the daemon has it for good. */
gboolean vimg_stream_finish(VimgStream *stream, GError **error);
/* No more of it.  Waits a few seconds for the daemon to know, tick or not. */
gboolean vimg_stream_abort(VimgStream *stream, GError **error);

#endif
