/*
 * damage.h: images that lack slices
 *
 * images/<uuid>/damaged lists the slices that a verification found missing: their ids, one a line,
 * at most VIMG_DAMAGE_IDS, then how many there are.  It says what to look for and nothing else: an
 * image whose slices are all there again is healed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_DAMAGE_H
#define VIMG_IMAGESTORE_DAMAGE_H

#include "lease.h"
#include "marks.h"
#include "store.h"

#define VIMG_DAMAGE_IDS 4096

/* Slices that an image lacks, each once. */
typedef struct {
    GArray *ids; /* of VimgSliceId; the first VIMG_DAMAGE_IDS */
    guint64 count;
    GArray *rescued; /* of VimgSliceId; what was moved back meanwhile; NULL: nothing */
} VimgDamage;

void vimg_damage_clear(VimgDamage *damage);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgDamage, vimg_damage_clear)

/*
 * Looks every slice of @index up, zero slices aside, which nobody reads.  @lease: condemned ones
 * are moved back under it, durably; NULL: they are not.  @bad: ids (VimgSliceId) that count as
 * missing though they are there; @good: those that are known to be there; NULL: none.
 */
gboolean vimg_damage_find(VimgSliceStore *store, const VimgIndex *index, const VimgLease *lease,
                          GHashTable *bad, const VimgMarks *good, VimgPluginJob *job,
                          VimgDamage *out, GError **error);
/* Returns: (transfer full) in words, with the way out. */
char *vimg_damage_describe(const VimgDamage *damage);

/* Marks an image, durably, in its turn; one that is gone meanwhile is left alone. */
gboolean vimg_damage_write(VimgSliceStore *store, const char *uuid, const VimgDamage *damage,
                           GError **error);
/*
 * Why an image that is marked cannot be read.  Returns: (transfer full); NULL: all its slices are
 * there again, and the mark is removed if that can be done now.
 */
char *vimg_damage_look(VimgSliceStore *store, const char *uuid);

#endif
