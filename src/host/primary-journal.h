/*
 * primary-journal.h: volumes of the host that are not complete, so that none is left over
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_PRIMARY_JOURNAL_H
#define VIMG_HOST_PRIMARY_JOURNAL_H

#include "host/primary-private.h"

typedef struct _VimgHostEntry VimgHostEntry;

/*
 * Before a volume is made that will be called @name.  Waits while the reaper is at one of that
 * name, unless @job is cancelled.  Returns: (transfer full) what no file says yet: enough for one
 * that is whole when libvirt has made it; NULL with @error
 */
VimgHostEntry *vimg_host_journal_begin(VimgHostPrimary *primary, const VimgHostPool *pool,
                                       const char *name, VimgTransfer *job, GError **error);
/*
 * The file of one that is not: it will be made with @capacity, and get @size bytes of content.
 * FALSE with @error: @entry has ended
 */
gboolean vimg_host_journal_note(VimgHostEntry *entry, guint64 capacity, guint64 size,
                                GError **error);
/* It was made: from now on it can be told from every other, also of its name. */
gboolean vimg_host_journal_made(VimgHostEntry *entry, virConnectPtr connect,
                                const VimgHostPool *pool, virStorageVolPtr vol, GError **error);
/* Returns: its id, by which its mark is known; *@place: where that stands */
const char *vimg_host_journal_mark(const VimgHostEntry *entry, guint64 *place);
/* Returns: (transfer full) the name of one that is to be made beside it and to take its place */
char *vimg_host_journal_beside(VimgHostEntry *entry, GError **error);
/* It takes that place now; errors as vimg_foreign_replace(). */
gboolean vimg_host_journal_replace(VimgHostEntry *entry, const VimgHostPool *pool,
                                   const char *beside, GError **error);
/*
 * Of an entry that has no identity: what @identity is, and was found to be it, goes, and nothing
 * else that has the name by now.  VIMG_ERROR_NO_SUPPORT: its backend cannot; VIMG_ERROR_VOL_EXISTS:
 * it is another now, or holds something, and stays
 */
gboolean vimg_host_journal_put_away(VimgHostPrimary *primary, GKeyFile *file, const char *id,
                                    const VimgHostPool *pool, const char *identity, GError **error);
/* It will not, and goes.  Returns: whether nothing of that is left */
gboolean vimg_host_journal_end_beside(const VimgHostEntry *entry, const VimgHostPool *pool);
/* Whether @vol is still the one that was made, and unfinished.  FALSE with @error: nobody can tell.
 */
gboolean vimg_host_journal_look(VimgHostEntry *entry, virConnectPtr connect,
                                const VimgHostPool *pool, virStorageVolPtr vol, gboolean *it,
                                GError **error);
/* It is complete, so no other clone of its name has one: those are dropped.  Then as
 * vimg_host_journal_end(). */
gboolean vimg_host_journal_complete(VimgHostEntry *entry, GError **error);
/*
 * It is complete, or gone.  Frees @entry.  FALSE with @error: the next daemon takes it for
 * unfinished.
 */
gboolean vimg_host_journal_end(VimgHostEntry *entry, GError **error);
/* It is neither: it will be removed when that is possible.  @answered: libvirt said that it has
 * made it.  Frees @entry. */
void vimg_host_journal_leave(VimgHostEntry *entry, gboolean answered);
/* The same of one, @entry, that nobody could touch until now; in any thread, and as late as it
 * likes. */
void vimg_host_journal_answered(gpointer entry);
/* Whether a clone makes that volume, POOL-UUID.NAME, or somebody is at that base; else nobody
 * begins until vimg_host_journal_give(). */
gboolean vimg_host_journal_take(VimgHostPrimary *primary, const char *turn);
void vimg_host_journal_give(VimgHostPrimary *primary);

/* What was to take its place goes, of an entry that is left.  Returns: whether that is done */
gboolean vimg_host_journal_drop_beside(GKeyFile *file, const VimgHostPool *pool);
/* Returns: (transfer full) names of the files whose clones do not run. */
GPtrArray *vimg_host_journal_list(VimgHostPrimary *primary);

#endif
