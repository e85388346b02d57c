/*
 * wipe.h: memory that held a secret
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_UTIL_WIPE_H
#define VIMG_UTIL_WIPE_H

#include "vimg-plugin.h"

/* vimg_buffer_unref() by the last who needs the bytes, which are zero afterwards.  Accepts NULL. */
static inline void
vimg_buffer_wipe(VimgBuffer *buffer)
{
    if (buffer)
        explicit_bzero(buffer->data, buffer->size);
    vimg_buffer_unref(buffer);
}

#endif
