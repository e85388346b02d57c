/*
 * diff.h: in what the content of two images differs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_DIFF_H
#define VIMG_CEPH_DIFF_H

#include "store.h"

/* For the table of callbacks. */
char *vimg_ceph_diff(VimgCephStore *store, const char *from, const char *to, VimgPluginJob *job,
                     GError **error);

#endif
