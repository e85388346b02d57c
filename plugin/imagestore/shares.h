/*
 * shares.h: who needs which slices, and how many bytes they take
 *
 * Keeps 64 of the 256 bits of an id, as marks do.  A slice takes 16 bytes in a table that is at
 * least three eighths full, so 22 to 43 bytes of memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SHARES_H
#define VIMG_IMAGESTORE_SHARES_H

#include "store.h"

typedef struct _VimgShares VimgShares;

/* Bytes as they are stored, each slice once; zero slices, which are everybody's, are none. */
typedef struct {
    guint64 unique; /* of slices that nobody else needs */
    guint64 shared; /* that others need, too */
} VimgShare;

typedef struct {
    guint64 stored;  /* that anybody needs */
    guint64 plain;   /* the same, not compressed */
    guint64 shared;  /* that more than one does */
    guint64 deleted; /* that only deleted users do */
    guint64 orphans; /* that nobody needs */
} VimgShareTotals;

VimgShares *vimg_shares_new(VimgSliceStore *store, VimgPluginJob *job);
/* Accepts NULL. */
void vimg_shares_free(VimgShares *shares);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgShares, vimg_shares_free)

/*
 * Learns of all slices that lie in the store, directory by directory: in the order of the inodes
 * that takes two thirds of the time of asking for them one by one as the indexes name them, less
 * than half where all is cached, and finds those that nobody needs.  Without it each slice is asked
 * for when somebody first needs it.
 */
gboolean vimg_shares_list(VimgShares *shares, GError **error);

/* The indexes that follow are of another user.  Returns: its number. */
guint vimg_shares_begin(VimgShares *shares, gboolean deleted);
/* What is nowhere takes no bytes. */
gboolean vimg_shares_add(VimgShares *shares, const VimgIndex *index, GError **error);

VimgShare vimg_shares_get(const VimgShares *shares, guint user);
void vimg_shares_sum_up(const VimgShares *shares, VimgShareTotals *out);
/* How many slices it knows, and bytes of memory they take. */
gsize vimg_shares_count(const VimgShares *shares);
gsize vimg_shares_memory(const VimgShares *shares);

#endif
