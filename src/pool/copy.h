/*
 * copy.h: content from one image to another through the daemon, sparse kept
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_COPY_H
#define VIMG_POOL_COPY_H

#include "pool/intake.h"

/*
 * All that is left in @reader goes to @intake.  Either job may be cancelled, and shows how far it
 * is; they may be one.  @rate: bytes a second, holes not counted; 0: no limit.
 */
gboolean vimg_copy_extents(VimgReader *reader, VimgIntake *intake, VimgJob *from, VimgJob *to,
                           guint64 rate, GError **error);

#endif
