/*
 * oss-private.h: what the files of an object storage's client share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_OSS_PRIVATE_H
#define VIMG_ALIYUNEBS_OSS_PRIVATE_H

#include <pthread.h>

#include "oss.h"

struct _VimgOss {
    VimgWeb *web;
    char *scheme;
    char *authority; /* host, with the port if it is not the scheme's */
    char *bucket;
    char *region;
    VimgOssStyle style;
    VimgOssSignature signature;
    gint64 skew; /* through __atomic builtins */
    pthread_mutex_t lock;
    VimgCredential *credential; /* under the lock */
};

/* Sets @error from an answer that is one; @request gets the code of it. */
gboolean vimg_oss_throw(const VimgOss *oss, VimgOssRequest *request, GError **error);

#endif
