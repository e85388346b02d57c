/*
 * unpack-private.h: what a packed format is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_FETCH_UNPACK_PRIVATE_H
#define VIMG_FETCH_UNPACK_PRIVATE_H

#include "fetch/unpack.h"

/* Bytes that a window may take. */
#define VIMG_UNPACK_WINDOW_LOG 27

/* What is there, and room for what it becomes: both move on. */
typedef struct {
    const guint8 *in;
    gsize in_size;
    guint8 *out;
    gsize out_size;
    gboolean last; /* nothing comes behind @in */
} VimgUnpackStep;

typedef enum {
    VIMG_UNPACK_MORE, /* it can go on */
    VIMG_UNPACK_DONE, /* it may end here, if nothing is left in @in */
    VIMG_UNPACK_BAD,
    VIMG_UNPACK_WINDOW, /* it needs more memory */
} VimgUnpackResult;

typedef struct {
    const char *name;
    gpointer (*open)(void); /* NULL: no memory */
    /* Goes on until @in is empty or @out is full. */
    VimgUnpackResult (*step)(gpointer state, VimgUnpackStep *step);
    void (*close)(gpointer state);
} VimgUnpackFormat;

extern const VimgUnpackFormat vimg_unpack_gzip; /* unpack-formats.c, all three */
extern const VimgUnpackFormat vimg_unpack_xz;
extern const VimgUnpackFormat vimg_unpack_zstd;

#endif
