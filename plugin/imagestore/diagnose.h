/*
 * diagnose.h: the way to a store, step by step
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_DIAGNOSE_H
#define VIMG_IMAGESTORE_DIAGNOSE_H

#include "vimg-plugin.h"

/*
 * As the contract has it.  All that is written lies for a moment in a directory of its own below
 * pending/, which is removed; one that a crash leaves there is taken for the remains of a lease.
 */
gboolean vimg_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data,
                       VimgPluginJob *job, GError **error);

#endif
