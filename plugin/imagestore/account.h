/*
 * account.h: what each image of a store takes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_ACCOUNT_H
#define VIMG_IMAGESTORE_ACCOUNT_H

#include "store.h"

/*
 * Reads every index and no slice, so it needs no lease: what a collector takes away meanwhile is
 * gone for it as well.  Returns: (transfer full) the report, JSON; NULL with @error.  Its members,
 * sizes in bytes as they are stored, times in seconds since 1970:
 *
 * as_of     when it began
 * images    {name, uuid, state, reason, capacity, allocation, unique, shared, freed}, those first
 *           that free most.  Unique: slices that nobody else needs, be it a deleted image; shared:
 *           slices that others need, too; freed: what deleting and purging this one alone gives
 *           back, which is what is unique and its own files.
 * trash     {freed, images}: what purging all of it gives back, and the same of each of them
 * total     {logical, stored, plain, shared, orphans}: bytes that downloads of all images return;
 *           slices that are needed, and the same not compressed; of them, those that several need;
 *           slices that no index names, as those of an upload under way or what the next cleanup
 *           frees
 * complete  false: those in unreadable ({name, uuid, reason}) count with as much as could be read,
 *           so stored and shared are at least that, unique, freed and orphans at most
 * truncated true: there are more images than a report can hold
 */
char *vimg_account(VimgSliceStore *store, VimgPluginJob *job, GError **error);

#endif
