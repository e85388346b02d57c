/*
 * clone.h: images with the content of another one, copied inside of the storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CLONE_H
#define VIMG_ALIYUNEBS_CLONE_H

#include "record.h"

/* For the table of callbacks. */
gboolean vimg_ebs_clone(VimgEbsStore *store, const char *source, const VimgPluginImage *image,
                        VimgPluginJob *job, VimgPluginImage *out, GError **error);

#endif
