/*
 * cleanup.h: removing what nobody needs, or all of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CLEANUP_H
#define VIMG_ALIYUNEBS_CLEANUP_H

#include "store.h"

/* For the table of callbacks. */
char *vimg_ebs_cleanup(VimgEbsStore *store, gboolean dry_run, VimgPluginJob *job, GError **error);
/* For pool-delete: all below the prefix that is ours, at the control endpoint, too. */
gboolean vimg_ebs_remove_all(VimgEbsStore *store, VimgPluginJob *job, GError **error);

#endif
