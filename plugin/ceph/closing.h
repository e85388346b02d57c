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

/*
 * The same for one that was opened only to be read: nobody waits for its end, as it holds no lock
 * and no watch, and it stays open for a moment more.  For librbd 16.2.15 tells that an image, or a
 * clone with its source, is open while another thread still completes that: closed at once, it
 * would be freed under it.  (One thread, librados_thread_count=1, would do one thing after the
 * other, but waits for itself in rbd_snap_unprotect() for ever.)
 */
void vimg_ceph_closing_read(VimgCluster *cluster, rbd_image_t image, VimgCephStream *stream);
/* Waits for all of these, but no longer than some seconds: before a pool ends, and the process may.
 */
void vimg_ceph_closing_settle(void);

#endif
