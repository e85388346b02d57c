/*
 * erase.h: removing an image for good
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_ERASE_H
#define VIMG_CEPH_ERASE_H

#include "record.h"

/*
 * Moves it to RBD's trash, where others find it protected for @delay seconds.  What is staged is
 * ours by its name, and has our metadata then, too.
 */
gboolean vimg_ceph_to_trash(VimgCluster *cluster, const VimgCephRecord *record, guint64 delay,
                            GError **error);
/*
 * Removes one of ours from RBD's trash, with its snapshots.  VIMG_ERROR_OPERATION_INVALID names up
 * to five images that were cloned from it, or the image that it still is; nothing is changed then.
 * From the moment it cannot fail that way any more nobody can restore it.  Without @job what takes
 * long is left to a cleanup.
 */
gboolean vimg_ceph_erase(VimgCluster *cluster, const VimgCephRecord *record, VimgPluginJob *job,
                         GError **error);
/* One of vimg_ceph_read_rests(), of @trash or not. */
gboolean vimg_ceph_erase_rest(VimgCluster *cluster, const VimgCephRecord *record, gboolean trash,
                              VimgPluginJob *job, GError **error);
/*
 * @out: (transfer full) NULL: nothing was cloned from it; else up to five of them, in words.  Those
 * of the same RADOS pool whose ids are in the set @but do not count; NULL: all do.
 */
gboolean vimg_ceph_name_children(VimgCluster *cluster, const char *id, GHashTable *but, char **out,
                                 GError **error);

#endif
