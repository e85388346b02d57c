/*
 * primary-sink.h: where content of a volume of the host goes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_SINK_H
#define VIMG_HOST_PRIMARY_SINK_H

#include "host/primary-journal.h"

typedef struct _VimgHostSink VimgHostSink;

/*
 * Content from its first byte on.  The first piece is kept back and comes last, so that what was
 * interrupted has no header, no partition table and no boot sector.
 */
VimgHostSink *vimg_host_sink_new(virConnectPtr connect, virStorageVolPtr vol,
                                 const VimgHostEntry *entry, const VimgHostPool *pool,
                                 VimgTransfer *source);
gboolean vimg_host_sink_write(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                              GError **error);
gboolean vimg_host_sink_hole(VimgHostSink *sink, guint64 length, GError **error);
/* The same as write, of what may be zeros that nobody knew of: they are holes. */
gboolean vimg_host_sink_data(VimgHostSink *sink, VimgBuffer *buffer, gsize offset, gsize size,
                             GError **error);
/* All but the first piece is there. */
gboolean vimg_host_sink_rest(VimgHostSink *sink, GError **error);
/*
 * The first one too, but with the mark in it, so that it is what others can change, and whoever
 * dies then leaves what is known to be unfinished.  Of a qcow2 volume alone, in whose first piece
 * that is a place for nothing; VIMG_ERROR_OPERATION_UNSUPPORTED: it is not.
 */
gboolean vimg_host_sink_head(VimgHostSink *sink, GError **error);
/* The first one too, or what is missing of it, so it is complete. */
gboolean vimg_host_sink_finish(VimgHostSink *sink, GError **error);
/* Whether the volume that was written is, where that can be told, still the one of its path. */
gboolean vimg_host_sink_is_there(VimgHostSink *sink, GError **error);
/* If its storage hangs: @entry is left when that answers, by whoever hears of it.  FALSE: it does
 * not. */
gboolean vimg_host_sink_hand_over(VimgHostSink *sink, VimgHostEntry *entry);
/* Whether this daemon holds the very file, so that nothing it does is done by name. */
gboolean vimg_host_sink_has_file(const VimgHostSink *sink);
void vimg_host_sink_stop(VimgHostSink *sink); /* nothing comes into it any more */
void vimg_host_sink_free(VimgHostSink *sink); /* accepts NULL; aborts what is not finished */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHostSink, vimg_host_sink_free)

#endif
