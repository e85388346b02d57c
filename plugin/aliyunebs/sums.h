/*
 * sums.h: the MD5 of parts on their way, of as many at a time as there are
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_SUMS_H
#define VIMG_ALIYUNEBS_SUMS_H

#include "md5-lanes.h"

typedef struct _VimgSums VimgSums;

/* One part; its owner's, who changes nothing of it between vimg_sums_offer() and _wait() or
 * _withdraw(), nor the bytes. */
typedef struct {
    VimgMd5Lane lane;
    guint8 state; /* guarded by the lock of the sums; zero at first */
} VimgSum;

/* For parts of which @many are there at a time, at most.  Has a thread of its own, where that makes
 * anything faster. */
VimgSums *vimg_sums_new(guint many);
/* Of what was offered nothing is touched afterwards.  Accepts NULL. */
void vimg_sums_free(VimgSums *sums);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSums, vimg_sums_free)

/* All its bytes are there: it may be summed with others from now on. */
void vimg_sums_offer(VimgSums *sums, VimgSum *sum);
/* It is needed soon: it is summed meanwhile, with what is offered by now. */
void vimg_sums_ask(VimgSums *sums, VimgSum *sum);
/* Until it is known, in @sum->lane.digest; any number of times. */
void vimg_sums_wait(VimgSums *sums, VimgSum *sum);
/* Nobody needs it any more: afterwards nobody looks at it or its bytes. */
void vimg_sums_withdraw(VimgSums *sums, VimgSum *sum);

#endif
