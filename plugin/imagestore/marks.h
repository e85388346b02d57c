/*
 * marks.h: a set of slice ids, for as many as a store may hold
 *
 * Keeps 64 of the 256 bits of an id: two slices that agree in them count as one, so at worst, and
 * once in 10^5 stores of 10^7 slices, a slice stays that nobody needs.  Verification keeps those
 * here that it found good on a storage far away: as rarely, one that is missing counts as there
 * until the next time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_MARKS_H
#define VIMG_IMAGESTORE_MARKS_H

#include "index.h"

typedef struct _VimgMarks VimgMarks;

VimgMarks *vimg_marks_new(void);
/* Accepts NULL. */
void vimg_marks_free(VimgMarks *marks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgMarks, vimg_marks_free)

void vimg_marks_add(VimgMarks *marks, const VimgSliceId *id);
gboolean vimg_marks_has(const VimgMarks *marks, const VimgSliceId *id);
gsize vimg_marks_count(const VimgMarks *marks);
/* Bytes of memory it takes. */
gsize vimg_marks_memory(const VimgMarks *marks);

#endif
