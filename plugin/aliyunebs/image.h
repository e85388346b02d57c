/*
 * image.h: the images of a store, and those in its trash
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_IMAGE_H
#define VIMG_ALIYUNEBS_IMAGE_H

#include "record.h"

/* For the table of callbacks. */
gboolean vimg_ebs_image_list(VimgEbsStore *store, gboolean trash, gboolean whole,
                             VimgImageSink sink, gpointer data, GError **error);
gboolean vimg_ebs_image_create(VimgEbsStore *store, const VimgPluginImage *image,
                               VimgPluginImage *out, GError **error);
gboolean vimg_ebs_image_stat(VimgEbsStore *store, const char *uuid, VimgPluginImage *out,
                             GError **error);
gboolean vimg_ebs_image_remove(VimgEbsStore *store, const char *uuid, GError **error);
gboolean vimg_ebs_image_discard(VimgEbsStore *store, const char *uuid, GError **error);
gboolean vimg_ebs_image_restore(VimgEbsStore *store, const char *uuid, const char *name,
                                VimgPluginImage *out, GError **error);
gboolean vimg_ebs_image_purge(VimgEbsStore *store, const char *uuid, GError **error);
gboolean vimg_ebs_image_resize(VimgEbsStore *store, const char *uuid, guint64 capacity,
                               GError **error);
gboolean vimg_ebs_image_wipe(VimgEbsStore *store, const char *uuid, GError **error);
gboolean vimg_ebs_image_set_error(VimgEbsStore *store, const char *uuid, const char *reason,
                                  GError **error);
gboolean vimg_ebs_image_set_metadata(VimgEbsStore *store, const VimgPluginImage *change,
                                     GError **error);

/* Returns: (transfer full) one that is not in the trash; NULL with VIMG_ERROR_NO_VOL. */
VimgEbsRecord *vimg_ebs_image_find(VimgEbsSite *site, const char *uuid,
                                   const VimgPatience *patience, GError **error);
/* The same, but one in the trash is taken that this host has promised to somebody. */
VimgEbsRecord *vimg_ebs_image_find_kept(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                                        const VimgPatience *patience, GError **error);
/* VIMG_ERROR_OPERATION_INVALID: it is active. */
gboolean vimg_ebs_image_check_staged(const VimgEbsRecord *record, GError **error);

#endif
