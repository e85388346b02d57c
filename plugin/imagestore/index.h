/*
 * index.h: casync blob indexes (.caibx)
 *
 * An index lists the slices of an image in order: where each ends and the SHA-256 of its bytes.  In
 * memory it is the item table of the file itself, 40 bytes a slice.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_INDEX_H
#define VIMG_IMAGESTORE_INDEX_H

#include "vimg-plugin.h"

#define VIMG_ID_SIZE 32
#define VIMG_ID_HEX (2 * VIMG_ID_SIZE + 1)

/* Slices of zeros have these sizes, powers of two from the slice size of a store to the largest. */
#define VIMG_ZERO_MIN ((guint64)64 * 1024)
#define VIMG_ZERO_MAX ((guint64)64 * 1024 * 1024)

/* An index of more slices is neither read nor written. */
#define VIMG_INDEX_MAX_SLICES ((gsize)1 << 25)
#define VIMG_INDEX_OVERHEAD 104
#define VIMG_INDEX_ITEM 40
#define VIMG_INDEX_MAX_SIZE (VIMG_INDEX_OVERHEAD + VIMG_INDEX_ITEM * VIMG_INDEX_MAX_SLICES)

typedef struct {
    guint8 bytes[VIMG_ID_SIZE];
} VimgSliceId;

/* What the header says about slice sizes. */
typedef struct {
    guint64 min, avg, max;
} VimgIndexSizes;

typedef struct {
    VimgIndexSizes sizes;
    GByteArray *items;
} VimgIndex;

VimgIndex *vimg_index_new(const VimgIndexSizes *sizes);
/* Accepts NULL. */
void vimg_index_free(VimgIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgIndex, vimg_index_free)

gsize vimg_index_count(const VimgIndex *index);
/* Bytes of the image that the index covers. */
guint64 vimg_index_length(const VimgIndex *index);
guint64 vimg_index_start(const VimgIndex *index, gsize i);
guint64 vimg_index_end(const VimgIndex *index, gsize i);
/* (transfer none), valid until the index grows */
const VimgSliceId *vimg_index_id(const VimgIndex *index, gsize i);
/* Whether slice @i is a zero slice. */
gboolean vimg_index_is_zero(const VimgIndex *index, gsize i);
/* The slice that holds byte @offset; the count of slices if it lies behind the end. */
gsize vimg_index_find(const VimgIndex *index, guint64 offset);

/* FALSE with VIMG_ERROR_FAILED if the index would have too many slices. */
gboolean vimg_index_append(VimgIndex *index, guint64 length, const VimgSliceId *id, GError **error);
/* (transfer full) a copy of the first @n slices */
VimgIndex *vimg_index_copy(const VimgIndex *index, gsize n);

/* Returns: (transfer full) the bytes of the file. */
VimgBuffer *vimg_index_encode(const VimgIndex *index);
/* Returns: (transfer full); NULL with VIMG_ERROR_DAMAGED saying what is wrong. */
VimgIndex *vimg_index_decode(const guint8 *data, gsize size, GError **error);

void vimg_id_to_hex(const VimgSliceId *id, char out[VIMG_ID_HEX]);
/* The 64 digits that @text begins with, in lower case; FALSE if it does not. */
gboolean vimg_id_parse(const char *text, VimgSliceId *out);
/* NULL unless @length is a power of two from VIMG_ZERO_MIN to VIMG_ZERO_MAX. */
const VimgSliceId *vimg_zero_id(guint64 length);
/* Whether it is the id of any of these. */
gboolean vimg_id_is_zero(const VimgSliceId *id);
gboolean vimg_id_equal(const VimgSliceId *a, const VimgSliceId *b);

/* For GHashTable, keys are VimgSliceId. */
guint vimg_id_hash(gconstpointer id);
gboolean vimg_id_equal_func(gconstpointer a, gconstpointer b);

#endif
