/*
 * image.h: the images of a store: listing, making, changing and removing them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_IMAGE_H
#define VIMG_CEPH_IMAGE_H

#include "record.h"

/* For the table of callbacks. */
gboolean vimg_ceph_image_list(VimgCephStore *store, VimgImageSink sink, gpointer data,
                              GError **error);
gboolean vimg_ceph_image_list_whole(VimgCephStore *store, VimgImageSink sink, gpointer data,
                                    GError **error);
gboolean vimg_ceph_image_create(VimgCephStore *store, const VimgPluginImage *image,
                                VimgPluginImage *out, GError **error);
gboolean vimg_ceph_image_stat(VimgCephStore *store, const char *uuid, VimgPluginImage *out,
                              GError **error);
gboolean vimg_ceph_image_remove(VimgCephStore *store, const char *uuid, GError **error);
gboolean vimg_ceph_image_discard(VimgCephStore *store, const char *uuid, GError **error);
gboolean vimg_ceph_image_resize(VimgCephStore *store, const char *uuid, guint64 capacity,
                                GError **error);
gboolean vimg_ceph_image_wipe(VimgCephStore *store, const char *uuid, GError **error);
gboolean vimg_ceph_image_set_error(VimgCephStore *store, const char *uuid, const char *reason,
                                   GError **error);
gboolean vimg_ceph_image_set_metadata(VimgCephStore *store, const VimgPluginImage *change,
                                      GError **error);

/* Throws unless @record is of an image of ours. */
gboolean vimg_ceph_image_check_ours(const VimgCephRecord *record, GError **error);
/* Makes the empty RBD image that @record is uploaded to; nothing is left of what failed. */
gboolean vimg_ceph_image_stage(VimgCephStore *store, VimgCluster *cluster,
                               const VimgCephRecord *record, GError **error);

/*
 * Makes an empty RBD image, with the features and the object size that the cluster's administrator
 * chose for all images.  Returns: 0, or a negative errno.
 */
int vimg_ceph_image_make(VimgCluster *cluster, const char *name, guint64 size);
/* Cut off or made longer; @job may be NULL. */
gboolean vimg_ceph_image_cut(rbd_image_t image, guint64 size, VimgPluginJob *job, GError **error);

#endif
