/*
 * spare.h: space put by for emptying a full file system
 *
 * To remove something takes space first: for a lease or for the run of a collector.  The file
 * gc/spare keeps some.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SPARE_H
#define VIMG_IMAGESTORE_SPARE_H

#include "transport.h"

#define VIMG_SPARE_FILE "gc/spare"

/* Puts it by, durably, if it is missing or too small and there is space. */
void vimg_spare_make(VimgTransport *transport);
/*
 * @result: of what failed.  Returns: whether that was for want of space and the spare was there,
 * and is used now: it is worth another try.
 */
gboolean vimg_spare_use(VimgTransport *transport, int result);

#endif
