/*
 * hold.h: an image that this host alone changes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_HOLD_H
#define VIMG_ALIYUNEBS_HOLD_H

#include "store.h"

/* Zeroed before it is taken; it stays where it is until it is cleared. */
typedef struct {
    VimgEbsStore *store; /* NULL: it holds nothing */
    VimgEbsSite *site;
    char *uuid;
    guint timer; /* 0: none */
    gint lost;   /* another host took the image; through __atomic builtins */
} VimgEbsHold;

/* Neither this process nor another host changes image @uuid until the end; VIMG_ERROR_BUSY. */
gboolean vimg_ebs_hold(VimgEbsHold *hold, VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                       const VimgPatience *patience, GError **error);
/* VIMG_ERROR_BUSY: it was away for so long that another host took it. */
gboolean vimg_ebs_hold_check(const VimgEbsHold *hold, GError **error);
/* As that, by the storage's word of now. */
gboolean vimg_ebs_hold_confirm(VimgEbsHold *hold, const VimgPatience *patience, GError **error);
/* Accepts one that holds nothing. */
void vimg_ebs_hold_clear(VimgEbsHold *hold);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgEbsHold, vimg_ebs_hold_clear)

#endif
