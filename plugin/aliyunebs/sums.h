/*
 * sums.h: the MD5 of parts on their way, of as many at a time as there are
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_SUMS_H
#define VIMG_ALIYUNEBS_SUMS_H

#include "md5-lanes.h"

typedef struct _VimgSums VimgSums;

/* One part; its owner's, who changes nothing of it nor of its bytes between vimg_sums_offer() and
 * _wait(), _withdraw() or the end of _leave(). */
typedef struct {
    VimgMd5Lane lane;
    gpointer owner; /* whatever has it */
    /* of the sums; zero at first */
    guint8 state;
    gboolean left;
} VimgSum;

/* In the thread of the sums, without locks: the sum of one that was left is known. */
typedef void (*VimgSumFunc)(gpointer data, VimgSum *sum);

/*
 * For parts of which @many are there at a time, at most.  Has a thread of its own, where that makes
 * anything faster.
 */
VimgSums *vimg_sums_new(guint many, VimgSumFunc func, gpointer data);
/* What was left is summed before; of what was offered nothing is touched afterwards.  Accepts NULL.
 */
void vimg_sums_free(VimgSums *sums);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSums, vimg_sums_free)

/* All its bytes are there: it may be summed with others from now on. */
void vimg_sums_offer(VimgSums *sums, VimgSum *sum);
/* Until it is known, in @sum->lane.digest; any number of times. */
void vimg_sums_wait(VimgSums *sums, VimgSum *sum);
/* TRUE: it is known.  FALSE: it is the thread's, which gives it to the function as soon as there
 * are enough, or some time has passed, or somebody is in a hurry. */
gboolean vimg_sums_leave(VimgSums *sums, VimgSum *sum);
/* What was left, or the next that is, is not to wait for others. */
void vimg_sums_hurry(VimgSums *sums);
/* Until all that was left came back to the function.  Not in it. */
void vimg_sums_settle(VimgSums *sums);
/* Nobody needs it any more: afterwards nobody looks at it or its bytes.  Of one that was not left.
 */
void vimg_sums_withdraw(VimgSums *sums, VimgSum *sum);

#endif
