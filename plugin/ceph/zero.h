/*
 * zero.h: bytes that are nothing but zeros
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CEPH_ZERO_H
#define VIMG_CEPH_ZERO_H

#include <string.h>
#include <glib.h>

static inline gboolean
is_zero(const guint8 *data, gsize size)
{
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

#endif
