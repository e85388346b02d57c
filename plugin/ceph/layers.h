/*
 * layers.h: what images have of their own, and what of those they were cloned from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_LAYERS_H
#define VIMG_CEPH_LAYERS_H

#include "record.h"

/* What one RBD image takes; what it was cloned from lies below. */
typedef struct _VimgCephLayer VimgCephLayer;
struct _VimgCephLayer {
    char *id;
    guint64 own;     /* bytes */
    gboolean needed; /* by clones, wherever they are */
    const VimgCephLayer *below;
};

/* Layers are looked at once, and are @layers'. */
GHashTable *vimg_ceph_layers_new(void);
/*
 * Returns: (transfer none) the layer of @record and, in .below, those of the same RADOS pool that
 * it needs; NULL with @error.
 */
const VimgCephLayer *vimg_ceph_layers_look(GHashTable *layers, VimgCluster *cluster,
                                           const VimgCephRecord *record, GError **error);

#endif
