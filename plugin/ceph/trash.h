/*
 * trash.h: deleted images
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_TRASH_H
#define VIMG_CEPH_TRASH_H

#include "store.h"

/* For the table of callbacks. */
gboolean vimg_ceph_trash_list(VimgCephStore *store, VimgImageSink sink, gpointer data,
                              GError **error);
gboolean vimg_ceph_trash_restore(VimgCephStore *store, const char *uuid, const char *name,
                                 VimgPluginImage *out, GError **error);
gboolean vimg_ceph_trash_purge(VimgCephStore *store, const char *uuid, GError **error);

#endif
