/*
 * primary-clone.h: one clone of an image of ours into a pool of the host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_CLONE_H
#define VIMG_HOST_PRIMARY_CLONE_H

#include "host/primary-source.h"

#define VIMG_HOST_RAW "raw"
#define VIMG_HOST_QCOW2 "qcow2"

/* Of the thread that makes it. */
typedef struct {
    VimgHostPrimary *primary;
    virConnectPtr connect;
    VimgHostPool to;
    VimgSourceInfo info;
    VimgTransfer *transfer; /* the job */
    VimgVolumeDef *def;     /* what its client said */
    const char *xml;
    const char *format; /* of the volume */
    VimgHostWay way;
    VimgExtent first; /* of the image, which was looked at; all zeros: it was not */
    guint64 capacity; /* of the volume */
    virStorageVolPtr vol;
    VimgHostSink *sink; /* what fills .vol */
    gboolean sure;      /* .vol can only be ours: it was just made, or is being completed */
    gboolean beside;    /* there is another that was to take its place */
    gboolean replacing; /* it was made, and takes that */
} VimgHostClone;

/* ---- primary-choose.c: what is to be done ---------------------------------------------------- */

/* What @format is as bytes of a disk: optical discs are as raw as disks.  Returns: static, or
 * @format */
const char *vimg_host_stored_format(const char *format);
/* Sets .capacity. */
gboolean vimg_host_clone_choose_capacity(VimgHostClone *clone, GError **error);
/* Sets .format, .capacity and .way, and .first where the image had to be looked at for that. */
gboolean vimg_host_clone_choose(VimgHostClone *clone, GError **error);
/* Bytes that the volume is made with. */
guint64 vimg_host_clone_first_capacity(const VimgHostClone *clone);
/* Whether it is to have another one in the end. */
gboolean vimg_host_clone_grows(const VimgHostClone *clone);
/* Bytes that will come, or fewer: a mark within them is written over. */
guint64 vimg_host_clone_content(const VimgHostClone *clone);

#endif
