/*
 * trash.h: deleted images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_TRASH_H
#define VIMG_CEPH_TRASH_H

#include "record.h"

/* For the table of callbacks. */
gboolean vimg_ceph_trash_list(VimgCephStore *store, VimgImageSink sink, gpointer data,
                              GError **error);
gboolean vimg_ceph_trash_restore(VimgCephStore *store, const char *uuid, const char *name,
                                 VimgPluginImage *out, GError **error);
gboolean vimg_ceph_trash_purge(VimgCephStore *store, const char *uuid, GError **error);

/* Returns: (transfer full) that of a deleted image; NULL with VIMG_ERROR_NO_VOL. */
VimgCephRecord *vimg_ceph_trash_find(VimgCephStore *store, const char *uuid, GError **error);

#endif
