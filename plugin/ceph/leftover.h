/*
 * leftover.h: what uploads and clones left when they died
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_LEFTOVER_H
#define VIMG_CEPH_LEFTOVER_H

#include "record.h"

/* Whether anything is in it, also of a parent.  Returns: 0, or a negative errno */
int vimg_ceph_leftover_content(rbd_image_t image, gboolean *content);
/*
 * @record: of a staged image.  @why: (transfer full) why it may go; NULL: it may not.  That it is
 * open somewhere is VIMG_ERROR_BUSY, if only that keeps it.
 */
gboolean vimg_ceph_leftover_judge(VimgCluster *cluster, const VimgCephRecord *record, guint64 age,
                                  char **why, GError **error);
gboolean vimg_ceph_leftover_remove(VimgCluster *cluster, const VimgCephRecord *record,
                                   VimgPluginJob *job, GError **error);

#endif
