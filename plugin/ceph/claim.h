/*
 * claim.h: who has a name
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_CLAIM_H
#define VIMG_CEPH_CLAIM_H

#include "cluster.h"

/* VIMG_ERROR_VOL_EXISTS: another image has the name.  Taking it twice is taking it once. */
gboolean vimg_ceph_claim_take(VimgCluster *cluster, const char *name, const char *uuid,
                              GError **error);
/* Not that of another image, to which the name went meanwhile. */
gboolean vimg_ceph_claim_release(VimgCluster *cluster, const char *name, const char *uuid,
                                 GError **error);
/* As vimg_ceph_claim_release(), where a failure changes nothing: a cleanup will see to it. */
void vimg_ceph_claim_drop(VimgCluster *cluster, const char *name, const char *uuid);

/* A claim as it lies there. */
typedef struct {
    char *name;
    char *uuid;
    gint64 made; /* seconds since 1970 */
} VimgCephClaim;

/* Returns: (transfer full) of VimgCephClaim. */
GPtrArray *vimg_ceph_claim_list(VimgCluster *cluster, GError **error);
/* Releases one that is left over, with what is left of the making of its image. */
gboolean vimg_ceph_claim_clean(VimgCluster *cluster, const VimgCephClaim *claim, GError **error);
/* Removes the list itself; all claims were released before. */
gboolean vimg_ceph_claim_forget(VimgCluster *cluster, GError **error);
/* @out: whether the image is nowhere, and the claim older than @age seconds. */
gboolean vimg_ceph_claim_is_left_over(VimgCluster *cluster, const VimgCephClaim *claim, guint64 age,
                                      gboolean *out, GError **error);

#endif
