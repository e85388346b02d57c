/*
 * crc64.h: CRC-64/XZ, which the service calls crc64ecma, of pieces and of what they make together
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CRC64_H
#define VIMG_ALIYUNEBS_CRC64_H

#include <glib.h>

/* @before: of the bytes in front of @data, 0 for none. */
guint64 vimg_crc64(guint64 before, const void *data, gsize size);
/* That of a piece with @first followed by one of @length bytes with @second. */
guint64 vimg_crc64_combine(guint64 first, guint64 second, guint64 length);

#endif
