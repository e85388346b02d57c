/*
 * rollback.h: undoing what an upload or a clone began and could not end
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_ALIYUNEBS_ROLLBACK_H
#define VIMG_ALIYUNEBS_ROLLBACK_H

#include "journal.h"

/*
 * Undoes what @journal announces, or, where the control endpoint has come to its end with it, ends
 * it: *@active.  An upload that never was completed stays, to be taken up.  Each step may be
 * repeated.  FALSE: the journal stays, and @error names what is left behind.  What became another
 * host's is not touched.  The image is held.
 */
gboolean vimg_ebs_rollback(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                           const VimgPatience *patience, gboolean *active, GError **error);
/*
 * As that, after a failure with *@why, which is followed by what is left behind.  TRUE: it was done
 * when the failure came, and is @out.
 */
gboolean vimg_ebs_undo(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                       VimgPluginImage *out, GError **why);
/*
 * Its import alone is ended.  @available: it can be used, else, or if that is NULL, there is no
 * image there.
 */
gboolean vimg_ebs_end_import(VimgEbsSite *site, VimgEbsJournal *journal,
                             const VimgPatience *patience, gboolean *available, GError **error);
/* Stops task @id (NULL: none) and waits for its end. */
gboolean vimg_ebs_end_task(VimgEbsSite *site, const char *id, const VimgPatience *patience,
                           GError **error);
/* The image of @journal is active with @image_id (NULL: not registered), durably. */
gboolean vimg_ebs_commit(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                         const VimgPatience *patience, VimgPluginImage *out, GError **error);
/* Unfinished uploads of image @uuid, all of them. */
gboolean vimg_ebs_abort_uploads(VimgEbsSite *site, const char *uuid, const VimgPatience *patience,
                                GError **error);
/*
 * Goes through all journals but those of images that this process works on; @note is told of each
 * one that is to be or was ended, with why not if it could not.
 */
typedef void (*VimgEbsNote)(gpointer data, const VimgEbsJournal *journal, gboolean active,
                            const GError *why);
gboolean vimg_ebs_replay(VimgEbsStore *store, VimgPluginJob *job, gboolean dry_run,
                         VimgEbsNote note, gpointer data, GError **error);

#endif
