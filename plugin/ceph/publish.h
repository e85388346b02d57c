/*
 * publish.h: making a staged image an active one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_PUBLISH_H
#define VIMG_CEPH_PUBLISH_H

#include "record.h"

typedef struct {
    VimgCephStore *store;
    VimgCluster *cluster;
    VimgPluginJob *job;
    VimgCephRecord *record; /* .rbd is the staged image; .info and .digest are final */
    rbd_image_t image;      /* open, with all of its content */
} VimgCephPublication;

/*
 * Takes the snapshot, writes the record, renames: the only commit.  On failure the image is staged
 * as before.  VIMG_ERROR_VOL_EXISTS: another image has the name.
 */
gboolean vimg_ceph_publish(const VimgCephPublication *publication, GError **error);
/* A snapshot that an earlier attempt left is taken away. */
gboolean vimg_ceph_publish_undo(rbd_image_t image, GError **error);

#endif
