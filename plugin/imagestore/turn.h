/*
 * turn.h: one change of an image at a time, whichever host it comes from
 *
 * images/<uuid>/turn.<lease> is its sign.
 *
 * Only who has the turn moves the mark of the trash or the claim of an image whose mark is there,
 * and both by rename into his lease: whoever was fenced, and does not know it, moves nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_TURN_H
#define VIMG_IMAGESTORE_TURN_H

#include "lease.h"

typedef struct {
    VimgLease *lease;
    char *uuid;
    gboolean borrowed; /* the lease */
} VimgTurn;

/*
 * With a lease of its own.  Waits for a moment while another one has it, then fails with
 * VIMG_ERROR_BUSY.  VIMG_ERROR_NO_VOL: there is no such image.
 */
VimgTurn *vimg_turn_new(VimgSliceStore *store, const char *uuid, GError **error);
/*
 * The same with the lease of a job, which ends both if it is taken away.  @names: (transfer full)
 * what the directory of the image holds.
 */
VimgTurn *vimg_turn_new_in(VimgLease *lease, const char *uuid, GPtrArray **names, GError **error);
/* As vimg_turn_new() on a full file system too: that is what images are removed for. */
VimgTurn *vimg_turn_new_to_remove(VimgSliceStore *store, const char *uuid, GError **error);
/* VIMG_ERROR_BUSY at once if another one has the turn. */
VimgTurn *vimg_turn_try(VimgSliceStore *store, const char *uuid, GError **error);
/* Ends its own lease too; runs @n operations in the same trip. */
void vimg_turn_end(VimgTurn *turn, VimgOp *ops, gsize n);
/* The same without any.  Accepts NULL. */
void vimg_turn_free(VimgTurn *turn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgTurn, vimg_turn_free)

#endif
