/*
 * diagnose.h: the way to a bucket and a control endpoint, step by step
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_DIAGNOSE_H
#define VIMG_ALIYUNEBS_DIAGNOSE_H

#include "vimg-plugin.h"

/* For the table of callbacks. */
gboolean vimg_ebs_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data,
                           VimgPluginJob *job, GError **error);

#endif
