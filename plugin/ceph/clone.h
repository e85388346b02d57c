/*
 * clone.h: a second image of the same content
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_CLONE_H
#define VIMG_CEPH_CLONE_H

#include "record.h"

/*
 * For the table of callbacks.  An image of other tools is not cloned but copied, since a clone of
 * it would be one more that it cannot be removed without: VIMG_ERROR_NO_SUPPORT.
 */
gboolean vimg_ceph_clone(VimgCephStore *store, const char *source, const VimgPluginImage *image,
                         VimgPluginJob *job, VimgPluginImage *out, GError **error);
/* The same of an image of @other, in the same cluster; else VIMG_ERROR_NO_SUPPORT. */
gboolean vimg_ceph_clone_from(VimgCephStore *store, VimgCephStore *other, const char *source,
                              const VimgPluginImage *image, VimgPluginJob *job,
                              VimgPluginImage *out, GError **error);
/* The image @uuid, if it can be cloned.  Returns: (transfer full) */
VimgCephRecord *vimg_ceph_clone_source(VimgCephStore *store, const char *uuid, GError **error);
/* The RBD image @to of @cluster shares the snapshot of @from, which is at @io.  Returns: an errno
 */
int vimg_ceph_clone_rbd(VimgCluster *cluster, rados_ioctx_t io, const char *from, const char *to);

/* The same of any snapshot, in clone @format 1 or 2. */
int vimg_ceph_clone_at(VimgCluster *cluster, rados_ioctx_t io, const char *from,
                       const char *snapshot, const char *to, guint64 format);
/* How an image becomes a clone; whose it is, is taken care of. */
typedef struct {
    VimgCephStore *store;
    VimgCluster *cluster;
    VimgPluginJob *job;
    gboolean flatten; /* it shall need nothing else */
    guint64 bytes;    /* that it takes then */
    /* Makes the RBD image @to of @cluster, or nothing. */
    gboolean (*clone)(VimgCluster *cluster, const char *to, gpointer data, GError **error);
    /* NULL, or called when it is active: completes @record. */
    void (*published)(rbd_image_t image, VimgCephRecord *record, gpointer data);
    gpointer data;
} VimgCephCloning;

/* Returns: (transfer full) of a clone called as @image, of @size bytes. */
VimgCephRecord *vimg_ceph_clone_record(const VimgPluginImage *image, const char *format,
                                       guint64 size);
/* Claims the name of @record, clones, and makes the clone active.  Nothing is left of what failed.
 */
gboolean vimg_ceph_clone_make(const VimgCephCloning *cloning, VimgCephRecord *record,
                              VimgPluginImage *out, GError **error);

#endif
