/*
 * closing.h: closing an RBD image whose cluster may have stalled
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_CLOSING_H
#define VIMG_CEPH_CLOSING_H

#include "flow.h"
#include "stream.h"

/*
 * Ends @flow and @stream, which may be NULL, and closes @image, which they use.  What takes long,
 * as a cluster that stalled makes it take minutes, goes on without the caller; @cluster is held as
 * long.
 */
void vimg_ceph_closing(VimgCluster *cluster, rbd_image_t image, VimgCephFlow *flow,
                       VimgCephStream *stream);

#endif
