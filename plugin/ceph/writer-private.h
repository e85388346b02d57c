/*
 * writer-private.h: what the files of an upload share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_WRITER_PRIVATE_H
#define VIMG_CEPH_WRITER_PRIVATE_H

#include "flow.h"
#include "stream.h"
#include "writer.h"

struct _VimgCephWriter {
    VimgCephStore *store;
    VimgPluginJob *job;
    VimgCluster *cluster;
    VimgCephRecord *record; /* as it is saved */
    rbd_image_t image;      /* NULL: not open */
    VimgCephFlow *flow;
    VimgCephDigest *digest; /* NULL: none is wanted */
    guint64 durable;        /* end of what earlier uploads left */
    guint64 stored;         /* bytes that these took */
    guint64 at;             /* the next byte */
    guint64 size;           /* of the RBD image */
    gsize unit;
    VimgBuffer *block; /* what is not sent yet; NULL: nothing but zeros since the last multiple */
    guint64 block_start;
    guint64 noted; /* the position others see; through __atomic builtins */

    VimgCephStream *old; /* what is stored, from where it was read last; NULL: not read */
    guint64 old_at;
    VimgExtent piece; /* of @old, what was not taken yet */
};

gboolean vimg_ceph_writer_resize(VimgCephWriter *writer, guint64 size, GError **error);
/* All came and is durable: what vimg_ceph_writer_finish() does with seal. */
gboolean vimg_ceph_writer_seal(VimgCephWriter *writer, const VimgPluginImage *image,
                               VimgPluginImage *out, GError **error);

#endif
