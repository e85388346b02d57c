/*
 * reader.h: one download
 *
 * Slices are read, expanded and checked ahead, at most a bounded number of bytes: by the crew, or
 * by threads of the reader's own that wait for a storage far away.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_READER_H
#define VIMG_IMAGESTORE_READER_H

#include "lease.h"
#include "manifest.h"
#include "store.h"

typedef struct _VimgSliceReader VimgSliceReader;

VimgSliceReader *vimg_slice_reader_open(VimgSliceStore *store, const char *uuid, guint64 offset,
                                        guint64 length, VimgPluginJob *job, GError **error);
/*
 * The same of what @index names, its data over @transport; both outlive the reader, as does a lease
 * of the caller.
 */
VimgSliceReader *vimg_slice_reader_new(VimgSliceStore *store, VimgTransport *transport,
                                       const VimgIndex *index, guint64 offset, guint64 length,
                                       VimgPluginJob *job, GError **error);
gboolean vimg_slice_reader_next(VimgSliceReader *reader, VimgExtent *out, GError **error);
/* Accepts NULL. */
/* Of what it reads, borrowed until it is closed; NULL: not known. */
const char *vimg_slice_reader_generation(const VimgSliceReader *reader);
void vimg_slice_reader_close(VimgSliceReader *reader);
VimgSliceStore *vimg_slice_reader_store(const VimgSliceReader *reader);

/* For the table of callbacks. */
gboolean vimg_slice_reader_zeros(VimgSliceStore *store, const char *uuid, VimgZerosSink sink,
                                 gpointer data, GError **error);

/* What is read is read under it.  *@out: (transfer full) NULL on a read-only or full store. */
gboolean vimg_slice_reader_lease(VimgSliceStore *store, VimgLease **out, GError **error);

/*
 * The index of an active image, or of one that is kept, checked against its manifest.  A lease was
 * made before, unless the store is read-only.  @out_manifest: (transfer full), may be NULL.
 */
VimgIndex *vimg_slice_reader_index(VimgSliceStore *store, const char *uuid,
                                   VimgManifest **out_manifest, GError **error);

#endif
