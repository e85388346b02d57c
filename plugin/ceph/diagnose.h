/*
 * diagnose.h: the way to a RADOS pool, step by step
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_DIAGNOSE_H
#define VIMG_CEPH_DIAGNOSE_H

#include "vimg-plugin.h"

/* As the contract has it. */
gboolean vimg_ceph_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data,
                            VimgPluginJob *job, GError **error);

#endif
