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

#include "store.h"

/* Durably.  FALSE with VIMG_ERROR_VOL_EXISTS if another image has it. */
gboolean vimg_claim_take(VimgSliceStore *store, const char *name, const char *uuid, GError **error);
/* Durably; a claim that is not there is released too.  @uuid NULL: nobody's, if nobody has it. */
gboolean vimg_claim_release(VimgSliceStore *store, const char *name, const char *uuid,
                            GError **error);
/* Whether the claim is there; FALSE without @error if it is not. */
gboolean vimg_claim_holds(VimgSliceStore *store, const char *name, const char *uuid,
                          GError **error);
/*
 * Whether the claim is what an interrupted delete left: the image is in the trash, and was put
 * there after the claim.  A restore under way looks the same but for its order.
 */
gboolean vimg_claim_is_left_over(VimgSliceStore *store, const char *name, const char *uuid);
/* Returns: (transfer full) names/<name>/<uuid> */
char *vimg_claim_path(const char *name, const char *uuid);

#endif
