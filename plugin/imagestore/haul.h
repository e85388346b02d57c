/*
 * haul.h: slices from one store into another, as they lie
 *
 * Frames are not compressed again, but each is expanded and its digest checked on the way.  A few
 * threads carry a batch each, so that both stores and the processors are busy at once; memory is
 * bounded by their number.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_HAUL_H
#define VIMG_IMAGESTORE_HAUL_H

#include "index.h"
#include "lease.h"

/* All of it is borrowed.  The lease of the destination was made before, as was one at the source.
 */
typedef struct {
    VimgSliceStore *source;
    VimgTransport *in; /* to the slices of the source, and all else of it */
    VimgLease *lease;  /* of the destination */
    VimgTransport *out;
    const VimgIndex *index; /* what is to be there in the end */
    const char *uuid;       /* a saving image whose partial index grows; NULL: none does */
    guint64 durable;        /* bytes of the one it has */
    guint64 rate;           /* bytes a second; 0: no limit */
    VimgPluginJob *job;     /* may be NULL */
} VimgHaulStart;

typedef struct _VimgHaul VimgHaul;

/* Finds out what the destination lacks, and reserves just that. */
VimgHaul *vimg_haul_new(const VimgHaulStart *start, GError **error);
/* Accepts NULL. */
void vimg_haul_free(VimgHaul *haul);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgHaul, vimg_haul_free)

/*
 * Carries it.  What came is durable in its place also when it fails; VIMG_ERROR_DAMAGED: a slice of
 * the source is not what it should be.
 */
gboolean vimg_haul_run(VimgHaul *haul, GError **error);
/* Bytes that travelled. */
guint64 vimg_haul_sent(const VimgHaul *haul);
/* (transfer none) of VimgSliceId: slices found bad at the source. */
const GArray *vimg_haul_bad(const VimgHaul *haul);

#endif
