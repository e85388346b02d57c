/*
 * stream.h: reading an RBD image, many blocks ahead and without its holes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_STREAM_H
#define VIMG_CEPH_STREAM_H

#include "digest.h"
#include "store.h"

typedef struct _VimgCephStream VimgCephStream;

/*
 * Content of @image from @start to @end, at most to its own end; @image stays the caller's, and
 * open until the stream is freed.  Returns: (transfer full); NULL with @error.
 */
VimgCephStream *vimg_ceph_stream_new(rbd_image_t image, guint64 start, guint64 end,
                                     VimgPluginJob *job, GError **error);
/* Accepts NULL.  Waits for what is on its way. */
void vimg_ceph_stream_free(VimgCephStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephStream, vimg_ceph_stream_free)

/* As reader_next() of the contract. */
gboolean vimg_ceph_stream_next(VimgCephStream *stream, VimgExtent *out, GError **error);
/* As zeros() of the contract, of what was not handed out: in the place of the one above. */
gboolean vimg_ceph_stream_zeros(VimgCephStream *stream, VimgZerosSink sink, gpointer data,
                                GError **error);

/* @data, NULL for zeros, comes next in @digest; terabytes of them take their time. */
gboolean vimg_ceph_stream_sum(VimgCephDigest *digest, const guint8 *data, guint64 size,
                              VimgPluginJob *job, GError **error);
/* The first @length bytes, which are read for it, are added to @digest, a new one. */
gboolean vimg_ceph_stream_digest(rbd_image_t image, guint64 length, VimgCephDigest *digest,
                                 VimgPluginJob *job, GError **error);

/* Bytes of a block in which it is good to read or write @image. */
gboolean vimg_ceph_stream_unit(rbd_image_t image, gsize *out, GError **error);
/* Bytes that objects of @image take, from what RBD knows of them without reading. */
gboolean vimg_ceph_stream_used(rbd_image_t image, guint64 *out, GError **error);

#endif
