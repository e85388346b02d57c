/*
 * foreign.h: volumes in RADOS pools that libvirt manages
 *
 * libvirt makes, lists and removes them, but can neither fill nor read them.  Nothing of ours is
 * put on them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_FOREIGN_H
#define VIMG_CEPH_FOREIGN_H

#include "store.h"

#define VIMG_CEPH_FOREIGN "rbd" /* libvirt's type of pools */

typedef struct _VimgCephForeignWriter VimgCephForeignWriter;
typedef struct _VimgCephForeignReader VimgCephForeignReader;

/* For the table of callbacks; a handle is a VimgCluster. */
gpointer vimg_ceph_foreign_open(const VimgPluginPool *pool, GError **error);
void vimg_ceph_foreign_close(gpointer foreign);
gboolean vimg_ceph_foreign_identity(gpointer foreign, const char *volume, char **identity,
                                    GError **error);
gpointer vimg_ceph_foreign_writer(gpointer foreign, const char *volume, guint64 offset,
                                  VimgPluginJob *job, GError **error);
gboolean vimg_ceph_foreign_write(gpointer writer, VimgBuffer *buffer, gsize offset, guint64 size,
                                 GError **error);
gboolean vimg_ceph_foreign_finish(gpointer writer, GError **error);
void vimg_ceph_foreign_abort(gpointer writer);
gpointer vimg_ceph_foreign_reader(gpointer foreign, const char *volume, VimgPluginJob *job,
                                  GError **error);
gboolean vimg_ceph_foreign_next(gpointer reader, VimgExtent *out, GError **error);
void vimg_ceph_foreign_reader_close(gpointer reader);

/* foreign-clone.c */
gboolean vimg_ceph_foreign_clone(gpointer foreign, const char *volume, guint64 capacity,
                                 gpointer handle, const char *uuid, VimgPluginJob *job,
                                 GError **error);

/* foreign-replace.c */
gboolean vimg_ceph_foreign_take_place(gpointer foreign, const char *volume, const char *identity,
                                      const char *by, const char *away, GError **error);
gboolean vimg_ceph_foreign_settle(gpointer foreign, const char *volume, const char *identity,
                                  const char *second, const char *by, const char *away,
                                  gboolean *kept, GError **error);
/* Removes @volume by the name @away.  Returns: 0, or a negative errno; -EEXIST: it is not @identity
 * or holds something, and has its own name again */
int vimg_ceph_foreign_put_away(VimgCluster *cluster, const char *volume, const char *identity,
                               const char *away);

/* foreign-fresh.c */
gboolean vimg_ceph_foreign_fresh(gpointer foreign, const char *volume, guint64 capacity,
                                 gint64 since, gint64 until, gboolean *fresh, GError **error);
/* Whether it holds nothing, is no clone and has no snapshots.  Returns: 0, or a negative errno */
int vimg_ceph_foreign_is_blank(rbd_image_t image, gboolean *blank);

/* foreign-image.c */
gboolean vimg_ceph_foreign_image(gpointer foreign, const char *volume, gpointer handle,
                                 const VimgPluginImage *image, VimgPluginJob *job,
                                 VimgPluginImage *out, GError **error);

/* since.c */
gboolean vimg_ceph_foreign_hold(gpointer foreign, const char *volume, const char *moment,
                                GError **error);
gboolean vimg_ceph_foreign_drop(gpointer foreign, const char *volume, const char *moment,
                                GError **error);
gpointer vimg_ceph_foreign_reader_at(gpointer foreign, const char *volume, const char *moment,
                                     const char *since, VimgPluginJob *job, GError **error);
gboolean vimg_ceph_foreign_next_at(gpointer reader, VimgExtent *out, gboolean *same,
                                   GError **error);
void vimg_ceph_foreign_close_at(gpointer reader);

#endif
