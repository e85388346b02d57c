/*
 * primary-source.h: where that comes from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_SOURCE_H
#define VIMG_HOST_PRIMARY_SOURCE_H

#include "host/primary-sink.h"

typedef enum {
    VIMG_HOST_AS_IS,
    VIMG_HOST_TO_RAW,
    VIMG_HOST_TO_QCOW2,
} VimgHostWay;

typedef struct {
    VimgHostPrimary *primary;
    VimgTransfer *transfer; /* the job, and the content as it is stored */
    const VimgSourceInfo *info;
    VimgHostWay way;
    guint64 capacity;  /* of what is made anew as qcow2, at least */
    VimgExtent *first; /* of the content, if it was read already; taken */
} VimgHostSource;

/* All of the image into @sink; *@size: bytes of what it became. */
gboolean vimg_host_source_pour(const VimgHostSource *source, VimgHostSink *sink, guint64 *size,
                               GError **error);

#endif
