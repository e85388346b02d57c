/*
 * opening.h: what an upload begins with: a lease, a sign, what is stored already, and room
 *
 * Of an image that was just made here, it is known what it is: then its bytes are taken while it is
 * asked whether that is so still, and nothing of them leaves the lease before.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_OPENING_H
#define VIMG_IMAGESTORE_OPENING_H

#include "aside.h"
#include "image.h"
#include "ready.h"
#include "slicer.h"

typedef struct {
    /* set once; the lease is the writer's to end */
    VimgSliceStore *store;
    char *uuid;
    guint64 offset;
    guint64 ahead; /* bytes that will come; 0: not known */
    gboolean must; /* there must be room for all of them */
    VimgLease *lease;
    char *format;          /* the writer goes by that already; NULL: it waits */
    VimgStoredImage known; /* what was seen of it; or nothing */
    VimgLeaseRoom room;
    gboolean measured; /* @room is known, or will be when @measuring ended */
    VimgAside looking;
    VimgAside measuring;

    /* what came of it, to be looked at once it ended, as is @error */
    VimgStoredImage image;
    gboolean announced; /* the image shows that we write it */
    VimgIndex *old;     /* what is durable already; NULL: nothing */
    VimgCut cut;        /* of @old */
    GError *error;

    VimgAside aside;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    gboolean ended;
} VimgOpening;

void vimg_opening_init(VimgOpening *opening, VimgSliceStore *store, const char *uuid,
                       const VimgWriteRequest *request);
/* Waits for what is under way. */
void vimg_opening_clear(VimgOpening *opening);

/* Takes what was kept since the image was made, or makes a lease.  FALSE: there is none. */
gboolean vimg_opening_take_lease(VimgOpening *opening, GError **error);
/*
 * The rest: at once, or, if it is known what the image is, beside the caller, which goes by @format
 * from then on.  FALSE: it has failed already.
 */
gboolean vimg_opening_begin(VimgOpening *opening, GError **error);
gboolean vimg_opening_has_ended(VimgOpening *opening);
/* Waits for it; any thread may, any number of times.  FALSE: it failed. */
gboolean vimg_opening_wait(VimgOpening *opening, GError **error);

#endif
