/*
 * verify.h: reading everything again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_VERIFY_H
#define VIMG_IMAGESTORE_VERIFY_H

#include "store.h"

/*
 * Checks every slice, then every image; or the slices of image @uuid alone.  What is cancelled, or
 * ended by a crash, goes on where it was.  Returns: (transfer full) the report, as the contract
 * says, with "slices": {"checked", "bad", "missing", "foreign"}; NULL with @error.
 */
char *vimg_verify(VimgSliceStore *store, const char *uuid, VimgPluginJob *job, GError **error);

#endif
