/*
 * remove.h: taking a whole store away
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_REMOVE_H
#define VIMG_IMAGESTORE_REMOVE_H

#include "store.h"

/*
 * Removes everything a store is made of, the file that makes it one last.  What is not ours stays
 * and is logged by name.  VIMG_ERROR_BUSY while somebody holds a lease.
 */
gboolean vimg_slice_store_remove(VimgSliceStore *store, VimgPluginJob *job, GError **error);

#endif
