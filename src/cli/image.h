/*
 * image.h: an image of a pool, as the daemon's documents say
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_IMAGE_H
#define VIMG_CLI_IMAGE_H

#include "cli/ctl.h"

/* Absent texts are NULL, absent numbers 0. */
typedef struct {
    char *pool, *name, *key; /* what procedures know it by */
    char *uuid;
    char *generation; /* which content of all that it had; NULL: not known */
    char *state;      /* saving, active or error */
    char *reason;
    char *format;
    char *checksum_type, *checksum;
    char *parent; /* uuid of the image before */
    char *machine, *machine_disk, *snapshot,
        *machine_name; /* what it is of; see machine-history.h */
    guint64 physical;  /* bytes of a download */
    guint64 position;  /* of a saving one: where an upload may go on */
    gint64 created;    /* seconds since 1970 */
} VimgImage;

void vimg_image_free(VimgImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgImage, vimg_image_free)

/* Of an image that is there no error comes but VIR_ERR_NO_STORAGE_VOL. */
VimgImage *vimg_image_find(VimgCtl *ctl, const VimgCtlPool *pool, const char *name, GError **error);
/* Returns: (transfer full) {"pool": …, "volumes": […]}, what `list --json` prints. */
JsonObject *vimg_image_list(VimgCtl *ctl, const VimgCtlPool *pool, GError **error);
/* @xml: a <volume> document. */
VimgImage *vimg_image_create(VimgCtl *ctl, const VimgCtlPool *pool, const char *xml,
                             GError **error);
/* The same, of what @volume of the host's @pool_of holds; @flags as of
 * virStorageVolCreateXMLFrom().
 */
VimgImage *vimg_image_create_from(VimgCtl *ctl, const VimgCtlPool *pool, const char *xml,
                                  const char *pool_of, const char *volume, guint flags,
                                  GError **error);
/* @image becomes a volume of the document @xml in @pool, of the host. */
gboolean vimg_image_clone_to(VimgCtl *ctl, const VimgImage *image, const vimg_remote_pool *pool,
                             const char *xml, GError **error);
gboolean vimg_image_delete(VimgCtl *ctl, const VimgImage *image, GError **error);
/* It is there still, and empty. */
gboolean vimg_image_wipe(VimgCtl *ctl, const VimgImage *image, GError **error);

/* What procedures take; borrowed. */
vimg_remote_vol vimg_image_id(const VimgImage *image);

/* Reads the <volume> document @xml into @image, which has its ids.  For tests. */
gboolean vimg_image_parse(VimgImage *image, const char *xml, GError **error);

#endif
