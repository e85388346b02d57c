/*
 * listing.h: what lies in a RADOS pool, read many at a time and without opening images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_LISTING_H
#define VIMG_CEPH_LISTING_H

#include "record.h"

/*
 * All of the pool, also what clients do not see: rubbish, and in the trash what is not ours.
 * Returns: (transfer full) of VimgCephRecord.
 */
GPtrArray *vimg_ceph_read_all(VimgCluster *cluster, gboolean trash, GError **error);
/* Whether each name leads to an image that can be read, but for those that are being made. */
gboolean vimg_ceph_check_whole(VimgCluster *cluster, GError **error);
/* Of a record with .rbd and .id.  Returns: 0, or a negative errno. */
int vimg_ceph_read_one(VimgCluster *cluster, VimgCephRecord *record);
/* Whether clients see it as an image, or as one in the trash. */
gboolean vimg_ceph_is_shown(const VimgCephRecord *record);
/* The image that was just made, or is in the trash, has this id of RBD: found without a search. */
void vimg_ceph_remember(VimgCephStore *store, const char *uuid, const char *id);
/*
 * What has no header, since it was cut short while it was made or removed, and can be told to be
 * ours by its name, of @trash or not.  Returns: (transfer full) array of VimgCephRecord that have
 * but .rbd and .id.
 */
GPtrArray *vimg_ceph_read_rests(VimgCluster *cluster, gboolean trash, GError **error);

#endif
