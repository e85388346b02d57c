/*
 * usage.h: what images take
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_USAGE_H
#define VIMG_CEPH_USAGE_H

#include "store.h"

/* For the table of callbacks. */
char *vimg_ceph_usage(VimgCephStore *store, VimgPluginJob *job, GError **error);

#endif
