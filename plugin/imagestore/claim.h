/*
 * claim.h: who has a name
 *
 * names/<name>/<uuid>: the directory is made first, then the empty file.  Names are checked by the
 * daemon: up to 255 bytes without '/', never "." or "..".
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_CLAIM_H
#define VIMG_IMAGESTORE_CLAIM_H

#include "lease.h"
#include "store.h"

/* Durably.  FALSE with VIMG_ERROR_VOL_EXISTS if another image has it. */
gboolean vimg_claim_take(VimgSliceStore *store, const char *name, const char *uuid, GError **error);
/* Durably; a claim that is not there is released too. */
gboolean vimg_claim_release(VimgSliceStore *store, const char *name, const char *uuid,
                            GError **error);
/* The same for whoever has the turn of the image: one that was fenced does nothing and fails. */
gboolean vimg_claim_withdraw(VimgLease *lease, const char *name, const char *uuid, GError **error);
/*
 * Releases a claim that is of no use: its image is gone, in the trash or has another name, and
 * nobody changes it now.  FALSE: it stays.
 */
gboolean vimg_claim_drop(VimgSliceStore *store, const char *name, const char *uuid);
/* Whether the claim is there; FALSE without @error if it is not. */
gboolean vimg_claim_holds(VimgSliceStore *store, const char *name, const char *uuid,
                          GError **error);
/* Returns: (transfer full) names/<name>/<uuid> */
char *vimg_claim_path(const char *name, const char *uuid);

#endif
