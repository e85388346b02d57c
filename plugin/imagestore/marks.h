/*
 * marks.h: a set of slice ids, for as many as a store may hold
 *
 * Two slices may count as one (slots.h): at worst, one stays that nobody needs.  Verification keeps
 * those here that it found good on a storage far away: as rarely, one that is missing counts as
 * there until the next time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_MARKS_H
#define VIMG_IMAGESTORE_MARKS_H

#include "slots.h"

typedef struct _VimgSlots VimgMarks;

static inline VimgMarks *
vimg_marks_new(void)
{
    return vimg_slots_new(sizeof(guint64));
}

/* Accepts NULL. */
static inline void
vimg_marks_free(VimgMarks *marks)
{
    vimg_slots_free(marks);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgMarks, vimg_marks_free)

static inline void
vimg_marks_add(VimgMarks *marks, const VimgSliceId *id)
{
    vimg_slots_add(marks, id);
}

static inline gboolean
vimg_marks_has(const VimgMarks *marks, const VimgSliceId *id)
{
    return vimg_slots_find(marks, id) != NULL;
}

#endif
