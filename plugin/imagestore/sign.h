/*
 * sign.h: signs in the directory of an image that somebody is at work on it
 *
 * images/<uuid>/<kind><lease> counts while that lease is alive.  Whoever wants an image for himself
 * makes the sign, then looks for others: of two that meet, at least one sees the other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SIGN_H
#define VIMG_IMAGESTORE_SIGN_H

#include "lease.h"

#define VIMG_SIGN_TURN "turn."       /* one change; see turn.h */
#define VIMG_SIGN_WRITING "writing." /* an upload; see writing.h */

/* Returns: (transfer full) its path. */
char *vimg_sign_path(const VimgLease *lease, const char *uuid, const char *kind);
/*
 * Another lease than @but (may be NULL) that has a sign of @kind and is alive: (transfer full);
 * NULL: nobody.  Removes what is nobody's.  Returns: 0 or a value of errno.
 */
int vimg_sign_find(VimgSliceStore *store, const char *uuid, const char *kind, const VimgLease *but,
                   char **out);
/*
 * Makes a sign of @lease, and looks for others.  EBUSY, the sign gone: @other has one.  @names:
 * (transfer full) what the directory holds with the sign in it, where the answer is 0; may be NULL.
 */
int vimg_sign_try(VimgLease *lease, const char *uuid, const char *kind, GPtrArray **names,
                  char **other);
void vimg_sign_end(VimgLease *lease, const char *uuid, const char *kind);
/* Until the next try, some other time than whoever waits too. */
void vimg_sign_pause(const VimgSliceStore *store);

#endif
