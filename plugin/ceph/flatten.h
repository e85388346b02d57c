/*
 * flatten.h: giving a clone all of its content
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_FLATTEN_H
#define VIMG_CEPH_FLATTEN_H

#include "record.h"

/* For the table of callbacks. */
gboolean vimg_ceph_flatten(VimgCephStore *store, const char *uuid, VimgPluginJob *job,
                           VimgPluginImage *out, GError **error);
/* @image, open for writing, needs no parent any more; of its snapshots that is true only if RBD
 * says so. */
gboolean vimg_ceph_flatten_open(rbd_image_t image, VimgPluginJob *job, GError **error);

#endif
