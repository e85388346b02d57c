/*
 * flow.h: writing to an RBD image, many blocks at a time
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_FLOW_H
#define VIMG_CEPH_FLOW_H

#include "store.h"

typedef struct _VimgCephFlow VimgCephFlow;

/* @image stays the caller's, and open until the flow is freed. */
VimgCephFlow *vimg_ceph_flow_new(rbd_image_t image, VimgPluginJob *job);
/* Accepts NULL.  Waits for what is on its way. */
void vimg_ceph_flow_free(VimgCephFlow *flow);

/*
 * Writes all of @block to @offset but its runs of zeros; FALSE also if an earlier one failed.
 * Blocks come in the order of their offsets.
 */
gboolean vimg_ceph_flow_push(VimgCephFlow *flow, VimgBuffer *block, guint64 offset, GError **error);
/* Waits until all is durable. */
gboolean vimg_ceph_flow_drain(VimgCephFlow *flow, GError **error);
/* Returns: offset of the first block that is not durable; @otherwise if all are. */
guint64 vimg_ceph_flow_durable(VimgCephFlow *flow, guint64 otherwise);
/* Whether a write failed: there is no use in others. */
gboolean vimg_ceph_flow_has_failed(VimgCephFlow *flow);
/* Returns: bytes that were sent; from any thread. */
guint64 vimg_ceph_flow_sent(const VimgCephFlow *flow);

#endif
