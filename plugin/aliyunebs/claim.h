/*
 * claim.h: who has a name, and who writes an image
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_CLAIM_H
#define VIMG_ALIYUNEBS_CLAIM_H

#include "store.h"

#define VIMG_EBS_BEAT_SECONDS 60
#define VIMG_EBS_DEAD_SECONDS 300 /* without a beat */

/*
 * VIMG_ERROR_VOL_EXISTS: another image has the name; one that is no more has none.  Taking it twice
 * is taking it once.
 */
gboolean vimg_ebs_claim_take(VimgEbsStore *store, VimgEbsSite *site, const char *name,
                             const char *uuid, const VimgPatience *patience, GError **error);
/* Not that of another image, to which the name went meanwhile. */
gboolean vimg_ebs_claim_release(VimgEbsSite *site, const char *name, const char *uuid,
                                const VimgPatience *patience, GError **error);
/* Returns: (transfer full) uuid of who has it; NULL with VIMG_ERROR_NO_VOL. */
char *vimg_ebs_claim_look(VimgEbsSite *site, const char *name, const VimgPatience *patience,
                          GError **error);

/* This host writes the image, and goes on to; VIMG_ERROR_BUSY: another one does. */
gboolean vimg_ebs_live_beat(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                            const VimgPatience *patience, GError **error);
/* VIMG_ERROR_BUSY: another host writes it. */
gboolean vimg_ebs_live_check(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                             const VimgPatience *patience, GError **error);
/* No more; the sign of another host that took over stays. */
void vimg_ebs_live_end(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                       const VimgPatience *patience);

#endif
