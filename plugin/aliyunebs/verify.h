/*
 * verify.h: reading images again, to see whether they are what was uploaded
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_VERIFY_H
#define VIMG_ALIYUNEBS_VERIFY_H

#include "store.h"

/* For the table of callbacks. */
char *vimg_ebs_verify(VimgEbsStore *store, const char *uuid, VimgPluginJob *job, GError **error);

#endif
