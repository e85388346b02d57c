/*
 * slots.h: what is known of slices, by their ids, for as many as a store may hold
 *
 * Keeps 64 of the 256 bits of an id: slices that agree in them count as one, which once in 10^5
 * stores of 10^7 slices some do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SLOTS_H
#define VIMG_IMAGESTORE_SLOTS_H

#include "index.h"

typedef struct _VimgSlots VimgSlots;

/* Of @width bytes each, a multiple of 8; the first 8 of them are the key, which is never 0. */
VimgSlots *vimg_slots_new(gsize width);
/* Accepts NULL. */
void vimg_slots_free(VimgSlots *slots);

/* Returns: its slot, which stays there until one is added; NULL: there is none. */
gpointer vimg_slots_find(const VimgSlots *slots, const VimgSliceId *id);
/* The same; a new one is zero behind its key. */
gpointer vimg_slots_add(VimgSlots *slots, const VimgSliceId *id);
void vimg_slots_each(const VimgSlots *slots, void (*func)(gconstpointer slot, gpointer data),
                     gpointer data);
gsize vimg_slots_count(const VimgSlots *slots);
/* Bytes of memory they take. */
gsize vimg_slots_memory(const VimgSlots *slots);

#endif
