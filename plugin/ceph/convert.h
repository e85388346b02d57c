/*
 * convert.h: from what was uploaded to what is stored
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_CONVERT_H
#define VIMG_CEPH_CONVERT_H

#include "record.h"

/* Whether images of @format are stored as what they are to their guest. */
gboolean vimg_ceph_convert_wanted(const char *format);
/*
 * The raw content of @staged, an image of @format whose bytes are all durable, goes to a second
 * staged image.  Returns: (transfer full) its record, but for the digest, and *@out, open; NULL
 * with @error, and nothing is left; @no_image: it never will be one.
 */
VimgCephRecord *vimg_ceph_convert(VimgCluster *cluster, const VimgCephRecord *staged,
                                  const char *format, guint64 length, VimgPluginJob *job,
                                  rbd_image_t *out, gboolean *no_image, GError **error);
/*
 * Removes a second image that an earlier attempt left, however far it came.  VIMG_ERROR_BUSY:
 * whoever wrote it died less than half a minute ago.
 */
gboolean vimg_ceph_convert_undo(VimgCluster *cluster, const VimgCephRecord *staged,
                                VimgPluginJob *job, GError **error);

#endif
