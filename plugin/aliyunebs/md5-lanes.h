/*
 * md5-lanes.h: MD5 of several blocks of bytes side by side
 *
 * One MD5 cannot be hurried, as each step waits for the one before it.  Steps of several can be
 * taken by one instruction: eight cost little more than one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_MD5_LANES_H
#define VIMG_ALIYUNEBS_MD5_LANES_H

#include <glib.h>

#define VIMG_MD5_LANES 8
#define VIMG_MD5_SIZE 16

typedef struct {
    const guint8 *data; /* borrowed; any alignment; may be NULL if @size is 0 */
    gsize size;
    guint8 digest[VIMG_MD5_SIZE]; /* out */
} VimgMd5Lane;

/* How many are summed side by side here: VIMG_MD5_LANES, or 1 where the processor cannot. */
guint vimg_md5_width(void);
/* @n of any sizes; fastest if those of each VIMG_MD5_LANES are alike.  Cannot fail. */
void vimg_md5_lanes(VimgMd5Lane *lanes, guint n);

/* For tests: by way @way alone.  FALSE: this processor has not got it; *@name NULL: nor does any.
 */
gboolean vimg_md5_lanes_by(guint way, const char **name, VimgMd5Lane *lanes, guint n);

#endif
