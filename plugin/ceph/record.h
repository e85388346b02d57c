/*
 * record.h: what we keep on an RBD image about the image it is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_RECORD_H
#define VIMG_CEPH_RECORD_H

#include "store.h"

/* An image as it lies in the cluster. */
typedef struct {
    char *rbd;            /* name of the RBD image */
    char *id;             /* RBD's own id, for the trash; "" in the first format of RBD */
    gboolean ours;        /* it has metadata of ours */
    gboolean snapshots;   /* it has or had some */
    gboolean purged;      /* it is in the trash and what is left of it shall go */
    gboolean begun;       /* an upload or a clone, so there may be more in it than is noted */
    char *digest;         /* of the content, as of digest.h, for verify; NULL: none */
    VimgPluginImage info; /* of an image of other tools the uuid is made of its RBD id */
} VimgCephRecord;

/* Returns: (transfer full) one of ours with what @image says. */
VimgCephRecord *vimg_ceph_record_new(const VimgPluginImage *image);
/* Accepts NULL. */
void vimg_ceph_record_free(VimgCephRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgCephRecord, vimg_ceph_record_free)

/*
 * The JSON object of @record and back, which sets what it says but for .rbd and .ours; hostile text
 * is VIMG_ERROR_DAMAGED.  The id of the RBD image is in it, since RBD gives what it copies or
 * clones the metadata of its source: with another id it says nothing about the image it is on.
 */
char *vimg_ceph_record_format(const VimgCephRecord *record);
gboolean vimg_ceph_record_parse(VimgCephRecord *record, const char *text, GError **error);

/* Whether its content is not complete yet. */
gboolean vimg_ceph_record_is_staged(const VimgCephRecord *record);
/*
 * Whether it is the second RBD image of one that is converted: no image by itself.  While the first
 * one is staged and has .info.uploaded_format, the second may be active already.
 */
gboolean vimg_ceph_record_is_second(const VimgCephRecord *record);
/*
 * An active image of ours is wiped by putting another RBD image in its place, and is written to no
 * more: so the id of that tells its content.  Other tools write to theirs as they like.
 */
void vimg_ceph_record_settle_generation(VimgCephRecord *record);
/* Hands what is known of the image over to @out. */
void vimg_ceph_record_give(VimgCephRecord *record, VimgPluginImage *out);

/* All images of the RADOS pool, those of @trash or the others.  Returns: (transfer full) array. */
GPtrArray *vimg_ceph_record_list(VimgCephStore *store, gboolean trash, GError **error);
/* The one of @uuid, out of @records.  Returns: (transfer full); NULL: there is none. */
VimgCephRecord *vimg_ceph_record_pick(GPtrArray *records, const char *uuid);
/* Returns: (transfer full); NULL with VIMG_ERROR_NO_VOL. */
VimgCephRecord *vimg_ceph_record_find(VimgCephStore *store, const char *uuid, GError **error);
/*
 * As @known is now, which hours later may be something else: who changes one member of it saves
 * this one.  VIMG_ERROR_BUSY: it is complete now, or no more.  Returns: (transfer full)
 */
VimgCephRecord *vimg_ceph_record_again(VimgCluster *cluster, const VimgCephRecord *known,
                                       GError **error);
/* Writes it to the open image @image. */
gboolean vimg_ceph_record_save(rbd_image_t image, const VimgCephRecord *record, GError **error);

#endif
