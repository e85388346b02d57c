/*
 * haul-private.h: what the haul*.c files share; for them alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_HAUL_PRIVATE_H
#define VIMG_IMAGESTORE_HAUL_PRIVATE_H

#include "haul.h"
#include "slice.h"
#include "../thread.h"

/* A slice that the destination lacks; a large image has many. */
typedef struct {
    guint32 at;   /* in the index, where it is first */
    guint32 size; /* of its frame, at most */
    gboolean stored;
} VimgHaulItem;

struct _VimgHaul {
    /* set once */
    VimgHaulStart start;
    GArray *items; /* of VimgHaulItem, in the order of the index */
    guint64 there; /* bytes that need not travel */
    guint64 total; /* bytes of all */

    /* of the thread that runs it alone, as is "stored" of the items */
    guint64 missing; /* bytes still to come */
    gsize front;     /* items before it are stored */
    gsize published; /* slices that the last partial index names */
    guint64 durable; /* bytes of it */
    gint64 due;      /* when the next partial index is */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    guint next;     /* item that no carrier took yet */
    GArray *staged; /* of VimgStagedSlice since the last commit; number: of the item */
    GArray *bad;    /* of VimgSliceId */
    guint64 since;  /* bytes staged since the last commit */
    guint64 sent;
    gdouble debt;    /* bytes read beyond the rate */
    gint64 drained;  /* when it was last counted down */
    guint ended;     /* carriers that are through */
    GError *failure; /* the first: the carriers end */
};

/* A thread that carries one batch after the other; @data: VimgHaul. */
void *vimg_haul_carry(void *data);
/* Takes @error over. */
void vimg_haul_fail(VimgHaul *haul, GError *error);

#endif
