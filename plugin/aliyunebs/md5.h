/*
 * md5.h: MD5 of several pieces of one size at a time
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_MD5_H
#define VIMG_ALIYUNEBS_MD5_H

#include <glib.h>

#define VIMG_MD5_SIZE 16
#define VIMG_MD5_LANES 8

/* Of @n @pieces (1 to VIMG_MD5_LANES) of @size bytes each, into as many of @out.  Takes as long for
 * one as for all. */
void vimg_md5_lanes(const guint8 *const *pieces, guint n, gsize size, guint8 (*out)[VIMG_MD5_SIZE]);

#endif
