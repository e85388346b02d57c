/*
 * unpack.h: gzip, xz and zstd, unpacked while they come
 *
 * What is packed is told by its first bytes, never by a name.  Hostile content finds three bounds:
 * memory (128 MiB for a window), size, and the ratio of what is not zeros: an empty disk packs to
 * nothing, and costs nothing to store, but no other honest image is a thousand times its file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_FETCH_UNPACK_H
#define VIMG_FETCH_UNPACK_H

#include "vimg-plugin.h"

/* So many first bytes tell. */
#define VIMG_UNPACK_MAGIC 6
/* What is not zeros may have so many bytes before its ratio counts. */
#define VIMG_UNPACK_FREE (64 * 1024 * 1024)

typedef struct {
    guint ratio;      /* bytes that are not zeros, of each that came */
    guint64 max_size; /* bytes */
} VimgUnpackLimits;

/* @buffer: (transfer full) of @size bytes; NULL: zeros. */
typedef gboolean (*VimgUnpackSink)(VimgBuffer *buffer, gsize size, gpointer data, GError **error);

typedef struct _VimgUnpack VimgUnpack;

/* Returns: (transfer none) "gzip", "xz" or "zstd"; NULL: it is not packed. */
const char *vimg_unpack_recognise(const guint8 *data, gsize size);

/* @kind as recognised. */
VimgUnpack *vimg_unpack_new(const char *kind, const VimgUnpackLimits *limits, VimgUnpackSink sink,
                            gpointer data, GError **error);
void vimg_unpack_free(VimgUnpack *unpack); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgUnpack, vimg_unpack_free)

/* After an error nothing but free may follow. */
gboolean vimg_unpack_add(VimgUnpack *unpack, const guint8 *bytes, gsize size, GError **error);
/* All came. */
gboolean vimg_unpack_end(VimgUnpack *unpack, GError **error);
/* Whether the content was the reason of an error, and not the sink. */
gboolean vimg_unpack_is_bad(const VimgUnpack *unpack);

#endif
