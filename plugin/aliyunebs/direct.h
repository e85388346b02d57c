/*
 * direct.h: URLs of the storage itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_DIRECT_H
#define VIMG_ALIYUNEBS_DIRECT_H

#include "record.h"

/* As direct_url() of the contract. */
char *vimg_ebs_direct_url(VimgEbsStore *store, const char *uuid, gint64 until, VimgPluginJob *job,
                          GError **error);

#endif
