/*
 * copy.h: content from one image to another through the daemon, sparse kept
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_COPY_H
#define VIMG_POOL_COPY_H

#include "pool/backend.h"
#include "pool/job.h"

/*
 * All that is left in @reader goes to @writer.  Either job may be cancelled; both show how far it
 * is.  *@copied: bytes, holes included.
 */
gboolean vimg_copy_extents(VimgReader *reader, VimgWriter *writer, VimgJob *from, VimgJob *to,
                           guint64 *copied, GError **error);

#endif
