/*
 * diff.h: in what the content of two images differs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_DIFF_H
#define VIMG_IMAGESTORE_DIFF_H

#include "store.h"

/*
 * Reads the two indexes and no slice: what lies in two slices that begin or end at different places
 * counts as different, though some of its bytes may be the same.  Two raw or iso images of one
 * store are cut at the same places; of all other formats those behind an insertion are only as far
 * as they were cut alike, and of a raw and another nothing is.  Returns: (transfer full) the
 * report, JSON; NULL with VIMG_ERROR_OPERATION_INVALID if one of them is not complete.  Its
 * members, in bytes:
 *
 * from, to                 names
 * from_length, to_length   of the content, as downloads return it
 * aligned                  whether both were cut by the same rule
 * changed                  bytes of to that differ from those at the same place of from, or may
 * added, removed, shared   of slices as they are stored, each once: that only to, only from, or
 *                          both have
 * extents                  {offset, length, kind} of to, neighbours of one kind in one: changed;
 *                          zeroed, where there are only zeros now; grown, behind the end of from
 * truncated                true: there are more than DIFFERENCES_MAX
 */
char *vimg_diff(VimgSliceStore *store, const char *from, const char *to, VimgPluginJob *job,
                GError **error);

#endif
