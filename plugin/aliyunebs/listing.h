/*
 * listing.h: what lies below the prefix
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_LISTING_H
#define VIMG_ALIYUNEBS_LISTING_H

#include "record.h"

/*
 * All records, deleted ones too.  Those that did not change since the last time are not read again.
 * One that cannot be read is left out, with why in @unreadable by its uuid; NULL: it fails.  Of two
 * images that have one name, which can be where the storage does not exclude that, the later one is
 * an error.  Returns: (transfer full) of VimgEbsRecord
 */
GPtrArray *vimg_ebs_list_records(VimgEbsStore *store, VimgEbsSite *site, GHashTable *unreadable,
                                 const VimgPatience *patience, GError **error);
/* Returns: (transfer full) */
GHashTable *vimg_ebs_unreadable_new(void);
/* Marks @record as an error if its name is an older image's, as listed last. */
void vimg_ebs_mark_later(VimgEbsStore *store, VimgEbsRecord *record);

/* Each object below PREFIX/@below; FALSE: it ends, with @error. */
typedef gboolean (*VimgEbsEntrySink)(gpointer data, const VimgOssEntry *entry, GError **error);
gboolean vimg_ebs_each_object(VimgEbsSite *site, const char *below, VimgEbsEntrySink sink,
                              gpointer data, const VimgPatience *patience, GError **error);

/* Each unfinished upload there; none where the storage cannot list them. */
typedef gboolean (*VimgEbsPendingSink)(gpointer data, const VimgOssPending *pending,
                                       GError **error);
gboolean vimg_ebs_each_upload(VimgEbsSite *site, const char *below, VimgEbsPendingSink sink,
                              gpointer data, const VimgPatience *patience, GError **error);

#endif
