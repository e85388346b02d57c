/*
 * parent.h: which image a new one was made from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_PARENT_H
#define VIMG_IMAGESTORE_PARENT_H

#include "store.h"

/* The images stored last, which are being read. */
typedef struct _VimgParents VimgParents;

/* @uuid became active at @stored, in nanoseconds since 1970 by the storage's clock. */
void vimg_parent_note(VimgSliceStore *store, const char *uuid, gint64 stored);
/* The same just now, whatever the storage's clock says until it is asked. */
void vimg_parent_note_new(VimgSliceStore *store, const char *uuid);
/* @uuid is nobody's parent from now on. */
void vimg_parent_forget(VimgSliceStore *store, const char *uuid);
/*
 * Of the images stored last the one that holds most of the data of @index, and at least a tenth of
 * it.  Of large images samples are compared.  Returns: (transfer full) its uuid, or NULL.
 */
char *vimg_parent_find(VimgSliceStore *store, const VimgIndex *index);

/* The same in two steps: far away, the reading goes on meanwhile. */
VimgParents *vimg_parents_new(VimgSliceStore *store);
char *vimg_parents_find(VimgParents *parents, const VimgIndex *index);
/* Accepts NULL. */
void vimg_parents_free(VimgParents *parents);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgParents, vimg_parents_free)

#endif
