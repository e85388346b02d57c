/*
 * slice.h: one slice: its id, its frame, its place in a store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_SLICE_H
#define VIMG_IMAGESTORE_SLICE_H

#include "index.h"
#include "transport.h"
#include "vimg-plugin.h"

/* Contexts and memory for the work on slices; one thread at a time. */
typedef struct _VimgSliceTools VimgSliceTools;

VimgSliceTools *vimg_slice_tools_new(void);
void vimg_slice_tools_free(VimgSliceTools *tools);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgSliceTools, vimg_slice_tools_free)

/* SHA-256 of @size bytes. */
void vimg_slice_hash(VimgSliceTools *tools, gconstpointer data, gsize size, VimgSliceId *out);
/* The same without tools, for small things. */
char *vimg_sha256_hex(gconstpointer data, gsize size);

/* One zstd frame.  Returns: (transfer none) it, valid until the next call; NULL with @error. */
const guint8 *vimg_slice_compress(VimgSliceTools *tools, gconstpointer data, gsize size, int level,
                                  gsize *out_size, GError **error);
/*
 * The plain bytes of slice @id, which the index says are @length.  Returns: (transfer full); NULL
 * with VIMG_ERROR_DAMAGED naming the slice.
 */
VimgBuffer *vimg_slice_expand(VimgSliceTools *tools, const VimgSliceId *id, const VimgBuffer *frame,
                              guint64 length, GError **error);

/*
 * Whether @frame holds slice @id, whatever its length up to VIMG_ZERO_MAX; for slices of other
 * writers that do not say it, too.  Returns: 0 or ENOMEM.
 */
int vimg_slice_check(VimgSliceTools *tools, const VimgSliceId *id, const VimgBuffer *frame,
                     gboolean *good);
/* Bytes that @frame says it holds; 0: it does not say. */
guint64 vimg_slice_length(const VimgBuffer *frame);
/* No frame of a slice of @length bytes is longer; nor of any. */
gsize vimg_slice_frame_bound(guint64 length);
gsize vimg_slice_frame_max(void);

#define VIMG_SLICES_DIR "slices.castr"
#define VIMG_SLICE_PREFIXES 65536 /* directories */

/* "slices.castr/ab12/<id>.cacnk" and "slices.castr/ab12" */
char *vimg_slice_path(const VimgSliceId *id);
char *vimg_slice_dir(const VimgSliceId *id);
/* "<64 hex digits>.cacnk", and "ab12" of a prefix directory: nothing else is ours. */
gboolean vimg_slice_parse(const char *name, VimgSliceId *out);
gboolean vimg_slice_parse_prefix(const char *name, guint *out);
/* The number of the prefix directory, 0 to 65535. */
static inline guint
vimg_slice_prefix(const VimgSliceId *id)
{
    return (guint)id->bytes[0] << 8 | id->bytes[1];
}

/*
 * Reads and checks one slice, wherever it is: in its place or condemned by a collector.  Errors as
 * vimg_slice_expand(); a slice that is nowhere is damage too.
 */
VimgBuffer *vimg_slice_read(VimgTransport *transport, VimgSliceTools *tools, const VimgSliceId *id,
                            guint64 length, GError **error);

/* One of many frames that are read together; the lower half is the answer. */
typedef struct {
    const VimgSliceId *id;
    guint64 length; /* of the plain slice, as the index says */

    VimgBuffer *frame; /* (transfer full) */
    int result;        /* 0 or a value of errno */
} VimgSliceFetch;

/* From wherever each is now. */
void vimg_slice_fetch(VimgTransport *transport, VimgSliceFetch *fetches, gsize n);
/* As vimg_slice_read() of what was fetched, whose frame is gone then. */
VimgBuffer *vimg_slice_open(VimgSliceTools *tools, VimgSliceFetch *fetch, GError **error);

/*
 * Takes the file of a slice out of its place, to look at what nobody replaces meanwhile.  It lies
 * in a directory of the shape of an old collector run: there everybody finds it, and a collection
 * ends what a crash leaves.  @out: (transfer full) its path.  Returns: 0 or a value of errno.
 */
int vimg_slice_lift(VimgTransport *transport, const VimgSliceId *id, char **out);
/* It was moved on from @path; if not, it is left there for a collection. */
void vimg_slice_lift_end(VimgTransport *transport, const char *path);
/*
 * Moves a slice from @from to its place.  What is there already is as good, unless it is empty, as
 * a crash of the storage leaves it.  Returns: 0 or a value of errno.
 */
int vimg_slice_put(VimgTransport *transport, const char *from, const VimgSliceId *id);
/* Moves a condemned slice back to its place.  FALSE: it is nowhere. */
gboolean vimg_slice_rescue(VimgTransport *transport, const VimgSliceId *id);
/* Makes durable where condemned slices lie.  Returns: 0 or a value of errno. */
int vimg_slice_sync_condemned(VimgTransport *transport);

#endif
