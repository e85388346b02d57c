/*
 * usage.h: what images take
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_USAGE_H
#define VIMG_ALIYUNEBS_USAGE_H

#include "store.h"

/* For the table of callbacks. */
char *vimg_ebs_usage(VimgEbsStore *store, VimgPluginJob *job, GError **error);

#endif
