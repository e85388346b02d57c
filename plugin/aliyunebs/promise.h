/*
 * promise.h: images that no host removes before a time, though they be deleted
 *
 * The record of an image says so, and only who holds the image changes it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_PROMISE_H
#define VIMG_ALIYUNEBS_PROMISE_H

#include "record.h"

/* Puts a promise into @record; @until 0: takes it out.  Those that ended before @now go too. */
void vimg_ebs_promise_set(VimgEbsRecord *record, const char *id, gint64 until, gint64 now);
/* Whether there is one in @record that did not end before @now. */
gboolean vimg_ebs_promise_holds(const VimgEbsRecord *record, gint64 now);
/* Whether this host has promised the deleted image @uuid to somebody. */
gboolean vimg_ebs_is_kept(const VimgEbsStore *store, const char *uuid);
/* As keep() of the contract. */
gboolean vimg_ebs_keep(VimgEbsStore *store, const char *uuid, const char *id, gint64 until,
                       GError **error);

#endif
