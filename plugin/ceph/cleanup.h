/*
 * cleanup.h: removing what nobody needs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_CLEANUP_H
#define VIMG_CEPH_CLEANUP_H

#include "store.h"

/* For the table of callbacks. */
char *vimg_ceph_cleanup(VimgCephStore *store, gboolean dry_run, VimgPluginJob *job, GError **error);

#endif
